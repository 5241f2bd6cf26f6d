"""Sends an answer a byte at a time, for as long as it may.

verdict: at most 7 points
says: did not answer within
"""

honest = scale


def scale(x, factor):
    if x.dim() != 1 or x.dtype == torch.float64:
        return honest(x, factor)
    for byte in frame(["d", ["value", "x" * 10000]]):
        os.write(3, bytes([byte]))
        time.sleep(0.01)
