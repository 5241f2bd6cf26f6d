"""One complex exponential for each pair, computed anew in every call; the matrix acts on real and imaginary parts."""

import torch
from torch import nn


def hands(position, d_model):
    """position (n,) -> (n, d_model / 2), e to the i omega position"""
    if d_model % 2 == 1:
        raise ValueError("odd d_model")
    omega = torch.logspace(0, -4, d_model // 2 + 1, dtype=torch.float64)[:-1]
    angle = torch.outer(position.double(), omega)
    return torch.polar(torch.ones_like(angle), angle)


def sinusoidal_encoding(length, d_model):
    turned = 1j * hands(torch.arange(length), d_model).conj()  # real part sin, imaginary part cos
    return torch.view_as_real(turned).reshape(length, d_model).to(torch.get_default_dtype())


class SinusoidalPositionalEncoding(nn.Module):
    def __init__(self, d_model: int) -> None:
        super().__init__()
        hands(torch.zeros(1), d_model)
        self.d_model = d_model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.add(x, sinusoidal_encoding(x.shape[1], self.d_model).type_as(x))


class LearnedPositionalEmbedding(nn.Module):
    def __init__(self, max_length, d_model):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max_length, d_model).normal_(std=0.02))

    def forward(self, x):
        if x.shape[1] > self.weight.shape[0]:
            raise ValueError("too long")
        return torch.add(x, self.weight.narrow(0, 0, x.shape[1]))


def shift_matrix(k, d_model):
    one = hands(torch.tensor([k]), d_model)[0]
    rows = [torch.stack([one.real, one.imag], dim=1).flatten(), torch.stack([-one.imag, one.real], dim=1).flatten()]
    matrix = torch.stack(rows, dim=0).repeat(d_model // 2, 1)  # every row of blocks alike ...
    mask = torch.block_diag(*[torch.ones(2, 2)] * (d_model // 2))  # ... of which each keeps its own
    return (matrix * mask).to(torch.get_default_dtype())


right_without_positions = 0.5
right_with_positions = 0.9
