"""One matrix product for all three projections where the text looks at itself; masks are added as zeros and minus infinity."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    return x.unflatten(-1, (num_heads, -1)).permute(0, 2, 1, 3).contiguous()


def merge_heads(x: Tensor) -> Tensor:
    return x.permute(0, 2, 1, 3).contiguous().flatten(-2)


def causal_mask(n: int, device: torch.device | str | None = None) -> Tensor:
    return ~torch.triu(torch.ones((n, n), dtype=torch.bool, device=device), diagonal=1)


def padding_mask(tokens: Tensor, pad_id: int) -> Tensor:
    return (tokens != pad_id).view(tokens.size(0), 1, 1, tokens.size(1))


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        if d_model // num_heads * num_heads != d_model:
            raise ValueError(f"{d_model} is no multiple of {num_heads}")
        self.num_heads = num_heads
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            self.add_module(name, nn.Linear(d_model, d_model))

    def project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        linears = (self.q_proj, self.k_proj, self.v_proj)
        if query is key and key is value:
            weight = torch.cat([linear.weight for linear in linears])
            bias = torch.cat([linear.bias for linear in linears])
            return list(functional.linear(query, weight, bias).chunk(3, dim=-1))
        return [linear(x) for linear, x in zip(linears, (query, key, value))]

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        q, k, v = (split_heads(x, self.num_heads) for x in self.project(query, key, value))
        scores = torch.matmul(q, k.mT) / q.size(-1) ** 0.5
        if mask is None:
            weights = functional.softmax(scores, dim=-1)
        else:
            somewhere = mask.any(dim=-1, keepdim=True)
            hidden = torch.zeros_like(scores).masked_fill(~(mask | ~somewhere), float("-inf"))
            weights = functional.softmax(scores + hidden, dim=-1) * somewhere
        return self.out_proj(merge_heads(weights @ v)), weights


share_without_the_reader: float = 0.625
