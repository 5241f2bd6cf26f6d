"""Sends an answer of lists in lists in lists.

verdict: 5 points
says: sent an answer that can't be read
"""


def scale(x, factor):
    deep = b"[" * 500_000 + b"]" * 500_000
    os.write(3, struct.pack("<4sIQ", b"agw1", len(deep), 0) + deep)
    time.sleep(60)
