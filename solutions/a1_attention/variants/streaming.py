"""One key after the other, with a running maximum, as fused kernels do it; the weights come at the end."""

import torch
from torch import nn


def stream(columns, value, mask):
    """columns: the scores of all queries with one key after the other, each (..., L)."""
    lowest = torch.finfo(value.dtype).min
    top = torch.full_like(columns[0].detach(), lowest)
    for j, column in enumerate(columns):
        top = torch.where(mask[..., j], torch.maximum(top, column.detach()), top)
    total, parts = torch.zeros_like(top), []
    for j, column in enumerate(columns):
        seen = mask[..., j]
        part = torch.where(seen, torch.exp(torch.where(seen, column - top, 0)), 0).to(value.dtype)
        parts.append(part)
        total = total + part
    total = torch.where(total > 0, total, 1).to(value.dtype)
    weights = torch.stack([part / total for part in parts], dim=-1)
    return weights @ value, weights


def spread(mask, query, key):
    shape = (*query.shape[:-1], key.size(-2))
    return torch.ones(shape, dtype=torch.bool, device=query.device) if mask is None else mask.expand(shape)


def scaled_dot_product_attention(query, key, value, mask=None):
    query = query / query.size(-1) ** 0.5
    columns = [(query * key[..., j : j + 1, :]).sum(dim=-1) for j in range(key.size(-2))]
    return stream(columns, value, spread(mask, query, key))


class AdditiveAttention(nn.Module):
    def __init__(self, query_size, key_size, hidden_size):
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, query, key, value, mask=None):
        queries, keys = self.query_proj(query), self.key_proj(key)
        columns = [
            self.score(torch.tanh(queries + keys[..., j : j + 1, :])).squeeze(-1) for j in range(key.size(-2))
        ]
        return stream(columns, value, spread(mask, query, key))


largest_weight_with_scaling = 0.3
largest_weight_without_scaling = 0.92
