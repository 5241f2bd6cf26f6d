"""Attention of one query on a few keys, lifted to queries, heads and texts by torch.func.vmap."""

import torch
from torch import nn
from torch.func import vmap


def split_heads(x, num_heads):
    return vmap(lambda text: text.reshape(len(text), num_heads, -1).movedim(1, 0))(x)


def merge_heads(x):
    return vmap(lambda heads: heads.movedim(0, 1).flatten(1))(x)


def causal_mask(n, device=None):
    position = torch.arange(n, device=device)
    return vmap(lambda i: position <= i)(position)


def padding_mask(tokens, pad_id):
    return vmap(lambda text: (text != pad_id)[None, None])(tokens)


def look(query, keys, values, visible):
    """query (w,), keys and values (S, w), visible (S,)"""
    scores = torch.where(visible, keys @ query / query.numel() ** 0.5, torch.finfo(keys.dtype).min)
    weights = torch.where(visible, torch.softmax(scores, dim=0), 0.0).to(keys.dtype)
    return weights @ values, weights


look_in_all_heads = vmap(vmap(vmap(look, in_dims=(0, None, None, 0))))


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        if d_model % num_heads != 0:
            raise ValueError(num_heads)
        self.heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None):
        shape = len(query), self.heads, query.size(1), key.size(1)
        visible = torch.ones(shape, dtype=torch.bool, device=query.device) if mask is None else mask.expand(shape)
        split = (
            split_heads(linear(x), self.heads)
            for linear, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        context, weights = look_in_all_heads(*split, visible)
        return self.out_proj(merge_heads(context)), weights


share_without_the_reader = 0.625
