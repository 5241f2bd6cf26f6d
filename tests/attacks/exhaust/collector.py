"""Fills its heap with circles and has them collected at every allocation.

verdict: at most 10 points
"""

gc.set_threshold(1)
circles = [[] for _ in range(20_000)]
for circle in circles:
    circle.append(circle)
