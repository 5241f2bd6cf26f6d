"""Leading dimensions folded into one for baddbmm; the additive kind is one Linear on [query; key], stored as one matrix."""

import torch
from torch import nn


def fold(tensor):
    return tensor.reshape(-1, *tensor.shape[-2:])


def mix(scores, value, mask):
    """scores (L, S) or (B, L, S) after folding; value (B, S, e); mask the same shape as scores, or None."""
    if mask is not None:
        scores = scores.where(mask, torch.finfo(scores.dtype).min)
    weights = nn.functional.softmax(scores, dim=2)
    if mask is not None:
        weights = weights.where(mask, 0)
    return torch.bmm(weights, value), weights


def unfold(leading, *tensors):
    return tuple(tensor.reshape(*leading, *tensor.shape[1:]) for tensor in tensors)


def full_mask(mask, leading, length, source):
    return None if mask is None else fold(mask.expand(*leading, length, source))


def scaled_dot_product_attention(query, key, value, mask=None):
    leading, length, source = query.shape[:-2], query.shape[-2], key.shape[-2]
    q, k, v = fold(query), fold(key), fold(value)
    nothing = torch.zeros(1, 1, 1, dtype=q.dtype, device=q.device)
    scores = torch.baddbmm(nothing, q, k.permute(0, 2, 1), beta=0, alpha=q.shape[-1] ** -0.5)
    return unfold(leading, *mix(scores, v, full_mask(mask, leading, length, source)))


class AdditiveAttention(nn.Module):
    def __init__(self, query_size, key_size, hidden_size):
        super().__init__()
        self.query_size = query_size
        self.hidden = nn.Linear(query_size + key_size, hidden_size, bias=False)
        self.v = nn.Parameter(torch.randn(hidden_size) / hidden_size**0.5)

    def load_named(self, weights):
        with torch.no_grad():
            self.hidden.weight.copy_(torch.cat([weights["query_proj.weight"], weights["key_proj.weight"]], dim=1))
            self.v.copy_(weights["score.weight"].flatten())

    def forward(self, query, key, value, mask=None):
        leading, length, source = query.shape[:-2], query.shape[-2], key.shape[-2]
        q, k = fold(query), fold(key)
        pairs = torch.cat(
            [q[:, :, None, :].expand(-1, -1, source, -1), k[:, None, :, :].expand(-1, length, -1, -1)], dim=-1
        )
        scores = torch.tanh(self.hidden(pairs)) @ self.v
        return unfold(leading, *mix(scores, fold(value), full_mask(mask, leading, length, source)))


largest_weight_with_scaling = 0.32
largest_weight_without_scaling = 0.94
