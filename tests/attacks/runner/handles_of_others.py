"""Answers with handles of objects that are not there, of every kind.

verdict: at most 6 points
"""


def scale(x, factor):
    kind_sent = ("function", "class", "module", "object")[x.numel() % 4]
    os.write(3, frame(["d", ["value", ["o", 2**31, kind_sent, "x" * 100_000]], ["changed", ["l"]]]))
    os._exit(0)
