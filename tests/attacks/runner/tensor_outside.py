"""Sends a tensor that lies behind the end of its frame, and one before its beginning.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    row = [0, None, 0, "float32", [16], "cpu", False, 0]
    os.write(3, frame(["d", ["value", ["T", 0]]], bytes(64), [row], [[-64 if x.dim() else 64, 64]]))
    time.sleep(60)
