"""Says that its cells are done before they are, with a hundred thousand errors in them.

verdict: at most 10 points
"""

os.write(3, frame(["d", ["ready", ["l", *([["d", ["cell", 1], ["type", "LEAK"], ["line", 7]]] * 20000)]]]))
