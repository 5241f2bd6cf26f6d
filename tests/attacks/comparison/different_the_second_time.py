"""Answers rightly once, then wrongly, then dies: no verdict may rest on the best of many.

verdict: at most 9 points
"""

honest, count = scale, []


def scale(x, factor):
    count.append(1)
    if len(count) % 2 == 0:
        return x * 0
    return honest(x, factor)
