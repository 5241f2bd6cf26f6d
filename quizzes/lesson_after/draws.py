"""The numbers of the quiz after the lesson, drawn for each student, with the answers that they lead to."""

import math
import random
from itertools import combinations


def apart(answers: list[float], gap: float) -> bool:
    """Whether no two of the answers lie within `gap` of one another."""
    return all(abs(a - b) > gap for a, b in combinations(answers, 2))


def share(difference: float) -> float:
    """The softmax weight of the first of two scores that differ by so much."""
    return 1 / (1 + math.exp(-difference))


def scaled_weights(rng: random.Random) -> dict[str, str | int | float]:
    """The softmax of two dot products that are divided by sqrt(d_k) (Vaswani 2017, equation 1)."""
    while True:
        first, second, width = rng.randint(-400, 400) / 10, rng.randint(-400, 400) / 10, rng.randint(4, 512)
        difference = first - second
        if abs(difference) > 60:
            continue
        answers = [share(difference / math.sqrt(width)), share(difference), share(difference / width)]
        if apart([*answers, 0.5], 0.02):
            right, unscaled, by_width = answers
            return {"first": first, "second": second, "width": width, "right": right, "unscaled": unscaled,
                    "by_width": by_width}  # fmt: skip


def bleu(rng: random.Random) -> dict[str, str | int | float]:
    """100 exp(1 - r / c) (p1 p2 p3 p4)^(1/4) for a translation shorter than its reference (Papineni 2002, 2.3)."""
    while True:
        p4, p3, p2, p1 = sorted(rng.sample(range(10, 91), 4))
        words = rng.randint(500, 5000)
        reference = words + rng.randint(words // 20, words * 4 // 10)
        brevity = math.exp(1 - reference / words)
        geometric = (p1 * p2 * p3 * p4) ** (1 / 4)
        arithmetic = (p1 + p2 + p3 + p4) / 4
        right = brevity * geometric
        swapped = geometric * math.exp(1 - words / reference)
        answers = [right, geometric, brevity * arithmetic, swapped]
        if apart([math.log(answer) for answer in answers], 0.03):
            return {"p1": p1, "p2": p2, "p3": p3, "p4": p4, "words": words, "reference": reference, "right": right,
                    "no_penalty": geometric, "arithmetic": brevity * arithmetic, "swapped": swapped}  # fmt: skip
