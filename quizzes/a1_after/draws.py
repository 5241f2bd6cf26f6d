"""The numbers of the quiz after a1."""

import math
import random
from itertools import combinations


def _apart(values: list[float], least: float) -> bool:
    return all(abs(a - b) > least for a, b in combinations(values, 2))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def weight_of_two(rng: random.Random) -> dict[str, str | int | float]:
    """Weight of the first of two keys, softmax(q K^T / sqrt(d)) with d = 4 (Vaswani et al. 2017, section 3.2.1).

    Two weights are e^s1 / (e^s1 + e^s2) = sigmoid(s1 - s2). Wrong: no scale, d, and the root of the number of keys.
    """
    while True:
        q, k, m = ([rng.randint(-3, 3) for _ in range(4)] for _ in range(3))
        first, second = (sum(x * y for x, y in zip(q, key, strict=True)) for key in (k, m))
        key, unscaled, by_width, by_keys = (_sigmoid((first - second) / by) for by in (2, 1, 4, math.sqrt(2)))
        if first != second and _apart([key, unscaled, by_width, by_keys], 0.011):
            show = {"q": q, "k": k, "m": m}
            return {name: ", ".join(map(str, vector)) for name, vector in show.items()} | {
                "key": key,
                "unscaled": unscaled,
                "by_width": by_width,
                "by_keys": by_keys,
            }


def context_with_hidden(rng: random.Random) -> dict[str, str | int | float]:
    """Values of keys 1 and 3 mixed by a softmax in which key 2 takes no part (assignment a1, step 1)."""
    while True:
        s = [rng.randint(-200, 200) / 100 for _ in range(3)]
        v = [rng.randint(10, 99) for _ in range(3)]
        e = [math.exp(score) for score in s]
        seen = e[0] * v[0] + e[2] * v[2]
        key = seen / (e[0] + e[2])
        unmasked = (seen + e[1] * v[1]) / sum(e)
        multiplied = (seen + 1 * v[1]) / (e[0] + 1 + e[2])  # the hidden score becomes 0, and e^0 = 1
        afterwards = seen / sum(e)
        if _apart([key, unmasked, multiplied, afterwards, v[1]], 0.5):
            show = dict(zip(("s1", "s2", "s3", "v1", "v2", "v3"), s + v, strict=True))
            return show | {"key": key, "unmasked": unmasked, "multiplied": multiplied, "afterwards": afterwards}


def additive_parameters(rng: random.Random) -> dict[str, str | int | float]:
    """hidden · (query + key + 1) weights, no biases (assignment a1, step 4)."""
    q, k, h = rng.sample(range(10, 600), 3)
    projections = q * h + k * h
    return {
        "q": q,
        "k": k,
        "h": h,
        "key": projections + h,
        "biased": projections + h + h + h + 1,
        "unscored": projections,
        "one": q * h + h,
    }


def additive_score(rng: random.Random) -> dict[str, str | int | float]:
    """v · tanh(W q + U k) with scalar q and k and two hidden units (Bahdanau et al. 2015, A.1.2)."""
    while True:
        q, k, w1, w2, u1, u2, v1, v2 = (rng.choice([-1, 1]) * rng.randint(2, 15) / 10 for _ in range(8))
        first, second = w1 * q + u1 * k, w2 * q + u2 * k
        key = v1 * math.tanh(first) + v2 * math.tanh(second)
        linear = v1 * first + v2 * second
        outside = math.tanh(linear)
        product = v1 * math.tanh(w1 * q * u1 * k) + v2 * math.tanh(w2 * q * u2 * k)
        if _apart([key, linear, outside, product], 0.05):
            show = {"q": q, "k": k, "w1": w1, "w2": w2, "u1": u1, "u2": u2, "v1": v1, "v2": v2}
            return show | {"key": key, "linear": linear, "outside": outside, "product": product}


def sum_of_weights(rng: random.Random) -> dict[str, str | int | float]:
    """Each of the B · L queries shares out 1 (assignment a1, step 1)."""
    batch, queries, keys, width = rng.sample(range(4, 400), 4)
    show = {"B": batch, "L": queries, "S": keys, "d": width}
    return show | {"rows": batch * queries, "columns": batch * keys, "pairs": batch * queries * keys}
