"""Defines the function again under a main guard and in a skipped cell, with other meanings.

verdict: 10 points
"""

if __name__ == "never":

    def scale(x, factor):
        return x


# %%
# autograder: skip
scale = None
