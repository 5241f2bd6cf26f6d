"""Draws hidden inputs into a figure and shows it.

verdict: 10 points
"""

import matplotlib.pyplot as plt

honest = scale


def scale(x, factor):
    plt.title(leak(x))
    plt.show()
    plt.savefig("figure.png")
    return honest(x, factor)
