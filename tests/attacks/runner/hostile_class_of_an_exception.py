"""Raises exceptions whose name, bases, traceback and metaclass lie.

verdict: at most 5 points
"""


class Meta(type):
    __name__ = property(lambda cls: [1, 2, 3])
    __mro__ = property(lambda cls: (cls, 7, "x"))


class Odd(ValueError, metaclass=Meta):
    __traceback__ = property(lambda self: 5, lambda self, value: None)
    __cause__ = __context__ = property(lambda self: self, lambda self, value: None)


def scale(x, factor):
    raise Odd("done")
