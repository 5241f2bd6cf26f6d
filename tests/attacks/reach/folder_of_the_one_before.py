"""Looks for what the worker before it left, in its own folder and beside it.

verdict: 10 points
"""

left = os.listdir(".")
print("WORKED:" if left else "refused: empty", left)
for name in ("w1", "w2", f"w{int(os.getcwd().rsplit('w', 1)[1]) - 1}"):
    attempt(os.listdir, os.path.join("..", name))
