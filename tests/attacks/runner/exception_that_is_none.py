"""Says that it raised something that has no type, no text and a thousand bases.

verdict: 5 points
"""


def scale(x, factor):
    raised = ["l", "", ["l", *["Exception"] * 5000], "x" * 500_000, "line 99999999 of <cell 99999999>" * 1000]
    os.write(3, frame(["d", ["raised", raised], ["value", 1.0]]))
    os._exit(0)
