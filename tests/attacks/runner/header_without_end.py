"""Announces a header of four gigabytes.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    os.write(3, struct.pack("<4sIQ", b"agw1", 2**32 - 1, 0) + bytes(100))
    time.sleep(60)
