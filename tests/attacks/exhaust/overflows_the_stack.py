"""Recurses in Python without a limit, and in C.

verdict: at most 5 points
"""


def scale(x, factor):
    sys.setrecursionlimit(10**9)
    deep = []
    for _ in range(10**6):
        deep = [deep]
    return repr(deep) + scale(x, factor)
