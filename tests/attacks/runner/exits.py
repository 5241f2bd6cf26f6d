"""Calls exit() so that later cells are not run, then raises SystemExit when asked.

verdict: 5 points
says: `raise SystemExit(0)`
"""


def scale(x, factor):
    raise SystemExit(0)


exit(0)
