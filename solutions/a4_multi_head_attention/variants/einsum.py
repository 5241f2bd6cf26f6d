"""Everything by einsum: the projections reach straight into the heads, and nothing is reshaped."""

import torch
from torch import nn


def split_heads(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1)


def merge_heads(x):
    return torch.cat(x.unbind(dim=1), dim=-1)


def causal_mask(n, device=None):
    position = torch.arange(n, device=device)
    return position[:, None] >= position[None, :]


def padding_mask(tokens, pad_id):
    return tokens.ne(pad_id).unsqueeze(1).unsqueeze(1)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        if d_model % num_heads:
            raise ValueError("num_heads must divide d_model")
        self.shape = (num_heads, d_model // num_heads)
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def project(self, linear, x):
        weight = linear.weight.unflatten(0, self.shape)  # (h, w, d)
        return torch.einsum("btd,hwd->bthw", x, weight) + linear.bias.unflatten(0, self.shape)

    def forward(self, query, key, value, mask=None):
        q, k, v = self.project(self.q_proj, query), self.project(self.k_proj, key), self.project(self.v_proj, value)
        scores = torch.einsum("blhw,bshw->bhls", q, k) * self.shape[1] ** -0.5
        if mask is not None:
            low = torch.full_like(scores, torch.finfo(scores.dtype).min)
            scores = torch.where(mask, scores, low)
        weights = torch.softmax(scores, dim=-1)
        if mask is not None:
            weights = torch.where(mask, weights, torch.zeros_like(weights))
        out = self.out_proj.weight.unflatten(1, self.shape)  # (d, h, w)
        return torch.einsum("bhls,bshw,dhw->bld", weights, v, out) + self.out_proj.bias, weights


share_without_the_reader = 0.625
