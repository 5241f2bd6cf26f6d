"""Writes one file without end.

verdict: 10 points
"""

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def fill():
    with open("big", "wb", buffering=0) as file:
        for _ in range(1000):
            if file.write(bytes(2**20)) < 2**20:
                raise OSError("cut short")


attempt(fill)
