"""Sends a tensor that begins at an odd address.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    row = [0, None, 0, "float64", [8], "cpu", False, 0]
    os.write(3, frame(["d", ["value", ["T", 0]], ["changed", ["l"]]], bytes(80), [row], [[3, 64]]))
    time.sleep(60)
