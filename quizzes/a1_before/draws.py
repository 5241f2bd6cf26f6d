"""The numbers of the quiz before a1."""

import math
import random

WHOLE = [number for number in range(-15, 16) if number]


def dot_product(rng: random.Random) -> dict[str, str | int | float]:
    """Two vectors of width 3 and the sum of the products of their components (Goodfellow et al. 2016, section 2.2)."""
    while True:
        a, b = ([rng.choice(WHOLE) for _ in range(3)] for _ in range(2))
        key = sum(x * y for x, y in zip(a, b, strict=True))
        without_signs = sum(abs(x * y) for x, y in zip(a, b, strict=True))
        of_sums = sum(a) * sum(b)
        if len({key, without_signs, of_sums}) == 3:
            names = dict(zip(("a1", "a2", "a3", "b1", "b2", "b3"), a + b, strict=True))
            return names | {"key": key, "without_signs": without_signs, "of_sums": of_sums}


def softmax_share(rng: random.Random) -> dict[str, str | int | float]:
    """Four scores and the softmax share of the first (Goodfellow et al. 2016, section 6.2.2.3)."""
    while True:
        scores = [rng.randint(20, 300) / 100 for _ in range(4)]
        key = math.exp(scores[0]) / sum(math.exp(score) for score in scores)
        proportion = scores[0] / sum(scores)
        sigmoid = 1 / (1 + math.exp(-scores[0]))
        if abs(key - proportion) > 0.02 and abs(sigmoid - key) > 0.02 and abs(sigmoid - proportion) > 0.02:
            names = dict(zip(("s1", "s2", "s3", "s4"), scores, strict=True))
            return names | {"key": key, "proportion": proportion, "sigmoid": sigmoid}


def product_shape(rng: random.Random) -> dict[str, str | int | float]:
    """Four different sizes; the shape of a batched matrix product follows from them (torch.matmul)."""
    return dict(zip(("B", "L", "S", "d"), rng.sample(range(2, 400), 4), strict=True))
