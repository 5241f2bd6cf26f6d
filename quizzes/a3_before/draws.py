"""The numbers of the quiz before a3."""

import math
import random
from itertools import combinations

WHOLE = [number for number in range(-20, 21) if number]


def _apart(values: list[float], least: float) -> bool:
    return all(abs(a - b) > least for a, b in combinations(values, 2))


def clock_hand(rng: random.Random) -> dict[str, str | int | float]:
    """sin(start + steps · turn), in radians; wrong: degrees, the cosine, sines that are added."""
    while True:
        start, turn = rng.randint(100, 6000) / 1000, rng.randint(100, 900) / 1000
        steps = rng.randint(3, 60)
        angle = start + steps * turn
        key, cosine, degrees = math.sin(angle), math.cos(angle), math.sin(math.radians(angle))
        added = math.sin(start) + steps * math.sin(turn)
        if _apart([key, cosine, degrees, added], 0.02):
            show = {"start": start, "turn": turn, "steps": steps}
            return show | {"key": key, "cosine": cosine, "degrees": degrees, "added": added}


def matrix_times_column(rng: random.Random) -> dict[str, str | int | float]:
    """Second component of a 2 × 2 matrix times a column (Goodfellow et al. 2016, section 2.2)."""
    while True:
        a, b, c, d, x, y = (rng.choice(WHOLE) for _ in range(6))
        key, first, transposed = c * x + d * y, a * x + b * y, b * x + d * y
        if len({key, first, transposed}) == 3:
            show = {"a": a, "b": b, "c": c, "d": d, "x": x, "y": y}
            return show | {"key": key, "first": first, "transposed": transposed}
