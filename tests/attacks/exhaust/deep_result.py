"""Answers with lists in lists, deeper than the wire goes.

verdict: at most 6 points
"""


def scale(x, factor):
    deep = x
    for _ in range(500):
        deep = (deep,)
    return deep
