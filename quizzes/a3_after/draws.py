"""The numbers of the quiz after a3. All angles are in radians."""

import math
import random
from itertools import combinations


def _apart(values: list[float], least: float) -> bool:
    return all(abs(a - b) > least for a, b in combinations(values, 2))


def table_entry(rng: random.Random) -> dict[str, str | int | float]:
    """PE[pos, 2i + 1] = cos(pos / 10000^(2i / d)) (Vaswani et al. 2017, section 3.5)."""
    while True:
        d, position = 2 * rng.randint(8, 1024), rng.randint(10, 999)
        pair = rng.randrange(1, d // 2)
        column = 2 * pair + 1
        angle = position / 10000 ** (2 * pair / d)
        key, sine = math.cos(angle), math.sin(angle)
        own = math.cos(position / 10000 ** (column / d))
        doubled = math.cos(position / 10000 ** (4 * pair / d))
        if angle < 100 and _apart([key, sine, own, doubled], 0.02):
            show = {"d": d, "position": position, "column": column, "even": column - 1}
            return show | {"key": key, "sine": sine, "own": own, "doubled": doubled}


def two_rows(rng: random.Random) -> dict[str, str | int | float]:
    """PE_a · PE_b for d = 4: cos(a - b) + cos(0.01 (a - b)) (assignment a3, step 3)."""
    while True:
        a, distance = rng.randint(100, 19999), rng.randint(1, 9000)
        b = a + distance
        key = math.cos(distance) + math.cos(distance / 100)
        of_sum = math.cos(a + b) + math.cos((a + b) / 100)
        one_frequency = 2 * math.cos(distance)
        if _apart([key, of_sum, one_frequency], 0.02):
            show = {"a": a, "b": b, "distance": distance}
            return show | {"key": key, "of_sum": of_sum, "one_frequency": one_frequency}


def shift_entry(rng: random.Random) -> dict[str, str | int | float]:
    """Lower left corner of block i of the shift matrix: -sin(k / 10000^(2i / d)) (assignment a3, step 3)."""
    while True:
        d, k = 2 * rng.randint(4, 512), rng.randint(2, 3000)
        pair = rng.randrange(1, d // 2)
        angle = k / 10000 ** (2 * pair / d)
        key, backwards, cosine, one_frequency = -math.sin(angle), math.sin(angle), math.cos(angle), -math.sin(k)
        if angle < 100 and _apart([key, backwards, cosine, one_frequency], 0.02):
            show = {"d": d, "k": k, "row": 2 * pair + 1, "column": 2 * pair}
            return show | {"key": key, "backwards": backwards, "cosine": cosine, "one_frequency": one_frequency}


def learned_table(rng: random.Random) -> dict[str, str | int | float]:
    """max_length · d_model numbers are learnt, whatever comes in (assignment a3, step 4)."""
    longest, d = rng.randint(200, 9999), 2 * rng.randint(8, 1024)
    used, batch = rng.randint(5, 199), rng.randint(2, 99)
    show = {"longest": longest, "d": d, "T": used, "B": batch}
    return show | {"key": longest * d, "used": used * d, "each": batch * used * d}
