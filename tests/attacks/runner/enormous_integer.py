"""Sends integers of a million digits.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    text = b'[["d",["value",' + b"9" * 1_000_000 + b"]],[],[]]"
    os.write(3, struct.pack("<4sIQ", b"agw1", len(text), 0) + text)
    time.sleep(60)
