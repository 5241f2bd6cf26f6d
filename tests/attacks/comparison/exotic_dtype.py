"""Returns an eight-bit float, which compares as nothing else does.

verdict: at most 6 points
"""


def scale(x, factor):
    return (x * factor).to(torch.float8_e4m3fn)
