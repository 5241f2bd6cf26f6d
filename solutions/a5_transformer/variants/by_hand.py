"""Everything down to the softmax and the norm by hand, with einsum and rsqrt; the modules only hold the weights."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def heads(x, weight, bias, h):
    y = torch.einsum("btd,ed->bte", x, weight) + bias
    return y.view(*y.shape[:2], h, -1)  # (b, t, h, k)


def weights_of(q, k, mask):
    scores = torch.einsum("blhk,bshk->bhls", q, k) / math.sqrt(q.size(-1))
    if mask is None:
        return scores.softmax(-1)
    visible = mask.expand(q.size(0), q.size(1), k.size(1)).unsqueeze(1)
    top = scores.masked_fill(~visible, -torch.inf).amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    e = torch.exp((scores - top).masked_fill(~visible, 0.0)) * visible
    return e / e.sum(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)


def attention(module, x, memory, mask, dropout, training):
    w_q, w_k, w_v = module.in_proj_weight.split(x.size(-1))
    b_q, b_k, b_v = module.in_proj_bias.split(x.size(-1))
    h = module.num_heads
    q, k, v = heads(x, w_q, b_q, h), heads(memory, w_k, b_k, h), heads(memory, w_v, b_v, h)
    weights = F.dropout(weights_of(q, k, mask), dropout, training)
    context = torch.einsum("bhls,bshk->blhk", weights, v).flatten(2)
    return torch.einsum("blk,dk->bld", context, module.out_proj.weight) + module.out_proj.bias


class Norm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width)), eps

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight + self.bias


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.linear1, self.linear2, self.p = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model), dropout

    def forward(self, x):
        hidden = (x @ self.linear1.weight.T + self.linear1.bias).clamp(min=0)
        return F.dropout(hidden, self.p, self.training) @ self.linear2.weight.T + self.linear2.bias


class Layer(nn.Module):
    def __init__(self, d_model, num_heads, dropout, norm_first, norms):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, batch_first=True)
        for i in range(norms):
            setattr(self, f"norm{i + 1}", Norm(d_model))
        self.p, self.norm_first = dropout, norm_first

    def drop(self, x):
        return F.dropout(x, self.p, self.training)

    def look(self, module, x, memory, mask):
        return self.drop(attention(module, x, memory, mask, self.p, self.training))


class EncoderLayer(Layer):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__(d_model, num_heads, dropout, norm_first, 2)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)

    def forward(self, x, mask=None):
        if not self.norm_first:
            x = self.norm1(x + self.look(self.self_attn, x, x, mask))
            return self.norm2(x + self.drop(self.feed_forward(x)))
        y = self.norm1(x)
        x = x + self.look(self.self_attn, y, y, mask)
        return x + self.drop(self.feed_forward(self.norm2(x)))


class DecoderLayer(Layer):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__(d_model, num_heads, dropout, norm_first, 3)
        self.cross_attn = nn.MultiheadAttention(d_model, num_heads, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)

    def forward(self, x, memory, mask=None, memory_mask=None):
        if not self.norm_first:
            x = self.norm1(x + self.look(self.self_attn, x, x, mask))
            x = self.norm2(x + self.look(self.cross_attn, x, memory, memory_mask))
            return self.norm3(x + self.drop(self.feed_forward(x)))
        y = self.norm1(x)
        x = x + self.look(self.self_attn, y, y, mask)
        x = x + self.look(self.cross_attn, self.norm2(x), memory, memory_mask)
        return x + self.drop(self.feed_forward(self.norm3(x)))


class Encoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        sizes = d_model, num_heads, d_ff, dropout, norm_first
        self.layers = nn.ModuleList([EncoderLayer(*sizes) for _ in range(num_layers)])
        self.norm = Norm(d_model) if norm_first else nn.Identity()

    def forward(self, x, mask=None):
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)


class Decoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        sizes = d_model, num_heads, d_ff, dropout, norm_first
        self.layers = nn.ModuleList([DecoderLayer(*sizes) for _ in range(num_layers)])
        self.norm = Norm(d_model) if norm_first else nn.Identity()

    def forward(self, x, memory, mask=None, memory_mask=None):
        for layer in self.layers:
            x = layer(x, memory, mask, memory_mask)
        return self.norm(x)


def waves(first, last, width, like):
    place = torch.arange(first, last, dtype=torch.float64, device=like.device)
    angles = torch.einsum("t,i->ti", place, 10000 ** -(torch.arange(0, width, 2, device=like.device).double() / width))
    return torch.stack([angles.sin(), angles.cos()], -1).reshape(len(place), width).to(like)


class Transformer(nn.Module):
    def __init__(self, source_vocab, target_vocab, d_model, num_heads, num_layers, d_ff, dropout=0.1,
                 norm_first=False, source_pad=0, target_pad=0):
        super().__init__()
        self.source_pad, self.target_pad = source_pad, target_pad
        self.source_embedding, self.target_embedding = nn.Embedding(source_vocab, d_model), nn.Embedding(target_vocab, d_model)
        self.encoder = Encoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.decoder = Decoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.generator = nn.Linear(d_model, target_vocab)

    def forward(self, source, target_in):
        def embed(table, words):
            x = table.weight[words]
            return x * x.size(-1) ** 0.5 + waves(0, words.size(1), x.size(-1), x)

        place = torch.arange(target_in.size(1), device=target_in.device)
        allowed = (place[:, None] >= place[None, :])[None] & (target_in != self.target_pad)[:, None]
        real = (source != self.source_pad)[:, None]
        memory = self.encoder(embed(self.source_embedding, source), real)
        x = self.decoder(embed(self.target_embedding, target_in), memory, allowed, real)
        return torch.einsum("btd,vd->btv", x, self.generator.weight) + self.generator.bias


def greedy_decode(model, source, bos, eos, max_length):
    rows = [[bos] for _ in source]
    with torch.no_grad():
        while len(rows[0]) <= max_length and not all(eos in row[1:] for row in rows):
            logits = model(source, torch.tensor(rows, device=source.device))[:, -1]
            for row, scores in zip(rows, logits):
                row.append(model.target_pad if eos in row[1:] else int(torch.argmax(scores)))
    return torch.tensor(rows, device=source.device)


class Cache:
    """Keys and values so far, of each layer; the memory's are computed once."""

    def __init__(self, model, source):
        self.real = (source != model.source_pad)[:, None]
        x = model.source_embedding(source)
        self.memory = model.encoder(x * x.size(-1) ** 0.5 + waves(0, source.size(1), x.size(-1), x), self.real)
        self.seen = source[:, :0]
        self.past = [self.memory[:, :0] for _ in model.decoder.layers]  # what each layer's self-attention has read


@torch.no_grad()
def start_decoding(model, source):
    return Cache(model, source)


@torch.no_grad()
def decode_step(model, token, cache):
    cache.seen = torch.cat([cache.seen, token[:, None]], 1)
    t = cache.seen.size(1)
    x = model.target_embedding(token)[:, None]
    x = x * x.size(-1) ** 0.5 + waves(t - 1, t, x.size(-1), x)
    mask = (cache.seen != model.target_pad)[:, None]
    for i, layer in enumerate(model.decoder.layers):
        y = layer.norm1(x) if layer.norm_first else x
        cache.past[i] = torch.cat([cache.past[i], y], 1)
        x = x + layer.look(layer.self_attn, y, cache.past[i], mask)
        x = x if layer.norm_first else layer.norm1(x)
        x = x + layer.look(layer.cross_attn, layer.norm2(x) if layer.norm_first else x, cache.memory, cache.real)
        x = x if layer.norm_first else layer.norm2(x)
        x = x + layer.drop(layer.feed_forward(layer.norm3(x) if layer.norm_first else x))
        x = x if layer.norm_first else layer.norm3(x)
    return model.generator(model.decoder.norm(x))[:, 0], cache


@torch.no_grad()
def beam_search(model, source, bos, eos, beam_size, max_length):
    results = []
    for row in source:
        live, ended = torch.tensor([[bos]], device=source.device), []
        total = torch.zeros(1, dtype=torch.float64, device=source.device)
        for n in range(1, max_length + 1):
            log_p = model(row.repeat(len(live), 1), live)[:, -1].double().log_softmax(-1)
            every = (total[:, None] + log_p).reshape(-1)
            order = torch.argsort(every, descending=True, stable=True)[:beam_size]
            live = torch.cat([live[order // log_p.size(1)], (order % log_p.size(1))[:, None]], 1)
            total = every[order]
            stop = live[:, -1] == eos
            ended += [(float(s) / n, words) for s, words in zip(total[stop], live[stop])]
            live, total = live[~stop], total[~stop]
            if live.size(0) == 0:
                break
        ended += [(float(s) / max_length, words) for s, words in zip(total, live)]
        results.append(max(ended, key=lambda pair: pair[0]))
    rows = torch.full((len(results), 1 + max_length), model.target_pad, device=source.device)
    for i, (_, words) in enumerate(results):
        rows[i, : len(words)] = words
    return rows, torch.tensor([score for score, _ in results], device=source.device)


steps_of_rnn = 101
steps_of_encoder = 12
