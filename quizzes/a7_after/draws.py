"""The numbers of the quiz after a7, drawn for each student, with the answers that they lead to."""

import math
import random
from itertools import combinations


def apart(answers: list[float], gap: float) -> bool:
    """Whether no two of the answers lie within `gap` of one another."""
    return all(abs(a - b) > gap for a, b in combinations(answers, 2))


def pool_by_hand(rng: random.Random) -> dict[str, str | int | float]:
    """The sum over real tokens, divided by their number (a7, step 2)."""
    while True:
        hidden = [rng.randint(-200, 200) / 10 for _ in range(6)]
        mask = [True, *rng.sample([True, True, True, False, False], 5)]
        real = [number for number, is_real in zip(hidden, mask, strict=True) if is_real]
        right = sum(real) / 4
        all_places = sum(hidden) / 6
        too_long = sum(real) / 6
        answers = [right, all_places, too_long, sum(real), hidden[0]]
        if apart(answers, 0.1):
            return {"hidden": ", ".join(map(str, hidden)), "mask": ", ".join(map(str, mask)), "right": right,
                    "all_places": all_places, "too_long": too_long, "total": sum(real), "first": hidden[0]}  # fmt: skip


def rate_of_a_step(rng: random.Random) -> dict[str, str | int | float]:
    """peak (n - s) / (n - w), on the way down (a7, step 4)."""
    while True:
        peak, warmup = rng.randint(10, 99) / 10, rng.randint(20, 500)
        total = warmup + rng.randint(100, 5000)
        step = rng.randint(warmup + 10, total - 10)
        right = peak * (total - step) / (total - warmup)
        with_jump = peak * (total - step) / total
        never_down = peak * step / total
        by_root = peak * math.sqrt(warmup / step)
        if apart([right, with_jump, never_down, by_root, peak], 0.03 * peak):
            return {"peak": peak, "warmup": warmup, "total": total, "step": step, "right": right,
                    "with_jump": with_jump, "never_down": never_down, "by_root": by_root}  # fmt: skip


def highest_share(rng: random.Random) -> dict[str, str | int | float]:
    """Steps that are made, in batches, by steps of warm-up, counted in texts (a7, step 4)."""
    while True:
        texts, size = rng.randint(500, 4000), rng.randint(24, 96)
        epochs, percent = rng.randint(2, 6), rng.randint(5, 20)
        warmup = texts * epochs * percent // 100
        steps = epochs * math.ceil(texts / size)
        if texts % size:
            return {"texts": texts, "size": size, "epochs": epochs, "percent": percent,
                    "right": steps / warmup,
                    "without_last": epochs * (texts // size) / warmup,
                    "one_epoch": steps / epochs / warmup,
                    "of_all": steps / (texts * epochs)}  # fmt: skip


def mean_of_means(rng: random.Random) -> dict[str, str | int | float]:
    """All right answers by all texts; the last batch is smaller (a7, step 6)."""
    while True:
        size, full = rng.randint(16, 96), rng.randint(3, 20)
        last = rng.randint(3, size - 3)
        in_full = rng.randint(full * size // 2, full * size * 95 // 100)
        in_last = rng.randint(0, last)
        right = (in_full + in_last) / (full * size + last)
        of_means = (in_full / size + in_last / last) / (full + 1)
        dropped = in_full / (full * size)
        as_if_full = (in_full + in_last) / ((full + 1) * size)
        if apart([right, of_means, dropped, as_if_full], 0.006):
            return {"size": size, "full": full, "last": last, "in_full": in_full, "in_last": in_last, "right": right,
                    "of_means": of_means, "dropped": dropped, "as_if_full": as_if_full}  # fmt: skip
