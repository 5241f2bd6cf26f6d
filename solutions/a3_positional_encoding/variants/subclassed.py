"""The learnt kind is an nn.Embedding, the fixed one inherits its sum; in double precision inside."""

import math

import torch
from torch import nn


def frequencies(d_model):
    if d_model % 2:
        raise ValueError("d_model must be even")
    return torch.exp(torch.linspace(0, -math.log(10000), d_model // 2 + 1, dtype=torch.float64)[:-1])


def table(positions, d_model):
    angle = torch.einsum("p,f->pf", positions.double(), frequencies(d_model).to(positions.device))
    return torch.cat([angle.sin().unsqueeze(2), angle.cos().unsqueeze(2)], dim=2).view(len(positions), d_model)


def sinusoidal_encoding(length, d_model):
    return table(torch.arange(length), d_model).to(torch.get_default_dtype())


class Added(nn.Module):
    def rows(self, x):
        raise NotImplementedError

    def forward(self, x):
        return self.rows(x).to(x.dtype).unsqueeze(0) + x


class SinusoidalPositionalEncoding(Added):
    def __init__(self, d_model):
        super().__init__()
        self.d_model = len(frequencies(d_model)) * 2

    def rows(self, x):
        return table(torch.arange(x.size(1), device=x.device), self.d_model)


class LearnedPositionalEmbedding(nn.Embedding):
    def __init__(self, max_length, d_model):
        super().__init__(max_length, d_model)

    def forward(self, x):
        if x.size(1) > self.num_embeddings:
            raise ValueError(f"longer than {self.num_embeddings}")
        return super().forward(torch.arange(x.size(1), device=x.device)).expand_as(x) + x


def shift_matrix(k, d_model):
    angle = k * frequencies(d_model)
    matrix = torch.zeros(d_model, d_model)
    pairs = matrix.view(d_model // 2, 2, d_model // 2, 2).diagonal(dim1=0, dim2=2)  # (2, 2, d_model / 2), a view
    pairs[0, 0], pairs[1, 1] = angle.cos(), angle.cos()
    pairs[0, 1], pairs[1, 0] = angle.sin(), -angle.sin()
    return matrix


right_without_positions = torch.tensor(0.5)
right_with_positions = torch.tensor(0.9)
