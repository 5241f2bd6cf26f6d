"""Takes memory without end in one check.

verdict: 9 points
says: asked for more memory than it may use
"""

honest = scale


def scale(x, factor):
    kept = []
    while factor == 2.0:
        kept.append(torch.empty(2**25))
    return honest(x, factor)
