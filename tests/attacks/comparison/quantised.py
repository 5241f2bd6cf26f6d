"""Returns a quantised tensor, whose numbers are read through a scale of its own.

verdict: at most 6 points
"""


def scale(x, factor):
    return torch.quantize_per_tensor(x.float().detach(), 0.1, 0, torch.qint8)
