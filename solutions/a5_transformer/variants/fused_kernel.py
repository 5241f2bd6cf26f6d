"""F.scaled_dot_product_attention on projections made at once, one class for both layers, functions for the rest."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def attend(mha, x, memory, mask, training):
    h = mha.num_heads
    if x is memory:
        q, k, v = F.linear(x, mha.in_proj_weight, mha.in_proj_bias).chunk(3, dim=-1)
    else:
        d = x.size(-1)
        q = F.linear(x, mha.in_proj_weight[:d], mha.in_proj_bias[:d])
        k, v = F.linear(memory, mha.in_proj_weight[d:], mha.in_proj_bias[d:]).chunk(2, dim=-1)
    q, k, v = (t.unflatten(-1, (h, -1)).transpose(1, 2) for t in (q, k, v))
    if mask is not None:
        mask = mask.expand(q.size(0), q.size(2), k.size(2))[:, None]
        blind = ~mask.any(-1, keepdim=True)
        context = F.scaled_dot_product_attention(q, k, v, mask | blind, dropout_p=mha.dropout if training else 0.0)
        context = context.masked_fill(blind, 0)
    else:
        context = F.scaled_dot_product_attention(q, k, v, dropout_p=mha.dropout if training else 0.0)
    return mha.out_proj(context.transpose(1, 2).flatten(-2))


class FeedForward(nn.Sequential):
    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_ff)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout, inplace=False)
        self.linear2 = nn.Linear(d_ff, d_model)


class Block(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout, norm_first, cross):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        if cross:
            self.cross_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        if cross:
            self.norm3 = nn.LayerNorm(d_model)
        self.dropout, self.norm_first, self.cross = nn.Dropout(dropout), norm_first, cross

    def forward(self, x, memory=None, mask=None, memory_mask=None):
        parts = [(self.norm1, lambda y: attend(self.self_attn, y, y, mask, self.training))]
        if self.cross:
            parts += [(self.norm2, lambda y: attend(self.cross_attn, y, memory, memory_mask, self.training))]
        parts += [(self.norm3 if self.cross else self.norm2, self.feed_forward)]
        for norm, sublayer in parts:
            if self.norm_first:
                x = torch.add(x, self.dropout(sublayer(norm(x))))
            else:
                x = norm(torch.add(x, self.dropout(sublayer(x))))
        return x


class EncoderLayer(Block):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__(d_model, num_heads, d_ff, dropout, norm_first, cross=False)

    def forward(self, x, mask=None):
        return super().forward(x, mask=mask)


class DecoderLayer(Block):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__(d_model, num_heads, d_ff, dropout, norm_first, cross=True)


class Stack(nn.Module):
    kind = None

    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = nn.ModuleList(self.kind(d_model, num_heads, d_ff, dropout, norm_first) for _ in range(num_layers))
        self.norm = nn.LayerNorm(d_model) if norm_first else None

    def forward(self, x, *others, **named):
        for layer in self.layers:
            x = layer(x, *others, **named)
        return self.norm(x) if self.norm else x


class Encoder(Stack):
    kind = EncoderLayer


class Decoder(Stack):
    kind = DecoderLayer


class Transformer(nn.Module):
    def __init__(self, source_vocab, target_vocab, d_model, num_heads, num_layers, d_ff, dropout=0.1,
                 norm_first=False, source_pad=0, target_pad=0):
        super().__init__()
        self.source_pad, self.target_pad = source_pad, target_pad
        self.source_embedding = nn.Embedding(source_vocab, d_model)
        self.target_embedding = nn.Embedding(target_vocab, d_model)
        self.encoder = Encoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.decoder = Decoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.generator = nn.Linear(d_model, target_vocab)
        self.grow(64)

    def grow(self, length):
        """The table of positions, kept beside the parameters and made longer where it must be."""
        width = self.generator.in_features
        place = torch.arange(length)[:, None] / torch.pow(10000.0, torch.arange(width) // 2 * 2 / width)
        even = torch.arange(width) % 2 == 0
        table = torch.where(even, place.sin(), place.cos()).to(self.generator.weight.device)
        self.register_buffer("table", table, persistent=False)

    def embed(self, embedding, words, first=0):
        if first + words.size(1) > len(self.table):
            self.grow(2 * (first + words.size(1)))
        x = embedding(words)
        return torch.add(self.table[first : first + words.size(1)].to(x.dtype), x, alpha=math.sqrt(x.size(-1)))

    def forward(self, source, target_in):
        real = (source != self.source_pad).unsqueeze(1)
        so_far = torch.ones(target_in.size(1), target_in.size(1), device=source.device).tril() > 0
        mask = torch.logical_and(so_far, (target_in != self.target_pad).unsqueeze(1))
        memory = self.encoder(self.embed(self.source_embedding, source), mask=real)
        states = self.decoder(self.embed(self.target_embedding, target_in), memory, mask=mask, memory_mask=real)
        return self.generator(states)


@torch.inference_mode()
def greedy_decode(model, source, bos, eos, max_length):
    words = source.new_full((len(source), 1), bos)
    alive = source.new_ones((len(source), 1))
    for _ in range(max_length):
        new = model(source, words)[:, -1:].max(dim=-1).indices
        new = new * alive + model.target_pad * (1 - alive)
        words, alive = torch.hstack([words, new]), alive * (new != eos)
        if alive.sum() == 0:
            break
    return words


def start_decoding(model, source):
    real = (source != model.source_pad).unsqueeze(1)
    memory = model.encoder(model.embed(model.source_embedding, source), mask=real)
    return memory, real, source[:, :0], tuple(memory[:, :0] for _ in model.decoder.layers)


def decode_step(model, token, cache):
    memory, real, words, past = cache
    words = torch.hstack([words, token[:, None]])
    x = model.embed(model.target_embedding, token[:, None], words.size(1) - 1)
    mask, now = (words != model.target_pad)[:, None], []
    for layer, before in zip(model.decoder.layers, past):
        first = layer.norm_first
        y = layer.norm1(x) if first else x
        now.append(torch.hstack([before, y]))
        x = x + attend(layer.self_attn, y, now[-1], mask, False)
        x = x if first else layer.norm1(x)
        x = x + attend(layer.cross_attn, layer.norm2(x) if first else x, memory, real, False)
        x = x if first else layer.norm2(x)
        x = x + layer.feed_forward(layer.norm3(x) if first else x)
        x = x if first else layer.norm3(x)
    if model.decoder.norm:
        x = model.decoder.norm(x)
    return model.generator(x).squeeze(1), (memory, real, words, tuple(now))


@torch.no_grad()
def beam_search(model, source, bos, eos, beam_size, max_length):
    """All rows at once: a closed beginning can't be extended, and beams that are not there have probability 0."""
    n, device = len(source), source.device
    ids = torch.full((n, 1, 1), bos, device=device)
    total = torch.zeros(n, 1, device=device)
    best = torch.full((n,), -torch.inf, device=device)
    answer = torch.full((n, 1 + max_length), model.target_pad, device=device)
    for length in range(1, max_length + 1):
        k = ids.size(1)
        spread = source[:, None].expand(n, k, -1).reshape(n * k, -1)
        log_p = model(spread, ids.reshape(n * k, -1))[:, -1].log_softmax(-1).reshape(n, k, -1)
        grown = (total[..., None] + log_p).reshape(n, -1)
        total, place = grown.topk(min(beam_size, grown.size(1)), dim=-1)
        parent, word = place // log_p.size(-1), place % log_p.size(-1)
        ids = torch.cat([ids.gather(1, parent[..., None].expand(-1, -1, length)), word[..., None]], dim=-1)
        closed = (word == eos) | (length == max_length)
        score, which = (total / length).masked_fill(~closed, -torch.inf).max(dim=-1)
        better = score > best
        best = torch.where(better, score, best)
        answer[better, : length + 1] = ids[better, which[better]]
        answer[better, length + 1 :] = model.target_pad
        total = total.masked_fill(closed, -torch.inf)
        if total.isinf().all():
            break
    return answer, best


steps_of_rnn = 100
steps_of_encoder = 12
