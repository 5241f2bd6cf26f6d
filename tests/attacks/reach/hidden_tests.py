"""Reads the hidden tests.

verdict: 10 points
"""

attempt(lambda: open(TARGET["hidden"]).read())
