"""Builds an autograd graph a hundred thousand deep, which is freed by recursion.

verdict: at most 10 points
"""

honest = scale


def scale(x, factor):
    out = honest(x, factor)
    for _ in range(2000):
        out = out + 0.0
    return out
