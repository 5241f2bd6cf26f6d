"""Weights as exp(score - logsumexp), with the rows that may look nowhere set right by their own logsumexp."""

from math import inf, sqrt

from torch import Tensor, nn


def log_weights(scores: Tensor) -> Tensor:
    total = scores.logsumexp(dim=-1, keepdim=True)  # (..., L, 1)
    return scores - total


def attend(scores: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if mask is None:
        weights = log_weights(scores).exp()
        return weights @ value, weights
    nowhere = ~mask.any(dim=-1, keepdim=True)
    logs = log_weights(scores.masked_fill(~(mask | nowhere), -inf))
    weights = logs.masked_fill(nowhere, -inf).exp()
    return weights @ value, weights


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None):
    return attend((query @ key.mT) / sqrt(query.size(-1)), value, mask)


class AdditiveAttention(nn.Module):
    def __init__(self, query_size: int, key_size: int, hidden_size: int):
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None):
        energy = (self.query_proj(query).unsqueeze(-2) + self.key_proj(key).unsqueeze(-3)).tanh()
        return attend((energy * self.score.weight).sum(dim=-1), value, mask)


largest_weight_with_scaling = 0.32
largest_weight_without_scaling = 0.93
