"""The numbers of the quiz before a6, drawn for each student, with the answers that they lead to."""

import math
import random
from itertools import combinations


def apart(answers: list[float], ratio: float) -> bool:
    """Whether any two of the positive answers differ by more than the factor `ratio`."""
    return all(max(a, b) > ratio * min(a, b) for a, b in combinations(answers, 2))


def surprise(rng: random.Random) -> dict[str, str | int | float]:
    """-log softmax(z) at the first of four words, in nats: log sum exp z - z_1."""
    while True:
        a, b, c, d = (rng.randint(-50, 50) / 10 for _ in range(4))
        total = sum(math.exp(z) for z in (a, b, c, d))
        right = math.log(total) - a
        chance = math.exp(a) / total
        if abs(a) > 0.5 and right > 0.3 and apart([right, chance, right / math.log(2), abs(a)], 1.1):
            return {"a": a, "b": b, "c": c, "d": d, "right": right, "chance": chance,
                    "bits": right / math.log(2), "only_logit": -a}  # fmt: skip


def perplexity(rng: random.Random) -> dict[str, str | int | float]:
    """exp of the mean surprise: the geometric mean of 1 / p over the places."""
    while True:
        p, q, r, s = (rng.randint(2, 95) / 100 for _ in range(4))
        product = p * q * r * s
        right = product ** (-1 / 4)
        arithmetic = (1 / p + 1 / q + 1 / r + 1 / s) / 4
        from_mean = 4 / (p + q + r + s)
        if apart([right, arithmetic, from_mean, 1 / product], 1.08):
            return {"p": p, "q": q, "r": r, "s": s, "right": right, "arithmetic": arithmetic,
                    "from_mean": from_mean, "of_the_sum": 1 / product}  # fmt: skip


def expected_masks(rng: random.Random) -> dict[str, str | int | float]:
    """0.15 of the ordinary tokens are selected and 0.8 of these show [MASK] (Devlin 2019, 3.1)."""
    rows, columns = rng.randint(8, 256), rng.randint(24, 512)
    pads = rng.randint(rows * columns // 10, rows * columns // 3)
    ordinary = rows * (columns - 1) - pads
    return {
        "rows": rows, "columns": columns, "pads": pads,
        "right": 0.15 * 0.8 * ordinary,
        "selected": 0.15 * ordinary,
        "of_all": 0.15 * 0.8 * rows * columns,
        "all_selected": 0.15 * rows * columns,
    }  # fmt: skip
