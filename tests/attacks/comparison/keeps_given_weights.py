"""Keeps the very tensors that it was loaded with, and writes into them.

verdict: at most 9 points
"""


class Affine(Affine):
    def load_named(self, weights):
        self.weight, self.bias = (torch.nn.Parameter(weights[name]) for name in ("weight", "bias"))
        for tensor in weights.values():
            tensor.zero_()
