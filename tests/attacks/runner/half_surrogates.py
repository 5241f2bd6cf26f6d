"""Sends text that no file can be written with.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    os.write(3, frame(["d", ["value", "\ud800"]]))
    time.sleep(60)
