"""Attention and norms in float64 whatever comes in, positions from a table that was made beforehand."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def norm(layer, x):
    y = F.layer_norm(x.double(), x.shape[-1:], layer.weight.double(), layer.bias.double(), layer.eps)
    return y.to(x.dtype)


def attend(mha, x, memory, mask=None):
    q, k, v = (
        F.linear(y.double(), w.double(), b.double()).unflatten(-1, (mha.num_heads, -1)).transpose(1, 2)
        for y, w, b in zip((x, memory, memory), mha.in_proj_weight.chunk(3), mha.in_proj_bias.chunk(3))
    )
    bias = torch.zeros(x.size(0), 1, x.size(1), memory.size(1), dtype=torch.float64, device=x.device)
    alive = 1.0
    if mask is not None:
        visible = mask.expand(x.size(0), x.size(1), memory.size(1))[:, None]
        alive = visible.any(dim=-1, keepdim=True).double()
        bias = bias + torch.where(visible, 0.0, -1e30).double()
    weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.size(-1)) + bias, dim=-1) * alive
    weights = F.dropout(weights, mha.dropout, mha.training)
    context = (weights @ v).transpose(1, 2).reshape(x.shape)
    return F.linear(context, mha.out_proj.weight.double(), mha.out_proj.bias.double()).to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        hidden = self.linear1(x)
        return self.linear2(self.dropout((hidden + hidden.abs()) / 2))


class EncoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        if self.norm_first:
            y = norm(self.norm1, x)
            x = x + self.dropout(attend(self.self_attn, y, y, mask))
            return x + self.dropout(self.feed_forward(norm(self.norm2, x)))
        x = norm(self.norm1, x + self.dropout(attend(self.self_attn, x, x, mask)))
        return norm(self.norm2, x + self.dropout(self.feed_forward(x)))


class DecoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(d_model), nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, memory, mask=None, memory_mask=None):
        if self.norm_first:
            y = norm(self.norm1, x)
            x = x + self.dropout(attend(self.self_attn, y, y, mask))
            x = x + self.dropout(attend(self.cross_attn, norm(self.norm2, x), memory, memory_mask))
            return x + self.dropout(self.feed_forward(norm(self.norm3, x)))
        x = norm(self.norm1, x + self.dropout(attend(self.self_attn, x, x, mask)))
        x = norm(self.norm2, x + self.dropout(attend(self.cross_attn, x, memory, memory_mask)))
        return norm(self.norm3, x + self.dropout(self.feed_forward(x)))


class Encoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(d_model, num_heads, d_ff, dropout=dropout, norm_first=norm_first) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model) if norm_first else None

    def forward(self, x, mask=None):
        x = x.clone()
        for layer in self.layers:
            x = layer(x, mask)
        return x if self.norm is None else norm(self.norm, x)


class Decoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(d_model, num_heads, d_ff, dropout=dropout, norm_first=norm_first) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model) if norm_first else None

    def forward(self, x, memory, mask=None, memory_mask=None):
        for layer in self.layers:
            x = layer(x, memory, mask, memory_mask)
        return x if self.norm is None else norm(self.norm, x)


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
        place, pair = torch.arange(512).double(), torch.arange(d_model // 2).double()
        angle = place.outer((-2 * pair / d_model * math.log(10000)).exp())
        self.register_buffer("table", torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1), persistent=False)

    def embed(self, embedding, words, start=0):
        x = embedding(words).double() * math.sqrt(embedding.embedding_dim)
        return (x + self.table[start : start + words.size(1)]).to(embedding.weight.dtype)

    def memory(self, source):
        mask = source.not_equal(self.source_pad)[:, None]
        return self.encoder(self.embed(self.source_embedding, source), mask), mask

    def states(self, target, memory, memory_mask):
        look_back = torch.arange(target.size(1), device=target.device)
        mask = (look_back[None, :] <= look_back[:, None]) & target.not_equal(self.target_pad)[:, None]
        return self.decoder(self.embed(self.target_embedding, target), memory, mask, memory_mask)

    def forward(self, source, target_in):
        return self.generator(self.states(target_in, *self.memory(source)))


@torch.no_grad()
def greedy_decode(model, source, bos, eos, max_length):
    training = model.training
    model.eval()
    target = torch.full((source.shape[0], 1), bos, dtype=torch.int64, device=source.device)
    for _ in range(max_length):
        ended = (target[:, 1:] == eos).any(dim=1)
        if ended.all():
            break
        probabilities = model(source, target)[:, -1].softmax(dim=-1)
        target = torch.cat([target, torch.where(ended, model.target_pad, probabilities.argmax(dim=-1))[:, None]], dim=1)
    model.train(training)
    return target


@torch.no_grad()
def start_decoding(model, source):
    memory, mask = model.memory(source)
    return {"memory": memory, "mask": mask, "target": source[:, :0]}


@torch.no_grad()
def decode_step(model, token, cache):
    target = torch.cat([cache["target"], token.unsqueeze(1)], dim=1)
    logits = model.generator(model.states(target, cache["memory"], cache["mask"])[:, -1])
    return logits, {**cache, "target": target}


@torch.no_grad()
def beam_search(model, source, bos, eos, beam_size, max_length):
    sentences, scores = [], []
    for i in range(len(source)):
        ids = torch.full((1, 1), bos, dtype=torch.int64, device=source.device)
        total, finished = torch.zeros(1, 1, device=source.device), {}
        for n in range(1, 1 + max_length):
            steps = torch.log_softmax(model(source[i].expand(ids.size(0), -1), ids)[:, -1], dim=-1)
            values, flat = torch.sort((total + steps).flatten(), descending=True)
            values, flat = values[:beam_size], flat[:beam_size]
            ids = torch.cat([ids[flat // steps.size(1)], flat.remainder(steps.size(1))[:, None]], dim=1)
            for value, words in zip(values, ids):
                if words[-1] == eos or n == max_length:
                    finished[tuple(words.tolist())] = value.item() / n
            keep = ids[:, -1] != eos
            ids, total = ids[keep], values[keep, None]
            if not keep.any():
                break
        best = max(finished, key=finished.get)
        sentences.append(torch.tensor(best, device=source.device))
        scores.append(finished[best])
    rows = nn.utils.rnn.pad_sequence(sentences, batch_first=True, padding_value=model.target_pad)
    return rows, torch.tensor(scores, device=source.device)


steps_of_rnn = 100
steps_of_encoder = 12
