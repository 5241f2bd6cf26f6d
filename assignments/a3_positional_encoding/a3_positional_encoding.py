"""Positional encoding: 90 minutes, gentle, 20 points.

Write your code where it says `raise NotImplementedError`; `pytest` in this folder runs the public tests.
a3_positional_encoding.ipynb has the same exercise with explanations.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def sinusoidal_encoding(length, d_model):
    """The table of positions, sines and cosines taking turns (Vaswani et al. 2017, section 3.5).

    length:  how many positions, from 0 on
    d_model: how many columns; ValueError if odd
    returns  (length, d_model), in PyTorch's default dtype
    """
    raise NotImplementedError("sinusoidal_encoding")


class SinusoidalPositionalEncoding(nn.Module):
    """Adds the sinusoidal table to a batch of sentences of any length.

    Has no parameters, and nothing in its state_dict. ValueError if `d_model` is odd.
    """

    def __init__(self, d_model):
        super().__init__()
        # Refuse odd widths here, and make what you want to keep.

    def forward(self, x):
        """x: (B, T, d_model); returns x plus the first T rows, in the dtype and on the device of x."""
        raise NotImplementedError("SinusoidalPositionalEncoding.forward")


def shift_matrix(k, d_model):
    """The matrix that moves each position on by k steps: shift_matrix(k, d) @ PE[t] = PE[t + k].

    k:       any whole number, negative ones move back
    d_model: the width of the table; ValueError if odd
    returns  (d_model, d_model), in PyTorch's default dtype; may be off by 1e-5 + 2e-7 |k|
    """
    raise NotImplementedError("shift_matrix")


class LearnedPositionalEmbedding(nn.Module):
    """Adds a learnt vector for each position, up to a longest sentence.

    weight: (max_length, d_model), row t belongs to position t
    """

    def __init__(self, max_length, d_model):
        super().__init__()
        if d_model % 2:
            raise ValueError(f"d_model must be even, got {d_model}")
        self.weight = nn.Parameter(0.02 * torch.randn(max_length, d_model))

    def forward(self, x):
        """x: (B, T, d_model); returns x plus the first T rows of weight. ValueError if T > max_length."""
        raise NotImplementedError("LearnedPositionalEmbedding.forward")


right_without_positions = None
right_with_positions = None
