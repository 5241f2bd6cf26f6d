"""Sends a tensor with facts of the wrong type: a device of a megabyte, an alias that is a list.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    row = [0, None, 0, "float32", [1], "cuda:" + "9" * 100_000, 1, [[]]]
    os.write(3, frame(["d", ["value", ["T", 0]]], bytes(4), [row], [[0, 4]]))
    time.sleep(60)
