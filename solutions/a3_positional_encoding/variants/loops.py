"""math.sin in loops; tables and matrices are remembered by functools.lru_cache."""

import functools
import math

import torch
from torch import nn


def even(d_model):
    if d_model % 2:
        raise ValueError(f"{d_model} is odd")
    return d_model


@functools.lru_cache(maxsize=8)
def sinusoidal_encoding(length, d_model):
    columns = []
    for i in range(even(d_model) // 2):
        frequency = 10000 ** (-2 * i / d_model)
        columns.append([math.sin(pos * frequency) for pos in range(length)])
        columns.append([math.cos(pos * frequency) for pos in range(length)])
    return torch.tensor(columns).T


class SinusoidalPositionalEncoding(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.d_model = even(d_model)

    def forward(self, x):
        table = sinusoidal_encoding(x.size(1), self.d_model).to(x.device, x.dtype)
        return torch.stack([sentence + table for sentence in x])


class LearnedPositionalEmbedding(nn.Module):
    def __init__(self, max_length, d_model):
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(max_length, d_model))

    def forward(self, x):
        if x.size(1) > len(self.weight):
            raise ValueError("no such position")
        return torch.stack([torch.stack([word + row for word, row in zip(item, self.weight)]) for item in x])


@functools.lru_cache
def shift_matrix(k, d_model):
    matrix = [[0.0] * d_model for _ in range(even(d_model))]
    for i in range(0, d_model, 2):
        angle = k * math.exp(-i / d_model * math.log(10000))
        matrix[i][i] = matrix[i + 1][i + 1] = math.cos(angle)
        matrix[i][i + 1], matrix[i + 1][i] = math.sin(angle), -math.sin(angle)
    return torch.tensor(matrix)


right_without_positions = 0.50
right_with_positions = 0.9
