"""As most code has it: exp of a log, sines and cosines written into slices, and a table of 5,000 rows in a buffer."""

import math

import torch
from torch import nn


def sinusoidal_encoding(length, d_model):
    if d_model % 2 != 0:
        raise ValueError(f"Cannot use sin/cos positional encoding with odd dim (got {d_model})")
    pe = torch.zeros(length, d_model)
    position = torch.arange(0, length).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float) * -(math.log(10000.0) / d_model))
    pe[:, 0::2] = torch.sin(position.float() * div_term)
    pe[:, 1::2] = torch.cos(position.float() * div_term)
    return pe


class SinusoidalPositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len=5000):
        super().__init__()
        self.d_model = d_model
        self.register_buffer("pe", sinusoidal_encoding(max_len, d_model).unsqueeze(0), persistent=False)

    def forward(self, x):
        if x.size(1) > self.pe.size(1):
            self.pe = sinusoidal_encoding(x.size(1), self.d_model).unsqueeze(0).to(self.pe)
        return x + self.pe[:, : x.size(1)].to(dtype=x.dtype, device=x.device)


class LearnedPositionalEmbedding(nn.Module):
    def __init__(self, max_length, d_model):
        super().__init__()
        self.max_length = max_length
        self.weight = nn.Parameter(torch.zeros(max_length, d_model))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x):
        batch, length, width = x.size()
        if length > self.max_length:
            raise ValueError(f"Sequence of length {length} exceeds maximum {self.max_length}")
        return x + self.weight[None, :length].expand(batch, length, width)


def shift_matrix(k, d_model):
    if d_model % 2 != 0:
        raise ValueError("d_model must be even")
    div_term = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float) * -(math.log(10000.0) / d_model))
    matrix = torch.zeros(d_model, d_model)
    for i, w in enumerate(div_term):
        matrix[2 * i, 2 * i] = torch.cos(k * w)
        matrix[2 * i, 2 * i + 1] = torch.sin(k * w)
        matrix[2 * i + 1, 2 * i] = -torch.sin(k * w)
        matrix[2 * i + 1, 2 * i + 1] = torch.cos(k * w)
    return matrix


right_without_positions = 0.51
right_with_positions = 0.89
