"""Gives the tests numbers, modules and generators by the names that they call.

verdict: 0 points
"""

scale = (number for number in range(10))
Affine = math
