"""Stacks of copies whose weights are then drawn anew, functools.reduce for depth, methods taken apart, keyword calls."""

import copy
import functools
import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn


def attend(attention, query, memory, mask=None):
    """The padding of keys that nobody may see goes in as one mask, the rest as another."""
    if mask is None:
        return attention(query=query, key=memory, value=memory, need_weights=False)[0]
    visible = mask.broadcast_to(query.size(0), query.size(1), memory.size(1))
    empty = visible.logical_not().all(dim=2)
    additive = torch.zeros(visible.shape, dtype=query.dtype, device=query.device)
    additive = additive.masked_fill(visible.logical_not() & empty.logical_not().unsqueeze(2), float("-inf"))
    additive = additive.repeat_interleave(attention.num_heads, 0)
    output = attention(query=query, key=memory, value=memory, attn_mask=additive, need_weights=False)[0]
    filler = attention.out_proj.bias.expand_as(output)
    return torch.where(empty.unsqueeze(2), filler, output)


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)
        self.dropout = dropout

    def forward(self, x):
        return self.linear2(F.dropout(F.relu(self.linear1(x)), p=self.dropout, training=self.training))


def make_layer(layer, d_model, num_heads, d_ff, dropout, norms):
    attention = functools.partial(nn.MultiheadAttention, d_model, num_heads, dropout=dropout, batch_first=True)
    layer.self_attn = attention()
    if norms == 3:
        layer.cross_attn = attention()
    layer.feed_forward = FeedForward(d_model, d_ff, dropout)
    for i in range(norms):
        layer.add_module(f"norm{i + 1}", nn.LayerNorm(d_model, eps=1e-5))
    layer.dropout = nn.Dropout(dropout)


def through(layer, x, *sublayers):
    for number, sublayer in enumerate(sublayers, 1):
        norm = layer.get_submodule(f"norm{number}")
        x = x + layer.dropout(sublayer(norm(x))) if layer.norm_first else norm(x + layer.dropout(sublayer(x)))
    return x


class EncoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        make_layer(self, d_model, num_heads, d_ff, dropout, 2)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        return through(self, x, lambda y: attend(self.self_attn, y, y, mask), self.feed_forward)


class DecoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        make_layer(self, d_model, num_heads, d_ff, dropout, 3)
        self.norm_first = norm_first

    def forward(self, x, memory, mask=None, memory_mask=None):
        read, ask = (functools.partial(attend, attention) for attention in (self.self_attn, self.cross_attn))
        return through(self, x, lambda y: read(y, y, mask), lambda y: ask(y, memory, memory_mask), self.feed_forward)


def clones(layer, count):
    """Copies, each with weights drawn for it."""
    layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(count))
    for parameter in layers.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    return layers


class Encoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = clones(EncoderLayer(d_model, num_heads, d_ff, dropout, norm_first), num_layers)
        self.norm = nn.LayerNorm(d_model) if norm_first else (lambda x: x)

    def forward(self, x, mask=None):
        return self.norm(functools.reduce(lambda y, layer: layer(y, mask=mask), self.layers, x))


class Decoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = clones(DecoderLayer(d_model, num_heads, d_ff, dropout, norm_first), num_layers)
        self.norm = nn.LayerNorm(d_model) if norm_first else (lambda x: x)

    def forward(self, x, memory, mask=None, memory_mask=None):
        def step(y, layer):
            return layer(y, memory=memory, mask=mask, memory_mask=memory_mask)

        return self.norm(functools.reduce(step, self.layers, x))


def angles_to_table(count, width):
    position, column = torch.meshgrid(torch.arange(count), torch.arange(width), indexing="ij")
    angle = position * torch.exp(-math.log(1e4) * (column - column % 2) / width)
    return torch.sin(angle + (column % 2) * math.pi / 2)


class Transformer(nn.Module):
    def __init__(self, source_vocab, target_vocab, d_model, num_heads, num_layers, d_ff, dropout=0.1,
                 norm_first=False, source_pad=0, target_pad=0):
        super().__init__()
        self.source_embedding, self.target_embedding = (
            nn.Embedding(vocab, d_model) for vocab in (source_vocab, target_vocab)
        )
        self.encoder, self.decoder = (
            stack(num_layers=num_layers, d_model=d_model, num_heads=num_heads, d_ff=d_ff, dropout=dropout,
                  norm_first=norm_first)
            for stack in (Encoder, Decoder)
        )
        self.generator = nn.Linear(in_features=d_model, out_features=target_vocab)
        self.source_pad, self.target_pad, self.scale = source_pad, target_pad, d_model**0.5

    def forward(self, source, target_in):
        inputs = []
        for table, words in ((self.source_embedding, source), (self.target_embedding, target_in)):
            x = F.embedding(words, table.weight) * self.scale
            inputs.append(x + angles_to_table(words.size(1), x.size(2)).to(device=x.device, dtype=x.dtype))
        readable = source.ne(self.source_pad)[:, None, :]
        square = target_in.ne(self.target_pad)[:, None, :].repeat(1, target_in.size(1), 1)
        memory = self.encoder(inputs[0], mask=readable)
        return self.generator(self.decoder(inputs[1], memory=memory, mask=square.tril(), memory_mask=readable))


def greedy_decode(model, source, bos, eos, max_length):
    def write(rows):
        done = rows[:, 1:].eq(eos).any(1)
        if rows.size(1) == 1 + max_length or done.all():
            return rows
        words = model(source, rows)[:, -1, :].argmax(1).where(~done, torch.tensor(model.target_pad, device=rows.device))
        return write(torch.cat((rows, words[:, None]), 1))

    with torch.no_grad():
        return write(source.new_full((source.size(0), 1), bos))


@torch.no_grad()
def start_decoding(model, source):
    return [source]


@torch.no_grad()
def decode_step(model, token, cache):
    cache.append(token)
    return model(cache[0], torch.stack(cache[1:], 1)).select(1, -1), cache


@torch.no_grad()
def beam_search(model, source, bos, eos, beam_size, max_length):
    """Every hypothesis is a tuple (log-probability, words); all open ones of a row go through the model together."""
    answers = []
    for row in source:
        beam, finished = [(0.0, (bos,))], []
        for _ in range(max_length):
            words = torch.tensor([w for _, w in beam], device=row.device)
            steps = model(row[None].repeat(len(beam), 1), words)[:, -1].log_softmax(1).double().cpu().tolist()
            pool = ((t + p, (*w, i)) for (t, w), step in zip(beam, steps) for i, p in enumerate(step))
            pool = itertools.islice(sorted(pool, reverse=True), beam_size)
            beam = []
            for total, words in pool:
                (finished if words[-1] == eos else beam).append((total, words))
            if not beam:
                break
        answers.append(max((total / (len(words) - 1), words) for total, words in finished + beam))
    width = max(len(words) for _, words in answers)
    padded = [list(words) + [model.target_pad] * (width - len(words)) for _, words in answers]
    return torch.tensor(padded, device=source.device), torch.tensor([s for s, _ in answers], device=source.device)


steps_of_rnn = 100
steps_of_encoder = 14
