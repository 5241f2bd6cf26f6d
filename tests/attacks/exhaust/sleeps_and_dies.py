"""Sleeps as long as cells may, and dies in every check, so that its cells are run again and again.

verdict: 0 points
says: used all the time that a submission may use
"""

time.sleep(1.2)


def scale(x, factor):
    os.abort()


class Affine:
    def __init__(self, *given):
        os.abort()
