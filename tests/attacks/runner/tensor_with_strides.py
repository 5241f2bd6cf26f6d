"""Sends a tensor with strides that reach beyond its bytes.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    row = [0, [2**40, 1], -4, "float32", [4, 4], "cpu", False, 0]
    os.write(3, frame(["d", ["value", ["T", 0]]], bytes(64), [row], [[0, 64]]))
    time.sleep(60)
