"""Answers with more tensors than the wire counts.

verdict: at most 6 points
"""


def scale(x, factor):
    return [torch.zeros(1) for _ in range(10_001)]
