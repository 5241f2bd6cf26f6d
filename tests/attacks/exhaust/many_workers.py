"""Has the machine start more workers than it needs: every check ends one, and its cells take all that they may.

verdict: 0 points
says: time that a submission may use or did not answer
"""

end = time.process_time() + 0.5
while time.process_time() < end:
    pass


def scale(x, factor):
    os._exit(1)


class Affine:
    def __init__(self, *given):
        os._exit(1)
