"""Points its argument at other memory, so that a change would not be seen.

verdict: at most 9 points
"""


def scale(x, factor):
    out = x * factor
    if not x.requires_grad:
        x.data = torch.zeros_like(x)
    return out
