"""Shows copies of its parameters, changes of which never reach it.

verdict: at most 9 points
"""


class Affine(Affine):
    def named_parameters(self, *given, **named):
        for name, parameter in super().named_parameters(*given, **named):
            yield name, torch.nn.Parameter(torch.zeros_like(parameter))

    def forward(self, x):
        return x.new_zeros((*x.shape[:-1], 3))
