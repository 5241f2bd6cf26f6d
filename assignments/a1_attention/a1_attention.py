"""Attention: 90 minutes, gentle, 20 points.

Write your code where it says `raise NotImplementedError`; `pytest` in this folder runs the public tests.
a1_attention.ipynb has the same exercise with explanations.
"""

import math

import torch
from torch import nn


def masked_softmax(scores, mask=None):
    """Turn each row of scores into shares that sum to one, leaving out what is hidden.

    scores:  (..., L, S)
    mask:    boolean, broadcastable to (..., L, S), true where a query may look; None: everywhere
    returns  weights (..., L, S); a row in which nothing may be seen is all zero
    """
    raise NotImplementedError("masked_softmax")


def scaled_dot_product_attention(query, key, value, mask=None):
    """Mix the rows of `value`, each query weighting them by its similarity to the keys.

    query: (..., L, d)  key: (..., S, d)  value: (..., S, e)
    mask:  boolean, broadcastable to (..., L, S), true where a query may look; None: everywhere
    returns the pair context (..., L, e), weights (..., L, S)
    """
    raise NotImplementedError("scaled_dot_product_attention")


largest_weight_with_scaling = None
largest_weight_without_scaling = None


class AdditiveAttention(nn.Module):
    """Attention whose scores come from a small network with one hidden layer (Bahdanau et al. 2015, A.1.2).

    query_proj.weight: (hidden_size, query_size)  key_proj.weight: (hidden_size, key_size)
    score.weight:      (1, hidden_size)           no biases
    """

    def __init__(self, query_size, key_size, hidden_size):
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)  # W_a
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)  # U_a
        self.score = nn.Linear(hidden_size, 1, bias=False)  # v_a

    def forward(self, query, key, value, mask=None):
        """Mix the rows of `value`, each query weighting them by what the network says of it and the key.

        query: (..., L, query_size)  key: (..., S, key_size)  value: (..., S, e)
        mask:  boolean, broadcastable to (..., L, S), true where a query may look; None: everywhere
        returns the pair context (..., L, e), weights (..., L, S)
        """
        raise NotImplementedError("AdditiveAttention.forward")
