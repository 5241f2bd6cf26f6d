"""The numbers of the quiz before a2."""

import math
import random
from itertools import combinations


def _apart(values: list[float], least: float) -> bool:
    return all(abs(a - b) > least for a, b in combinations(values, 2))


def two_steps(rng: random.Random) -> dict[str, str | int | float]:
    """h2 = tanh(w x2 + u h1) with h1 = tanh(w x1) (Goodfellow et al. 2016, section 10.2)."""
    while True:
        w, u = (rng.choice([-1, 1]) * rng.randint(20, 150) / 100 for _ in range(2))
        x1, x2 = (rng.choice([-1, 1]) * rng.randint(20, 150) / 100 for _ in range(2))
        key = math.tanh(w * x2 + u * math.tanh(w * x1))
        forgetful = math.tanh(w * x2)
        linear = w * x2 + u * w * x1
        if _apart([key, forgetful, linear], 0.02):
            return {"w": w, "u": u, "x1": x1, "x2": x2, "key": key, "forgetful": forgetful, "linear": linear}


def sentence_loss(rng: random.Random) -> dict[str, str | int | float]:
    """Mean of -ln p over five tokens (assignment a2, step 3); wrong: the sum, bits, and the logarithm of the mean."""
    while True:
        p = [rng.randint(5, 95) / 100 for _ in range(5)]
        total = -sum(math.log(x) for x in p)
        key, bits, of_mean = total / 5, total / 5 / math.log(2), -math.log(sum(p) / 5)
        if _apart([key, total, bits, of_mean], 0.025):
            show = dict(zip(("p1", "p2", "p3", "p4", "p5"), p, strict=True))
            return show | {"key": key, "total": total, "bits": bits, "of_mean": of_mean}


def gru_sizes(rng: random.Random) -> dict[str, str | int | float]:
    """Four different sizes; the first result of a GRU is its state after each word (PyTorch documentation, nn.GRU)."""
    return dict(zip(("B", "S", "e", "h"), rng.sample(range(2, 400), 4), strict=True))
