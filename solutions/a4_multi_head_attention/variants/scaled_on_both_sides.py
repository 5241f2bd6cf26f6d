"""Queries and keys are both scaled by a fourth root, and the softmax is taken in log space."""

import torch
from torch import nn


def split_heads(x, num_heads):
    index = torch.arange(x.size(-1), device=x.device).view(num_heads, -1)
    return x[:, :, index].transpose(1, 2)


def merge_heads(x):
    batch, num_heads, length, width = x.shape
    merged = x.new_zeros(batch, length, num_heads * width)
    for head in range(num_heads):
        merged[..., head * width : (head + 1) * width] = x[:, head]
    return merged


def causal_mask(n, device=None):
    return torch.ones(n, n, dtype=torch.int64, device=device).tril() == 1


def padding_mask(tokens, pad_id):
    return torch.ne(tokens, pad_id)[:, None, None, :]


class Projections(nn.Module):
    """Names and shapes of the four matrices; what is computed with them is written in the class below."""

    def __init__(self, d_model):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(d_model, d_model))


class MultiHeadAttention(Projections):
    def __init__(self, d_model: int, num_heads: int):
        super().__init__(d_model)
        self.num_heads = num_heads
        if d_model % num_heads != 0:
            raise ValueError("width and heads do not fit")

    def forward(self, query, key, value, mask=None):
        root = (query.size(-1) // self.num_heads) ** 0.25
        q = split_heads(self.q_proj(query), self.num_heads) / root
        k = split_heads(self.k_proj(key), self.num_heads) / root
        v = split_heads(self.v_proj(value), self.num_heads)
        scores = q @ k.transpose(2, 3)
        if mask is None:
            weights = (scores - scores.logsumexp(dim=-1, keepdim=True)).exp()
        else:
            scores = scores.masked_fill(mask.bitwise_not(), torch.finfo(scores.dtype).min)
            weights = scores.log_softmax(dim=-1).exp() * mask.to(scores.dtype)
        return self.out_proj(merge_heads(weights @ v)), weights


share_without_the_reader = 0.625
