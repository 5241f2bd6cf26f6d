"""The numbers of the quiz after a4."""

import math
import random
from itertools import combinations


def _apart(values: list[float], least: float) -> bool:
    return all(abs(a - b) > least for a, b in combinations(values, 2))


def all_parameters(rng: random.Random) -> dict[str, str | int | float]:
    """Four Linear(d, d) with biases, whatever the number of heads (assignment a4, "The formula")."""
    heads, width = rng.randint(2, 32), rng.randint(8, 128)
    d = heads * width
    return {
        "heads": heads,
        "width": width,
        "d": d,
        "B": rng.randint(2, 64),
        "T": rng.randint(5, 999),
        "key": 4 * (d * d + d),
        "unbiased": 4 * d * d,
        "unmerged": 3 * (d * d + d),
        "per_head": heads * 4 * (d * d + d),
    }


def split_place(rng: random.Random) -> dict[str, str | int | float]:
    """split[b, c // w, t, c % w] = x[b, t, c] (assignment a4, step 1)."""
    while True:
        heads, width, length, batch = rng.randint(2, 12), rng.randint(3, 64), rng.randint(5, 60), rng.randint(2, 9)
        d = heads * width
        b, t, c = rng.randrange(batch), rng.randint(1, length - 1), rng.randint(1, d - 1)
        along = t * d + c  # how far into the item's memory
        places = {
            "key": (b, c // width, t, c % width),
            "dealt": (b, c % heads, t, c // heads),
            "reshaped": (b, along // (length * width), along // width % length, along % width),
            "behind": (b, t, c // width, c % width),
        }
        if len(set(places.values())) == 4:
            show = {"heads": heads, "width": width, "d": d, "T": length, "B": batch, "b": b, "t": t, "c": c}
            return show | {name: ", ".join(map(str, place)) for name, place in places.items()}


def weight_in_a_head(rng: random.Random) -> dict[str, str | int | float]:
    """Weight of the first of two keys in a head, scores divided by sqrt(d / h) (Vaswani et al. 2017, section 3.2.2)."""
    while True:
        heads, width = rng.randint(2, 16), rng.randint(4, 64)
        d = heads * width
        p1, p2 = (rng.randint(-2000, 2000) / 100 for _ in range(2))
        divisors = math.sqrt(width), math.sqrt(d), 1, width
        key, by_d, unscaled, rootless = (1 / (1 + math.exp((p2 - p1) / by)) for by in divisors)
        if 0.05 < key < 0.95 and _apart([key, by_d, unscaled, rootless], 0.012):
            show = {"heads": heads, "width": width, "d": d, "p1": p1, "p2": p2}
            return show | {"key": key, "by_d": by_d, "unscaled": unscaled, "rootless": rootless}


def always_the_creature(rng: random.Random) -> dict[str, str | int | float]:
    """Of all sentences, those whose adjective is said of creatures: a / (a + p) (assignment a4, step 4)."""
    while True:
        creatures, places, of_creatures, of_places = (rng.randint(3, 150) for _ in range(4))
        key = of_creatures / (of_creatures + of_places)
        by_nouns, others = creatures / (creatures + places), of_places / (of_creatures + of_places)
        if _apart([key, by_nouns, others, 0.5], 0.02):
            show = {"creatures": creatures, "places": places, "of_creatures": of_creatures, "of_places": of_places}
            return show | {"key": key, "by_nouns": by_nouns, "others": others}


def mask_sizes(rng: random.Random) -> dict[str, str | int | float]:
    """Four sizes, all different and above 1, so that only broadcasting rules decide (assignment a4, "The rules")."""
    return dict(zip(("B", "h", "L", "S"), rng.sample(range(2, 200), 4), strict=True))


def allowed_pairs(rng: random.Random) -> dict[str, str | int | float]:
    """Query i sees min(i + 1, r) of r real tokens: r (r + 1) / 2 and then (n - r) r (assignment a4, step 2)."""
    heads, n = rng.randint(2, 16), rng.randint(40, 400)
    r1, r2 = rng.sample(range(5, n), 2)
    back = sum(r * (r + 1) // 2 for r in (r1, r2))
    return {
        "heads": heads,
        "n": n,
        "r1": r1,
        "r2": r2,
        "key": heads * (back + sum((n - r) * r for r in (r1, r2))),
        "padded": heads * 2 * (n * (n + 1) // 2),
        "ahead": heads * n * (r1 + r2),
        "square": heads * back,
    }
