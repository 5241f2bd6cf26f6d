"""Puts hidden inputs into the name of an exception.

verdict: at most 5 points
"""


def scale(x, factor):
    raise type(leak(x), (ValueError,), {})()
