"""Sends ten thousand tensors that are all the same bytes.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    row = [0, None, 0, "float32", [1024], "cpu", False, 0]
    os.write(3, frame(["d", ["value", ["T", 0]]], bytes(4096), [row] * 9999, [[0, 4096]]))
    time.sleep(60)
