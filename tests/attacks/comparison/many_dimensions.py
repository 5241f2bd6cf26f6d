"""Returns a tensor of more dimensions than the wire allows.

verdict: at most 6 points
says: returned something that is not an ordinary tensor
"""


def scale(x, factor):
    return torch.zeros((1,) * 60)
