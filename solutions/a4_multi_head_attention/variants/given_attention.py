"""F.scaled_dot_product_attention does the work twice: once on the values, once on an identity, which shows the weights."""

import torch
import torch.nn.functional as F
from torch import nn


def split_heads(x, num_heads):
    b, t, d = x.size()
    return x.view(b, t, num_heads, d // num_heads).transpose(1, 2)


def merge_heads(x):
    b, h, t, w = x.size()
    return x.transpose(1, 2).contiguous().view(b, t, h * w)


def causal_mask(n, device=None):
    return torch.tril(torch.ones(n, n, device=device)).bool()


def padding_mask(tokens, pad_id):
    return (tokens != pad_id)[:, None, None]


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        if d_model % num_heads != 0:
            raise ValueError(f"d_model={d_model} is not divisible by num_heads={num_heads}")
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None):
        q = split_heads(self.q_proj(query), self.num_heads)
        k = split_heads(self.k_proj(key), self.num_heads)
        v = split_heads(self.v_proj(value), self.num_heads)
        identity = torch.eye(k.size(2), dtype=k.dtype, device=k.device).expand(*k.shape[:2], -1, -1)
        with torch.no_grad():  # only to be looked at
            weights = F.scaled_dot_product_attention(q, k, identity, attn_mask=mask)
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(merge_heads(context)), weights


share_without_the_reader = 5 / 8
