"""The numbers of the quiz after a2."""

import math
import random
import string
from itertools import combinations


def _apart(values: list[float], least: float) -> bool:
    return all(abs(a - b) > least for a, b in combinations(values, 2))


def encoder_parameters(rng: random.Random) -> dict[str, str | int | float]:
    """Embedding, GRU in two directions, each with two biases of 3h as in nn.GRU, and bridge (assignment a2, step 1)."""
    words = rng.randint(1000, 9999)
    e, h, n = rng.sample(range(10, 300), 3)
    embedding, direction, bridge = words * e, 3 * h * (e + h) + 6 * h, n * h + n
    return {
        "V": words,
        "e": e,
        "h": h,
        "n": n,
        "key": embedding + 2 * direction + bridge,
        "one_way": embedding + direction + bridge,
        "wide_bridge": embedding + 2 * direction + n * 2 * h + n,
        "one_gate": embedding + 2 * (h * (e + h) + 2 * h) + bridge,
    }


def reversal(rng: random.Random) -> dict[str, str | int | float]:
    """Seven letters, to be written backwards: row t belongs to target[t + 1], letter 6 - t (assignment a2, step 7)."""
    letters = rng.sample(string.ascii_lowercase, 7)
    t = rng.choice([1, 2, 4, 5])  # at 3 the source and its reversal agree
    return {
        "letters": " ".join(letters),
        "t": t,
        "key": letters[6 - t],
        "forwards": letters[t],
        "after": letters[5 - t],
        "given": letters[7 - t],
    }


def loss_of_a_batch(rng: random.Random) -> dict[str, str | int | float]:
    """Mean of -ln p over all five real tokens of two sentences (assignment a2, step 3)."""
    while True:
        p = [rng.randint(5, 95) / 100 for _ in range(5)]
        nats = [-math.log(x) for x in p]
        long, short = sum(nats[:3]), sum(nats[3:])
        key, of_means = (long + short) / 5, (long / 3 + short / 2) / 2
        per_sentence, diluted = (long + short) / 2, (long + short) / 6
        if _apart([key, of_means, per_sentence, diluted], 0.02):
            show = dict(zip(("p1", "p2", "p3", "p4", "p5"), p, strict=True))
            return show | {"key": key, "of_means": of_means, "per_sentence": per_sentence, "diluted": diluted}


def beam_of_two(rng: random.Random) -> dict[str, str | int | float]:
    """A beam of two keeps A and B, and C's continuation, the best of all, is lost (Sutskever et al. 2014, section 3.2).

    Greedy search follows A alone; B's continuation is better than A's.
    """
    while True:
        b, c = rng.randint(280, 360), rng.randint(180, 270)
        a = 1000 - b - c
        after_a, after_b, after_c = rng.randint(250, 450), rng.randint(400, 700), rng.randint(700, 980)
        greedy, key, everywhere = a * after_a / 1e6, b * after_b / 1e6, c * after_c / 1e6
        if a > b and key > greedy + 0.01 and everywhere > key + 0.01:
            return {
                "a": a / 1000,
                "b": b / 1000,
                "c": c / 1000,
                "after_a": after_a / 1000,
                "after_b": after_b / 1000,
                "after_c": after_c / 1000,
                "key": key,
                "greedy": greedy,
                "everywhere": everywhere,
            }
