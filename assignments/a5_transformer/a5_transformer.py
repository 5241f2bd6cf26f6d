"""The Transformer: 300 minutes, demanding, 56 points.

Write your code where it says `raise NotImplementedError`; `pytest` in this folder runs the public tests.
a5_transformer.ipynb has the same exercise with explanations.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def attend(attention, query, memory, mask=None):
    """Let each row of `query` read from the rows of `memory`, by way of an nn.MultiheadAttention. Given.

    query: (B, L, d)  memory: (B, S, d); for self-attention they are the same
    mask:  boolean, broadcastable to (B, L, S), true where a query may look; None: everywhere
    returns (B, L, d); a query that may look nowhere has a zero context, and gets out_proj.bias
    """
    batch, length, source = query.size(0), query.size(1), memory.size(1)
    if mask is None:
        mask = torch.ones(source, dtype=torch.bool, device=query.device)
    mask = mask.expand(batch, length, source)
    empty = ~mask.any(dim=-1, keepdim=True)  # (B, L, 1): these look everywhere for a moment, or they would be NaN
    hidden = ~(mask | empty).repeat_interleave(attention.num_heads, dim=0)  # (B * heads, L, S), the other way round
    output, weights = attention(query, memory, memory, attn_mask=hidden, average_attn_weights=False)
    attention.seen = weights.detach()  # (B, heads, L, S)
    return torch.where(empty, attention.out_proj.bias, output)


def positions(x, start=0):
    """The sines and cosines for the positions from `start` on, (T, d_model), for x (B, T, d_model). Given."""
    time = torch.arange(start, start + x.size(1), device=x.device)
    rate = 10000 ** (-torch.arange(0, x.size(2), 2, device=x.device) / x.size(2))
    angle = time[:, None] * rate  # (T, d_model / 2)
    circle = torch.polar(torch.ones_like(angle), math.pi / 2 - angle)
    return torch.view_as_real(circle).flatten(-2).to(x.dtype)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU in between, for each word alone (Vaswani et al. 2017, section 3.3).

    linear1.weight: (d_ff, d_model)  linear1.bias: (d_ff,)
    linear2.weight: (d_model, d_ff)  linear2.bias: (d_model,)
    """

    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_ff)  # W_1, b_1
        self.linear2 = nn.Linear(d_ff, d_model)  # W_2, b_2
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        """x: (..., d_model) → (..., d_model)"""
        raise NotImplementedError("FeedForward.forward")


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each in a residual connection with a LayerNorm (section 3.1).

    self_attn.in_proj_weight: (3 d_model, d_model)     self_attn.in_proj_bias: (3 d_model,)    as nn.MultiheadAttention
    self_attn.out_proj.weight: (d_model, d_model)      self_attn.out_proj.bias: (d_model,)
    feed_forward.*: as in FeedForward                  norm1.*, norm2.*: weight and bias (d_model,)
    """

    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        """x: (B, T, d_model) → (B, T, d_model)

        mask: boolean, broadcastable to (B, T, T), true where a word may look; None: everywhere
        """
        raise NotImplementedError("EncoderLayer.forward")


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to the memory, feed-forward; each in a residual connection with a LayerNorm.

    self_attn.*, cross_attn.*: in_proj_weight, in_proj_bias, out_proj.weight, out_proj.bias, as in EncoderLayer
    feed_forward.*: as in FeedForward            norm1.*, norm2.*, norm3.*: weight and bias (d_model,)
    """

    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.norm3 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, memory, mask=None, memory_mask=None):
        """x: (B, T, d_model), memory: (B, S, d_model) → (B, T, d_model)

        mask:        boolean, broadcastable to (B, T, T), true where a word may look in x; None: everywhere
        memory_mask: boolean, broadcastable to (B, T, S), true where a word may look in memory; None: everywhere
        """
        raise NotImplementedError("DecoderLayer.forward")


class Encoder(nn.Module):
    """Several encoder layers, one after the other.

    layers.0.*, layers.1.*, ...: as in EncoderLayer
    norm.weight, norm.bias:      (d_model,), only if norm_first
    """

    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        raise NotImplementedError("Encoder.__init__")

    def forward(self, x, mask=None):
        """x: (B, T, d_model) → (B, T, d_model); mask: as in EncoderLayer"""
        raise NotImplementedError("Encoder.forward")


class Decoder(nn.Module):
    """Several decoder layers, one after the other, all reading the same memory.

    layers.0.*, layers.1.*, ...: as in DecoderLayer
    norm.weight, norm.bias:      (d_model,), only if norm_first
    """

    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        raise NotImplementedError("Decoder.__init__")

    def forward(self, x, memory, mask=None, memory_mask=None):
        """x: (B, T, d_model), memory: (B, S, d_model) → (B, T, d_model); masks: as in DecoderLayer"""
        raise NotImplementedError("Decoder.forward")


class Transformer(nn.Module):
    """The encoder–decoder of Figure 1: from word numbers to logits of the next word. Parameters: see the table."""

    def __init__(self, source_vocab, target_vocab, d_model, num_heads, num_layers, d_ff, dropout=0.1,
                 norm_first=False, source_pad=0, target_pad=0):
        super().__init__()
        if d_model % 2:
            raise ValueError(f"d_model must be even, not {d_model}: sines and cosines come in pairs")
        self.source_pad, self.target_pad = source_pad, target_pad
        self.source_embedding = nn.Embedding(source_vocab, d_model)
        self.target_embedding = nn.Embedding(target_vocab, d_model)
        self.encoder = Encoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.decoder = Decoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.generator = nn.Linear(d_model, target_vocab)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=d_model**-0.5)

    def forward(self, source, target_in):
        """source: (B, S), target_in: (B, T), word numbers → logits (B, T, target_vocab) of the words that follow"""
        raise NotImplementedError("Transformer.forward")


@torch.no_grad()
def greedy_decode(model, source, bos, eos, max_length):
    """Write the most likely next word until every row has ended.

    source: (B, S)  bos, eos: word numbers  max_length: how many words at most, `eos` counted and `bos` not
    returns (B, T), T at most 1 + max_length: in each row bos, the words, eos, then model.target_pad to the end;
            a row that has not ended after max_length words has no eos. Of words that are equally likely, the one
            with the lowest number is written.
    """
    raise NotImplementedError("greedy_decode")


steps_of_rnn = None
steps_of_encoder = None


def project(attention, x, part):
    """x (B, T, d) through the query (0), key (1) or value (2) projection, split: (B, heads, T, d / heads). Given."""
    weight, bias = attention.in_proj_weight.chunk(3)[part], attention.in_proj_bias.chunk(3)[part]
    return F.linear(x, weight, bias).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)


@torch.no_grad()
def start_decoding(model, source):
    """Read `source` (B, S) with a Transformer, and return the cache for an empty target."""
    raise NotImplementedError("start_decoding")


@torch.no_grad()
def decode_step(model, token, cache):
    """One word further. token: (B,), the next word of each row → logits (B, V) of the word after it, and the cache."""
    raise NotImplementedError("decode_step")


@torch.no_grad()
def beam_search(model, source, bos, eos, beam_size, max_length):
    """Write the sentence with the best score that a beam of `beam_size` beginnings finds.

    Arguments and rows as in greedy_decode.
    returns the pair (B, T) of sentences, (B,) of their scores: log-probability / number of words, eos counted
    """
    raise NotImplementedError("beam_search")
