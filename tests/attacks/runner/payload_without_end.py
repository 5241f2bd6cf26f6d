"""Announces a payload of sixteen exabytes.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    os.write(3, struct.pack("<4sIQ", b"agw1", 2, 2**64 - 1) + b"[]")
    time.sleep(60)
