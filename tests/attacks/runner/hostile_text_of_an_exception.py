"""Raises exceptions whose text never ends, raises itself, or is no text.

verdict: at most 5 points
"""


class Endless(Exception):
    def __str__(self):
        if torch.rand(()) < 0.5:
            raise KeyboardInterrupt
        while True:
            pass


def scale(x, factor):
    raise Endless
