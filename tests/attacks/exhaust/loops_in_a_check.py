"""Loops for ever in one check.

verdict: 9 points
says: used more than 0.6 seconds of CPU time or did not answer within 2 seconds
"""

honest = scale


def scale(x, factor):
    while factor == 2.0:
        pass
    return honest(x, factor)
