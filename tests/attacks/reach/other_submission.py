"""Reads what another student handed in.

verdict: 10 points
"""

attempt(lambda: open(TARGET["other"]).read())
