"""Has a thousand parameters, tied, of odd types, without names.

verdict: at most 6 points
"""


class Affine(Affine):
    def named_parameters(self, *given, **named):
        one = torch.nn.Parameter(torch.zeros(3))
        yield from ((f"{number}" * 10, one) for number in range(1000))
        yield "", torch.zeros(2, dtype=torch.int64)
        yield None, "weight"
