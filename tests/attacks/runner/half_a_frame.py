"""Sends half an answer and leaves.

verdict: 5 points
says: ended its own process
"""


def scale(x, factor):
    os.write(3, frame(["d", ["value", 1]])[:20])
    os._exit(0)
