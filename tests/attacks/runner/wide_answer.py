"""Sends an answer with a hundred thousand keys, the same and others.

verdict: at most 6 points
"""


def scale(x, factor):
    os.write(3, frame(["d", *[["value", number] for number in range(50_000)], ["changed", ["l"]]]))
    os._exit(0)
