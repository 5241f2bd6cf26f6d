"""Returns a tensor that a thread overwrites with ever other numbers while it is read.

verdict: at most 8 points
"""


def scale(x, factor):
    out, end = torch.zeros_like(x), time.monotonic() + 0.1

    def flicker():
        while time.monotonic() < end:
            out.add_(1)

    threading.Thread(target=flicker, daemon=True).start()
    return out
