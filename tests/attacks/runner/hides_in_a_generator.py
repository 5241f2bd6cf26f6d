"""Returns a generator, a dict of itself and a list without end.

verdict: at most 6 points
"""


def scale(x, factor):
    endless = []
    endless.append(endless)
    return endless
