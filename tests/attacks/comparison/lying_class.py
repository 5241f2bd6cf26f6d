"""Returns an object whose `__class__`, `shape` and `dtype` are a tensor's.

verdict: at most 7 points
"""


class Liar:
    shape, dtype, device, requires_grad, layout = torch.Size([3]), torch.float64, "cpu", True, torch.strided
    __class__ = property(lambda self: torch.Tensor)

    def detach(self):
        return self

    def numel(self):
        return 3


def scale(x, factor):
    return Liar()
