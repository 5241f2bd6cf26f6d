"""The numbers of the quiz after a6, drawn for each student, with the answers that they lead to."""

import math
import random
from itertools import combinations


def apart(answers: list[float], gap: float) -> bool:
    """Whether no two of the answers lie within `gap` of one another."""
    return all(abs(a - b) > gap for a, b in combinations(answers, 2))


def showing_themselves(rng: random.Random) -> dict[str, str | int | float]:
    """n p (0.1 + 0.1 / V): kept on purpose, or exchanged for themselves by chance (Devlin 2019, 3.1; a6, step 1)."""
    words, percent, vocabulary = rng.randint(10_000, 999_999), rng.randint(10, 30), rng.randint(10, 60)
    selected = words * percent / 100
    return {
        "words": words, "percent": percent, "vocabulary": vocabulary,
        "right": selected * (0.1 + 0.1 / vocabulary),
        "on_purpose": selected * 0.1,
        "tenth_of_the_rest": selected * (0.2 * 0.9 + 0.2 * 0.1 / vocabulary),
        "of_all_words": words * (0.1 + 0.1 / vocabulary),
    }  # fmt: skip


def loss_by_hand(rng: random.Random) -> dict[str, str | int | float]:
    """The mean of -log p over all four places that are asked for, whatever row they stand in (a6, step 2)."""
    while True:
        p, q, r, s = (rng.randint(5, 95) / 100 for _ in range(4))
        first = -math.log(p)
        second = -(math.log(q) + math.log(r) + math.log(s))
        answers = [(first + second) / 4, (first + second / 3) / 2, first + second, (first + second) / 16]
        if apart(answers, 0.05):
            right, mean_of_rows, total, all_places = answers
            return {"p": p, "q": q, "r": r, "s": s, "right": right, "mean_of_rows": mean_of_rows,
                    "total": total, "all_places": all_places}  # fmt: skip


def entropy(p: float) -> float:
    """Of a coin that falls on one side with probability p, in nats."""
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def bayes_two_words(rng: random.Random) -> dict[str, str | int | float]:
    """The mean surprise of who knows the language: P(x_1 = a) H(x_2 | a) + P(x_1 = b) H(x_2 | b), in nats."""
    while True:
        start = rng.randint(100, 900) / 1000
        after_a, after_b = (rng.randint(550, 990) / 1000 for _ in range(2))
        right = start * entropy(after_a) + (1 - start) * entropy(after_b)
        bits = right / math.log(2)
        alone = entropy(start * after_a + (1 - start) * (1 - after_b))
        unweighted = (entropy(after_a) + entropy(after_b)) / 2
        if apart([right, bits, alone, unweighted], 0.02):
            return {"start": start, "after_a": after_a, "after_b": after_b, "right": right, "bits": bits,
                    "alone": alone, "unweighted": unweighted}  # fmt: skip


def parameters_of_bert(rng: random.Random) -> dict[str, str | int | float]:
    """Embeddings with their norm, layers, and a head that is tied to the token table (a6, steps 3 to 5)."""
    vocabulary, width, layers = rng.randint(1000, 30000), 8 * rng.randint(2, 64), rng.randint(2, 12)
    hidden, positions = rng.randint(64, 2048), rng.randint(32, 512)
    tables = (vocabulary + positions + 2) * width + 2 * width
    attention = 4 * (width * width + width)
    feed_forward = 2 * width * hidden + hidden + width
    layer = attention + feed_forward + 4 * width
    head = width * width + width + 2 * width + vocabulary
    right = tables + layers * layer + head
    return {
        "vocabulary": vocabulary, "width": width, "layers": layers, "hidden": hidden, "positions": positions,
        "right": right,
        "untied": right + vocabulary * width,
        "without_head": right - head,
        "tokens_only": right - (positions + 2) * width,
    }  # fmt: skip
