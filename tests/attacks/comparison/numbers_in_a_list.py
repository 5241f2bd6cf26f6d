"""Returns nested lists of the right numbers instead of a tensor.

verdict: at most 6 points
"""


def scale(x, factor):
    return (x * factor).tolist()
