"""Gives the right numbers and wrong gradients by an autograd function of its own.

verdict: 9 points
"""


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        return x * factor

    @staticmethod
    def backward(ctx, gradient):
        return torch.zeros_like(gradient), None


def scale(x, factor):
    return Wrong.apply(x, factor)
