"""The numbers of the quiz before the lesson, drawn for each student, with the answers that they lead to."""

import math
import random
from itertools import combinations


def apart(answers: list[float], gap: float) -> bool:
    """Whether no two of the answers lie within `gap` of one another."""
    return all(abs(a - b) > gap for a, b in combinations(answers, 2))


def weighted_mean(rng: random.Random) -> dict[str, str | int | float]:
    """The weights times the values, added up (Bahdanau 2015, equation 5)."""
    while True:
        first, second = rng.randint(5, 90), rng.randint(5, 90)
        third = 100 - first - second
        values = [rng.randint(-99, 99) for _ in range(3)]
        weights = [first / 100, second / 100, third / 100]
        if third < 5 or len(set(weights)) < 3:
            continue
        right = sum(weight * value for weight, value in zip(weights, values, strict=True))
        plain = sum(values) / 3
        largest = values[weights.index(max(weights))]
        answers = [right, plain, largest, sum(values)]
        if apart(answers, 0.5):
            p, q, r = weights
            a, b, c = values
            return {"p": p, "q": q, "r": r, "a": a, "b": b, "c": c, "right": right, "plain": plain,
                    "largest": largest, "total": sum(values)}  # fmt: skip


def spread_of_scores(rng: random.Random) -> dict[str, str | int | float]:
    """A sum of d independent products has the standard deviation sqrt(d) s t (Vaswani 2017, footnote 4)."""
    while True:
        width, s, t = rng.randint(16, 1024), rng.randint(20, 300) / 100, rng.randint(20, 300) / 100
        right = math.sqrt(width) * s * t
        variance = width * s**2 * t**2
        grows_with_width = width * s * t
        one_product = s * t
        if apart([math.log(right), math.log(variance), math.log(grows_with_width), math.log(one_product)], 0.1):
            return {"width": width, "s": s, "t": t, "right": right, "variance": variance,
                    "grows_with_width": grows_with_width, "one_product": one_product}  # fmt: skip
