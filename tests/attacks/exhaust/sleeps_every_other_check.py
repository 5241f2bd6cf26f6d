"""Sleeps in every other check and passes the ones between, so that patience never ends.

verdict: at most 8 points
says: did not answer within
"""

honest = scale


def scale(x, factor):
    if factor in (-1.5, 3.0):
        time.sleep(600)
    return honest(x, factor)
