"""Says that it raised a tensor.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    row = [0, None, 0, "float32", [1], "cpu", False, 0]
    os.write(3, frame(["d", ["raised", ["T", 0]]], bytes(4), [row], [[0, 4]]))
    time.sleep(60)
