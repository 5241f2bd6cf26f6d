"""The numbers of the quiz after a5, drawn for each student, with the answers that they lead to."""

import math
import random
from itertools import combinations


def apart(answers: list[float], gap: float) -> bool:
    """Whether no two of the answers lie within `gap` of one another."""
    return all(abs(a - b) > gap for a, b in combinations(answers, 2))


def outside_the_layers(rng: random.Random) -> dict[str, str | int | float]:
    """Two tables and an untied generator with a bias: Vs d + Vt d + Vt d + Vt (the table of a5, step 5)."""
    source, target = rng.sample(range(1000, 10000), 2)
    width = 8 * rng.randint(2, 128)
    return {
        "source": source, "target": target, "width": width,
        "right": source * width + 2 * target * width + target,
        "tied": source * width + target * width + target,
        "one_table": 2 * target * width + target,
        "no_bias": source * width + 2 * target * width,
    }  # fmt: skip


def open_cells(rng: random.Random) -> dict[str, str | int | float]:
    """Query t sees min(t + 1, l) of l real words: l (l + 1) / 2 + (T - l) l in each row (a5, step 5)."""
    columns = rng.randint(20, 60)
    lengths = [rng.randint(5, columns - 1) for _ in range(4)]
    a, b, c, d = lengths
    return {
        "columns": columns, "a": a, "b": b, "c": c, "d": d,
        "right": sum(n * (n + 1) // 2 + (columns - n) * n for n in lengths),
        "real_queries": sum(n * (n + 1) // 2 for n in lengths),
        "not_causal": sum(columns * n for n in lengths),
        "either": sum(columns * (columns + 1) // 2 + n * (n - 1) // 2 for n in lengths),
    }  # fmt: skip


def beam_score(rng: random.Random) -> dict[str, str | int | float]:
    """Sum of the log-probabilities divided by the number of words, eos counted and bos not (a5, step 9)."""
    while True:
        p, q, r, s, end = (rng.randint(5, 95) / 100 for _ in range(5))
        total = math.log(p) + math.log(q) + math.log(r) + math.log(s) + math.log(end)
        answers = [total / 5, total, total / 6, total / 4]
        if apart(answers, 0.03):
            right, undivided, with_bos, without_eos = answers
            return {"p": p, "q": q, "r": r, "s": s, "end": end, "right": right, "undivided": undivided,
                    "with_bos": with_bos, "without_eos": without_eos}  # fmt: skip


def label_smoothing(rng: random.Random) -> dict[str, str | int | float]:
    """Cross-entropy against 1 - e + e / V at the right word and e / V elsewhere (Vaswani 2017, 5.4)."""
    while True:
        words, epsilon, p = rng.randint(5, 104), rng.randint(20, 300) / 1000, rng.randint(300, 950) / 1000
        other = (1 - p) / (words - 1)
        share = epsilon / words
        right = -(1 - epsilon + share) * math.log(p) - (words - 1) * share * math.log(other)
        plain = -math.log(p)
        damped = -(1 - epsilon) * math.log(p)
        against_uniform = damped + epsilon * math.log(words)
        if apart([right, plain, damped, against_uniform], 0.01):
            return {"words": words, "epsilon": epsilon, "p": p, "right": right, "plain": plain, "damped": damped,
                    "against_uniform": against_uniform}  # fmt: skip
