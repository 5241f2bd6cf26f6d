"""Tells one of 256 numbers by how its process ends.

verdict: 5 points
says: ended its own process (exit status 57)
"""


def scale(x, factor):
    os._exit(57)
