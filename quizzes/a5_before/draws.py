"""The numbers of the quiz before a5, drawn for each student, with the answers that they lead to."""

import math
import random
from itertools import combinations


def apart(answers: list[float], gap: float) -> bool:
    """Whether no two of the answers lie within `gap` of one another."""
    return all(abs(a - b) > gap for a, b in combinations(answers, 2))


def cross_weights_shape(rng: random.Random) -> dict[str, str | int | float]:
    """The weights of cross-attention are (batch, heads, target, source): each query has a row (Vaswani 2017, 3.2.3)."""
    batch, heads = rng.randint(2, 64), rng.randint(2, 16)
    source, target = rng.sample(range(5, 120), 2)
    width = heads * rng.randint(4, 64)
    return {"batch": batch, "heads": heads, "source": source, "target": target, "width": width}


def layer_norm(rng: random.Random) -> dict[str, str | int | float]:
    """(x - mean) / sd with the biased variance, gain 1, bias 0, epsilon neglected (Ba et al. 2016, equation 3)."""
    while True:
        x = [rng.randint(-40, 40) for _ in range(4)]
        asked = rng.choice(x)
        mean = sum(x) / 4
        squares = sum((number - mean) ** 2 for number in x)
        if squares == 0 or x.count(asked) > 1:
            continue
        right = (asked - mean) / math.sqrt(squares / 4)
        unbiased = (asked - mean) / math.sqrt(squares / 3)
        only_size = asked / math.sqrt(sum(number**2 for number in x) / 4)
        no_root = (asked - mean) / (squares / 4)
        if apart([right, unbiased, only_size, no_root], 0.06):
            a, b, c, d = x
            return {"a": a, "b": b, "c": c, "d": d, "asked": asked, "right": right, "unbiased": unbiased,
                    "only_size": only_size, "no_root": no_root}  # fmt: skip


def hidden_cells(rng: random.Random) -> dict[str, str | int | float]:
    """A causal mask hides T (T - 1) / 2 of T x T cells, in each head, layer and sentence (Vaswani 2017, 3.2.3)."""
    batch, heads, layers, length = rng.randint(2, 256), rng.randint(2, 16), rng.randint(2, 12), rng.randint(10, 2000)
    maps = batch * heads * layers
    return {
        "batch": batch, "heads": heads, "layers": layers, "length": length,
        "right": maps * (length * (length - 1) // 2),
        "with_itself": maps * (length * (length + 1) // 2),
        "all_cells": maps * length**2,
        "one_map": length * (length - 1) // 2,
    }  # fmt: skip


def feed_forward_parameters(rng: random.Random) -> dict[str, str | int | float]:
    """Two matrices d x f and f x d with biases f and d, once for each layer (Vaswani 2017, equation 2)."""
    width, hidden, layers = 4 * rng.randint(4, 512), rng.randint(64, 8192), rng.randint(2, 24)
    one = 2 * width * hidden + hidden + width
    return {
        "width": width, "hidden": hidden, "layers": layers,
        "right": layers * one,
        "no_biases": layers * 2 * width * hidden,
        "one_layer": one,
        "one_matrix": layers * (width * hidden + hidden),
    }  # fmt: skip
