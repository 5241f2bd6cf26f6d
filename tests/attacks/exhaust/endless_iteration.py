"""Answers with a list whose iteration never ends.

verdict: at most 6 points
"""


class Endless(list):
    def __iter__(self):
        while True:
            yield 1.0


def scale(x, factor):
    return Endless([1.0])
