"""Loops for ever whenever it is asked.

verdict: at most 5 points
says: CPU time or did not answer
"""


def scale(x, factor):
    while True:
        pass
