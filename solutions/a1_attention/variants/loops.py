"""Loops over items, queries and keys, as one would do it by hand."""

import math

import torch
from torch import nn


def row_of_weights(scores, visible):
    """One query: a list of scores, a list of bools."""
    seen = [score for score, may_look in zip(scores, visible) if may_look]
    if not seen:
        return torch.stack([score * 0 for score in scores])
    top = max(score.item() for score in seen)
    exponentials = torch.exp(torch.stack(scores) - top)
    kept = torch.stack([e if may_look else torch.zeros_like(e) for e, may_look in zip(exponentials, visible)])
    return kept / kept.sum()


def attend(score, query, key, value, mask):
    leading, length, source = query.shape[:-2], query.size(-2), key.size(-2)
    if mask is None:
        mask = torch.ones(length, source, dtype=torch.bool)
    mask = mask.expand(*leading, length, source).reshape(-1, length, source).tolist()
    queries, keys = query.reshape(-1, length, query.size(-1)), key.reshape(-1, source, key.size(-1))
    weights = []
    for item in range(len(mask)):
        for i in range(length):
            scores = [score(queries[item, i], row) for row in keys[item].unbind()]
            weights.append(row_of_weights(scores, mask[item][i]))
    weights = torch.stack(weights).reshape(*leading, length, source)
    return weights @ value, weights


def scaled_dot_product_attention(query, key, value, mask=None):
    root = math.sqrt(query.size(-1))
    return attend(lambda q, k: torch.dot(q, k) / root, query, key, value, mask)


class AdditiveAttention(nn.Module):
    def __init__(self, query_size, key_size, hidden_size):
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def one_score(self, q, k):
        return self.score(torch.tanh(self.query_proj(q) + self.key_proj(k)))[0]

    def forward(self, query, key, value, mask=None):
        return attend(self.one_score, query, key, value, mask)


largest_weight_with_scaling = 0.31
largest_weight_without_scaling = 0.93
