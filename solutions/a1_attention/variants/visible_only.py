"""No number stands for "hidden": each query is given only the keys that it may see, and its weights are put back in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Lookup:
    """compare: query (d,) and keys (n, k) to scores (n,)"""

    compare: Callable[[Tensor, Tensor], Tensor]

    def weights_of_one(self, query: Tensor, key: Tensor, seen: Tensor) -> Tensor:
        weights = key.new_zeros(key.size(0))
        if seen.any():
            weights = weights.masked_scatter(seen, self.compare(query, key[seen]).softmax(dim=0))
        return weights

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if query.dim() > 2:
            masks = [None] * len(query)
            if mask is not None:
                masks = list(mask.expand(*query.shape[:-1], key.size(-2)))
            answers = [self(*item) for item in zip(query, key, value, masks)]
            return torch.stack([context for context, _ in answers]), torch.stack([weights for _, weights in answers])
        seen = torch.ones(len(query), len(key), dtype=torch.bool, device=key.device)
        if mask is not None:
            seen = seen & mask
        weights = torch.stack([self.weights_of_one(q, key, row) for q, row in zip(query, seen)])
        return weights @ value, weights


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return Lookup(lambda q, keys: keys @ q / q.size(0) ** 0.5)(query, key, value, mask)


class AdditiveAttention(nn.Module):
    def __init__(self, query_size: int, key_size: int, hidden_size: int) -> None:
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return self.score((self.query_proj(query) + self.key_proj(keys)).tanh()).reshape(-1)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return Lookup(self.compare)(query, key, value, mask)


largest_weight_with_scaling = 0.319
largest_weight_without_scaling = 0.941
