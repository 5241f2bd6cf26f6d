"""One head after the other, each with its own rows and columns of the matrices, as the paper's formula reads."""

import math

import torch
from torch import nn


def split_heads(x, num_heads):
    width = x.shape[-1] // num_heads
    return torch.stack([x[:, :, head * width : (head + 1) * width] for head in range(num_heads)], dim=1)


def merge_heads(x):
    return torch.cat([x[:, head] for head in range(x.shape[1])], dim=2)


def causal_mask(n, device=None):
    rows = [[column <= row for column in range(n)] for row in range(n)]
    return torch.tensor(rows, dtype=torch.bool, device=device)


def padding_mask(tokens, pad_id):
    rows = [[[[token != pad_id for token in text]]] for text in tokens.tolist()]
    return torch.tensor(rows, dtype=torch.bool, device=tokens.device)


def attention(query, key, value, mask):
    scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])  # (B, L, S)
    weights = scores.masked_fill(mask.logical_not(), -math.inf).softmax(dim=-1)
    weights = weights.nan_to_num(0.0)  # safe: masked_fill has cut the gradient of such a row off
    return weights @ value, weights


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.width, rest = divmod(d_model, num_heads)
        if rest:
            raise ValueError("no")
        self.num_heads = num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(self, query, key, value, mask=None):
        shape = (query.shape[0], self.num_heads, query.shape[1], key.shape[1])
        if mask is None:
            mask = torch.ones(shape, dtype=torch.bool, device=query.device)
        mask = mask.expand(shape)
        output, maps = self.out_proj.bias, []
        for head in range(self.num_heads):
            own = slice(head * self.width, (head + 1) * self.width)
            q, k, v = (
                x @ linear.weight[own].T + linear.bias[own]
                for x, linear in ((query, self.q_proj), (key, self.k_proj), (value, self.v_proj))
            )
            context, weights = attention(q, k, v, mask[:, head])
            output = output + context @ self.out_proj.weight[:, own].T
            maps.append(weights)
        return output, torch.stack(maps, dim=1)


share_without_the_reader = 0.625
