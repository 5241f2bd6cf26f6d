"""Reads the key from which all hidden inputs are drawn.

verdict: 10 points
"""

attempt(lambda: open(TARGET["key"], "rb").read().hex())
