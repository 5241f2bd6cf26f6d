"""Computes in float64 whatever came in; the attention itself is a closure that the module is given."""

import torch
from torch import nn


def split_heads(x, num_heads):
    batch, length, _ = x.shape
    return x.contiguous().view(batch, length, num_heads, -1).permute([0, 2, 1, 3])


def merge_heads(x):
    batch, _, length, _ = x.shape
    return torch.swapdims(x, 1, 2).reshape([batch, length, -1])


def causal_mask(n, device=None):
    return torch.ones([n, n], device=device).tril().to(torch.bool)


def padding_mask(tokens, pad_id):
    return tokens.eq(pad_id).logical_not()[:, None, None, :]


def make_attention(num_heads):
    def attention(projected, mask):
        q, k, v = (split_heads(x.double(), num_heads) for x in projected)
        scores = q.matmul(k.transpose(-1, -2)).div(q.shape[-1] ** 0.5)
        if mask is None:
            weights = scores.softmax(-1)
        else:
            weights = scores.masked_fill(mask.logical_not(), -1e300).softmax(-1).mul(mask)
        return merge_heads(weights.matmul(v)), weights

    return attention


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        if d_model % num_heads > 0:
            raise ValueError(f"{d_model} / {num_heads}")
        self.attend = make_attention(num_heads)
        self.q_proj = nn.Linear(d_model, d_model, bias=True)
        self.k_proj = nn.Linear(d_model, d_model, bias=True)
        self.v_proj = nn.Linear(d_model, d_model, bias=True)
        self.out_proj = nn.Linear(d_model, d_model, bias=True)

    def forward(self, query, key, value, mask=None):
        context, weights = self.attend((self.q_proj(query), self.k_proj(key), self.v_proj(value)), mask)
        return self.out_proj(context.to(query.dtype)), weights.to(query.dtype)


share_without_the_reader = 0.625
