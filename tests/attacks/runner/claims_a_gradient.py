"""Claims that integers and constants require a gradient, and answers with gradients of its own.

verdict: at most 8 points
"""


def scale(x, factor):
    row = [0, None, 0, "int64", list(x.shape), "cpu", True, 0]
    size = 8 * x.numel()
    os.write(
        3,
        frame(
            ["d", ["value", ["T", 0]], ["changed", ["l"]], ["tracked", ["l", True]]], bytes(size), [row], [[0, size]]
        ),
    )
    os._exit(0)
