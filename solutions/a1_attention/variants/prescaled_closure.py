"""A factory of attentions: the query is scaled beforehand, and the softmax is written out with a mask that multiplies."""

import torch
from torch import nn


def masked_shares(scores, mask):
    visible = torch.ones_like(scores) if mask is None else mask.to(scores.dtype).expand_as(scores)
    lowest = torch.finfo(scores.dtype).min
    top = scores.detach().masked_fill(visible == 0, lowest).amax(dim=-1, keepdim=True)
    exponentials = torch.exp((scores - top).clamp(max=0)) * visible
    total = exponentials.sum(dim=-1, keepdim=True)
    return exponentials / torch.where(total == 0, torch.ones_like(total), total)


def make_attention(compare):
    def attention(query, key, value, mask=None):
        weights = masked_shares(compare(query, key), mask)
        return weights @ value, weights

    return attention


def dot_product(query, key):
    scaled = query * query.size(-1) ** -0.5
    return scaled @ key.swapaxes(-2, -1)


scaled_dot_product_attention = make_attention(dot_product)


class AdditiveAttention(nn.Module):
    def __init__(self, query_size, key_size, hidden_size):
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

        def compare(query, key):
            pairs = torch.tanh(self.query_proj(query).unsqueeze(-2) + self.key_proj(key).unsqueeze(-3))
            return pairs @ self.score.weight.squeeze(0)

        self.attend = make_attention(compare)

    def forward(self, query, key, value, mask=None):
        return self.attend(query, key, value, mask)


largest_weight_with_scaling = 0.33
largest_weight_without_scaling = 0.94
