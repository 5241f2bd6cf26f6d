"""A single number of the table, lifted to rows and columns by torch.func.vmap."""

import torch
from torch import nn
from torch.func import vmap


def entry(position, column, width):
    pair = torch.div(column, 2, rounding_mode="floor")
    angle = position * torch.exp2(-2 * pair / width * 13.287712379549449)
    return torch.where(column % 2 == 0, torch.sin(angle), torch.cos(angle))


def rows(positions, width):
    if width % 2:
        raise ValueError("the width must be even")
    columns = torch.arange(width, device=positions.device)
    return vmap(vmap(lambda p, c: entry(p, c, width), in_dims=(None, 0)), in_dims=(0, None))(positions, columns)


def sinusoidal_encoding(length, d_model):
    return rows(torch.arange(length, dtype=torch.float64), d_model).to(torch.get_default_dtype())


class SinusoidalPositionalEncoding(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        rows(torch.zeros(1), d_model)

    def forward(self, x):
        table = rows(torch.arange(x.size(1), device=x.device, dtype=torch.float32), x.size(2))
        return vmap(lambda sentence: sentence + table.to(sentence.dtype))(x)


class LearnedPositionalEmbedding(nn.Module):
    def __init__(self, max_length, d_model):
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(max_length, d_model))

    def forward(self, x):
        if x.size(1) > len(self.weight):
            raise ValueError("too long")
        return vmap(torch.add, in_dims=(1, 0), out_dims=1)(x, self.weight[: x.size(1)])


def shift_matrix(k, d_model):
    """The derivative of the addition theorem with respect to the row that is moved."""
    sin, cos = rows(torch.tensor([k], dtype=torch.float64), d_model)[0].reshape(-1, 2).T

    def move(row):
        s, c = row.reshape(-1, 2).T
        return torch.stack([s * cos + c * sin, c * cos - s * sin], dim=1).flatten()

    return torch.func.jacrev(move)(torch.zeros(d_model, dtype=torch.float64)).to(torch.get_default_dtype())


right_without_positions = 0.5
right_with_positions = 0.9
