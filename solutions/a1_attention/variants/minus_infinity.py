"""A mask of zeros and minus infinities is added to the scores; empty rows are opened first and emptied afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def additive_mask(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask.logical_not(), float("-inf"))


def mix(scores: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if mask is None:
        weights = nn.functional.softmax(scores, dim=-1)
    else:
        somewhere = mask.any(dim=-1, keepdim=True)
        weights = nn.functional.softmax(scores + additive_mask(mask | ~somewhere, scores.dtype), dim=-1) * somewhere
    return torch.matmul(weights, value), weights


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return mix(torch.matmul(query, key.mT) * query.size(-1) ** -0.5, value, mask)


class AdditiveAttention(nn.Module):
    def __init__(self, query_size: int, key_size: int, hidden_size: int) -> None:
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        hidden = self.query_proj(query)[..., :, None, :] + self.key_proj(key)[..., None, :, :]
        return mix(self.score(hidden.tanh())[..., 0], value, mask)


largest_weight_with_scaling: float = 0.322
largest_weight_without_scaling: float = 0.936
