"""Returns one number where many are expected, which broadcasting would compare.

verdict: at most 8 points
"""


def scale(x, factor):
    return torch.zeros(1, dtype=x.dtype)
