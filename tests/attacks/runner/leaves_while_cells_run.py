"""Leaves the process with status 0 while cells run.

verdict: 10 points
says: ended its own process (exit status 0)
"""

os._exit(0)
