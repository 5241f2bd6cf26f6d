"""Heads folded into the batch for bmm, as older code has it; queries scaled beforehand; a large negative number hides."""

import torch
from torch import nn


def split_heads(x, num_heads):
    batch, length, _ = x.shape
    return x.reshape(batch * length, num_heads, -1).reshape(batch, length, num_heads, -1).swapaxes(1, 2)


def merge_heads(x):
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)


def causal_mask(n, device=None):
    mask = torch.zeros(n, n, dtype=torch.bool, device=device)
    for row in range(n):
        mask[row, : row + 1] = True
    return mask


def padding_mask(tokens, pad_id):
    return torch.where(tokens == pad_id, False, True).reshape(len(tokens), 1, 1, -1)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        if d_model % num_heads != 0:
            raise ValueError("the heads must share the width evenly")
        super().__init__()
        self.d_model, self.num_heads, self.width = d_model, num_heads, d_model // num_heads
        self.q_proj, self.k_proj = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.v_proj, self.out_proj = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)

    def fold(self, x):
        """(B, T, d) to (B h, T, w)"""
        return split_heads(x, self.num_heads).reshape(-1, x.shape[1], self.width)

    def forward(self, query, key, value, mask=None):
        batch, length, source = query.shape[0], query.shape[1], key.shape[1]
        q = self.fold(self.q_proj(query) * self.width**-0.5)
        k, v = self.fold(self.k_proj(key)), self.fold(self.v_proj(value))
        scores = torch.bmm(q, k.permute(0, 2, 1))
        if mask is not None:
            mask = mask.expand(batch, self.num_heads, length, source).reshape(-1, length, source)
            scores = scores.masked_fill(mask == 0, -3e4)
        weights = nn.functional.softmax(scores, dim=2)
        if mask is not None:
            weights = weights * mask
        context = torch.bmm(weights, v).reshape(batch, self.num_heads, length, self.width)
        context = context.permute(0, 2, 1, 3).reshape(batch, length, self.d_model)
        return self.out_proj(context), weights.reshape(batch, self.num_heads, length, source)


share_without_the_reader = torch.tensor(0.625)
