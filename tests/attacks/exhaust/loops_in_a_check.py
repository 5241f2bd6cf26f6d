"""Loops for ever in one check.

verdict: 9 points
says: used more than or did not answer within
"""

honest = scale


def scale(x, factor):
    while factor == 2.0:
        pass
    return honest(x, factor)
