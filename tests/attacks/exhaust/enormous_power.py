"""Computes a number of a billion digits, within one operation of Python's.

verdict: 10 points
"""

str(7 ** (7**9))
