"""The numbers of the quiz before a7, drawn for each student, with the answers that they lead to."""

import math
import random
from itertools import combinations


def apart(answers: list[float], ratio: float) -> bool:
    """Whether any two of the positive answers differ by more than the factor `ratio`."""
    return all(max(a, b) > ratio * min(a, b) for a, b in combinations(answers, 2))


def rate_of_the_paper(rng: random.Random) -> dict[str, str | int | float]:
    """d^-1/2 min(s^-1/2, s w^-3/2) (Vaswani 2017, equation 3)."""
    while True:
        width, warmup, step = 8 * rng.randint(8, 256), 100 * rng.randint(10, 80), rng.randint(100, 20_000)
        rising, falling = step * warmup**-1.5, step**-0.5
        right = width**-0.5 * min(rising, falling)
        larger = width**-0.5 * max(rising, falling)
        no_width = min(rising, falling)
        no_root = min(rising, falling) / width
        if apart([right, larger, no_width, no_root], 1.1):
            return {"width": width, "warmup": warmup, "step": step, "right": right, "larger": larger,
                    "no_width": no_width, "no_root": no_root}  # fmt: skip


def number_of_steps(rng: random.Random) -> dict[str, str | int | float]:
    """epochs x ceil(texts / batch): the last batch of an epoch is smaller, and counts (a7, step 4)."""
    while True:
        texts, size, epochs = rng.randint(1000, 99_999), rng.randint(8, 128), rng.randint(2, 9)
        whole, rest = divmod(texts, size)
        joined = math.ceil(texts * epochs / size)
        right = epochs * (whole + 1)
        if rest > 0 and joined != right:
            return {"texts": texts, "size": size, "epochs": epochs, "right": right, "whole_only": epochs * whole,
                    "in_texts": epochs * texts, "joined": joined}  # fmt: skip


def chance_in_a_test_set(rng: random.Random) -> dict[str, str | int | float]:
    """The standard error of a share: sqrt(a (1 - a) / n), here in percentage points."""
    texts = rng.randint(200, 20_000)
    correct = rng.randint(texts * 6 // 10, texts * 95 // 100)
    share = correct / texts
    spread = math.sqrt(share * (1 - share))
    return {
        "texts": texts, "correct": correct,
        "right": 100 * spread / math.sqrt(texts),
        "one_text": 100 * spread,
        "no_root": 100 * spread / texts,
    }  # fmt: skip


def bell(x: float) -> float:
    """The share of a standard normal distribution below x."""
    return (1 + math.erf(x / math.sqrt(2))) / 2


def gelu_network(rng: random.Random) -> dict[str, str | int | float]:
    """u GELU(x) + v GELU(y) with GELU(x) = x Phi(x), the exact one (Hendrycks & Gimpel 2016, section 2)."""
    while True:
        x, y = rng.randint(50, 250) / 100, -rng.randint(30, 200) / 100
        u, v = rng.randint(10, 40) / 10, rng.randint(10, 40) / 10
        right = u * x * bell(x) + v * y * bell(y)
        relu = u * max(x, 0) + v * max(y, 0)
        silu = u * x / (1 + math.exp(-x)) + v * y / (1 + math.exp(-y))
        shares = u * bell(x) + v * bell(y)
        if min(abs(a - b) for a, b in combinations([right, relu, silu, shares], 2)) > 0.06:
            return {"x": x, "y": y, "u": u, "v": v, "right": right, "relu": relu, "silu": silu, "shares": shares}
