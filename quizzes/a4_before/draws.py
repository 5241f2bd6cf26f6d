"""The numbers of the quiz before a4."""

import random


def flat_index(rng: random.Random) -> dict[str, str | int | float]:
    """Row-major order: (b · T + t) · d + c (PyTorch documentation, Tensor Views)."""
    while True:
        batch, length, d = rng.randint(3, 40), rng.randint(5, 90), rng.randint(4, 300)
        b, t, c = rng.randint(1, batch - 1), rng.randint(1, length - 1), rng.randint(1, d - 1)
        key, columns_first, one_item = (b * length + t) * d + c, (c * length + t) * batch + b, t * d + c
        if len({key, columns_first, one_item, b * t * c}) == 4:
            show = {"B": batch, "T": length, "d": d, "b": b, "t": t, "c": c}
            return show | {
                "key": key,
                "columns_first": columns_first,
                "one_item": one_item,
                "product": b * t * c,
            }


def reshaped(rng: random.Random) -> dict[str, str | int | float]:
    """Six different numbers, refilled in the order of memory (PyTorch documentation, torch.reshape)."""
    a, b, c, d, e, f = rng.sample(range(10, 100), 6)
    return {
        "given": f"[[{a}, {b}, {c}], [{d}, {e}, {f}]]",
        "transposed": f"[[{a}, {d}], [{b}, {e}], [{c}, {f}]]",
        "turned": f"[[{d}, {a}], [{e}, {b}], [{f}, {c}]]",
        "key": f"[[{a}, {b}], [{c}, {d}], [{e}, {f}]]",
        "by_columns": f"[[{a}, {e}], [{d}, {c}], [{b}, {f}]]",
    }


def two_layers(rng: random.Random) -> dict[str, str | int | float]:
    """Linear(a, b) and Linear(b, c) with biases (PyTorch documentation, torch.nn.Linear)."""
    a, b, c = rng.sample(range(10, 900), 3)
    weights = a * b + b * c
    return {
        "a": a,
        "b": b,
        "c": c,
        "key": weights + b + c,
        "unbiased": weights,
        "of_inputs": weights + a + b,
        "single": a * c + c,
    }
