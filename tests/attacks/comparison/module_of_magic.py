"""A module with properties in the place of methods, each of them different every time.

verdict: at most 5 points
"""


class Affine:
    def __init__(self, *given):
        pass

    def __getattr__(self, name):
        return [1, {"a": (name,)}, torch.zeros(2), self, lambda *given, **named: self][len(name) % 5]

    def __call__(self, x):
        return self
