"""Weights kept as one parameter for each kind, per head; load_named takes the prescribed names."""

import torch
from torch import nn


def split_heads(x, num_heads):
    return x.unfold(-1, x.shape[-1] // num_heads, x.shape[-1] // num_heads).transpose(1, 2)


def merge_heads(x):
    return torch.cat(tuple(x.transpose(0, 1)), dim=-1)


def causal_mask(n, device=None):
    return torch.ones(n, n, device=device).cumsum(1) <= torch.ones(n, n, device=device).cumsum(0)


def padding_mask(tokens, pad_id):
    return (tokens - pad_id).bool().view(-1, 1, 1, tokens.shape[1])


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        if d_model % num_heads:
            raise ValueError("a head would have a broken width")
        width = d_model // num_heads
        self.into_heads = nn.Parameter(torch.randn(3, num_heads, d_model, width) / d_model**0.5)
        self.into_heads_bias = nn.Parameter(torch.zeros(3, num_heads, 1, width))
        self.out_of_heads = nn.Parameter(torch.randn(num_heads, width, d_model) / d_model**0.5)
        self.out_bias = nn.Parameter(torch.zeros(d_model))

    @torch.no_grad()
    def load_named(self, weights):
        _, num_heads, d_model, width = self.into_heads.shape
        for number, name in enumerate(("q_proj", "k_proj", "v_proj")):
            self.into_heads[number] = weights[f"{name}.weight"].T.reshape(d_model, num_heads, width).transpose(0, 1)
            self.into_heads_bias[number] = weights[f"{name}.bias"].reshape(num_heads, 1, width)
        self.out_of_heads.copy_(weights["out_proj.weight"].T.reshape(num_heads, width, d_model))
        self.out_bias.copy_(weights["out_proj.bias"])

    def forward(self, query, key, value, mask=None):
        q, k, v = (
            x.unsqueeze(1) @ matrix + bias
            for x, matrix, bias in zip((query, key, value), self.into_heads, self.into_heads_bias)
        )  # (B, h, T, w)
        weights = visible_softmax(q @ k.mT / q.shape[-1] ** 0.5, mask)
        return (weights @ v @ self.out_of_heads).sum(dim=1) + self.out_bias, weights


def visible_softmax(scores, mask):
    """The softmax written out, with a mask that multiplies."""
    if mask is None:
        return scores.softmax(dim=-1)
    lowest = torch.finfo(scores.dtype).min
    top = scores.detach().masked_fill(~mask, lowest).amax(dim=-1, keepdim=True)
    exponentials = (scores - top).clamp(max=0).exp() * mask
    total = exponentials.sum(dim=-1, keepdim=True)
    return exponentials / torch.where(total == 0, torch.ones_like(total), total)


share_without_the_reader = 0.63
