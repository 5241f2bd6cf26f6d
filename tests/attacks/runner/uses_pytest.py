"""Asks pytest itself to skip, to expect failure and to exit.

verdict: at most 5 points
"""


def scale(x, factor):
    import pytest

    (pytest.skip, pytest.xfail, pytest.exit)[x.numel() % 3]("done")
