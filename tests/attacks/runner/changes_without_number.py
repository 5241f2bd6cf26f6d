"""Says that half a million of its arguments were changed.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    os.write(3, frame(["d", ["value", 1.0], ["changed", ["l", *[1] * 400_000]]]))
    time.sleep(60)
