"""Weights in a layout of its own, one projection per head part, read in by load_named; residuals as a wrapper."""

import math

import torch
from torch import nn


def below(weights, prefix):
    return {name[len(prefix) + 1 :]: tensor for name, tensor in weights.items() if name.startswith(prefix + ".")}


def fill(linear, weight, bias):
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)


class Heads(nn.Module):
    def __init__(self, width, count, dropout):
        super().__init__()
        self.count, self.drop = count, nn.Dropout(dropout)
        self.to_query, self.to_key, self.to_value, self.back = (nn.Linear(width, width) for _ in range(4))

    def load_named(self, weights):
        parts = zip(weights["in_proj_weight"].chunk(3), weights["in_proj_bias"].chunk(3))
        for linear, (weight, bias) in zip((self.to_query, self.to_key, self.to_value), parts):
            fill(linear, weight, bias)
        fill(self.back, weights["out_proj.weight"], weights["out_proj.bias"])

    def forward(self, x, memory, mask):
        q, k, v = (
            to(y).reshape(y.size(0), y.size(1), self.count, -1).permute(0, 2, 1, 3)
            for to, y in ((self.to_query, x), (self.to_key, memory), (self.to_value, memory))
        )
        scores = torch.matmul(q / q.size(-1) ** 0.25, (k / k.size(-1) ** 0.25).mT)
        if mask is None:
            weights = scores.softmax(-1)
        else:
            mask = mask.expand(x.size(0), x.size(1), memory.size(1)).unsqueeze(1)
            weights = torch.where(mask, scores, torch.finfo(scores.dtype).min).softmax(-1)
            weights = torch.where(mask, weights, 0)
        return self.back((self.drop(weights) @ v).permute(0, 2, 1, 3).reshape(x.shape))


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d_model, d_ff), nn.ReLU(), nn.Dropout(dropout), nn.Linear(d_ff, d_model))

    def load_named(self, weights):
        fill(self.body[0], weights["linear1.weight"], weights["linear1.bias"])
        fill(self.body[3], weights["linear2.weight"], weights["linear2.bias"])

    def forward(self, x):
        return self.body(x)


class Residual(nn.Module):
    def __init__(self, width, dropout, norm_first, sublayer):
        super().__init__()
        self.norm, self.drop, self.norm_first, self.sublayer = nn.LayerNorm(width), nn.Dropout(dropout), norm_first, sublayer

    def load_named(self, norm, sublayer):
        fill(self.norm, norm["weight"], norm["bias"])
        self.sublayer.load_named(sublayer)

    def forward(self, x, *args, read_itself=False):
        inner = self.norm(x) if self.norm_first else x
        x = x + self.drop(self.sublayer(inner, *((inner,) if read_itself else ()), *args))
        return x if self.norm_first else self.norm(x)


class EncoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.read = Residual(d_model, dropout, norm_first, Heads(d_model, num_heads, dropout))
        self.think = Residual(d_model, dropout, norm_first, FeedForward(d_model, d_ff, dropout))

    def load_named(self, weights):
        self.read.load_named(below(weights, "norm1"), below(weights, "self_attn"))
        self.think.load_named(below(weights, "norm2"), below(weights, "feed_forward"))

    def forward(self, x, mask=None):
        return self.think(self.read(x, mask, read_itself=True))


class DecoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.reread = Residual(d_model, dropout, norm_first, Heads(d_model, num_heads, dropout))
        self.ask = Residual(d_model, dropout, norm_first, Heads(d_model, num_heads, dropout))
        self.think = Residual(d_model, dropout, norm_first, FeedForward(d_model, d_ff, dropout))

    def load_named(self, weights):
        self.reread.load_named(below(weights, "norm1"), below(weights, "self_attn"))
        self.ask.load_named(below(weights, "norm2"), below(weights, "cross_attn"))
        self.think.load_named(below(weights, "norm3"), below(weights, "feed_forward"))

    def forward(self, x, memory, mask=None, memory_mask=None):
        return self.think(self.ask(self.reread(x, mask, read_itself=True), memory, memory_mask))


class Pile(nn.Module):
    def __init__(self, layers, width, norm_first):
        super().__init__()
        self.steps, self.last = nn.ModuleList(layers), nn.LayerNorm(width) if norm_first else None

    def load_named(self, weights):
        for i, step in enumerate(self.steps):
            step.load_named(below(weights, f"layers.{i}"))
        if self.last is not None:
            fill(self.last, weights["norm.weight"], weights["norm.bias"])

    def climb(self, x, *args):
        for step in self.steps:
            x = step(x, *args)
        return x if self.last is None else self.last(x)


class Encoder(Pile):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        layers = [EncoderLayer(d_model, num_heads, d_ff, dropout, norm_first) for _ in range(num_layers)]
        super().__init__(layers, d_model, norm_first)

    def forward(self, x, mask=None):
        return self.climb(x, mask)


class Decoder(Pile):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        layers = [DecoderLayer(d_model, num_heads, d_ff, dropout, norm_first) for _ in range(num_layers)]
        super().__init__(layers, d_model, norm_first)

    def forward(self, x, memory, mask=None, memory_mask=None):
        return self.climb(x, memory, mask, memory_mask)


class Words(nn.Module):
    def __init__(self, count, width, pad):
        super().__init__()
        self.rows, self.pad = nn.Parameter(torch.randn(count, width) / math.sqrt(width)), pad

    def forward(self, words):
        width = self.rows.size(1)
        x = self.rows.index_select(0, words.flatten()).view(*words.shape, width) * math.sqrt(width)
        for i in range(0, width, 2):
            angle = torch.arange(words.size(1), device=words.device).to(x.dtype) / 10000 ** (i / width)
            pair = torch.stack([angle.sin(), angle.cos()], dim=-1)
            x = x + nn.functional.pad(pair, (i, width - i - 2))
        return x


class Transformer(nn.Module):
    def __init__(self, source_vocab, target_vocab, d_model, num_heads, num_layers, d_ff, dropout=0.1,
                 norm_first=False, source_pad=0, target_pad=0):
        super().__init__()
        self.source_pad, self.target_pad = source_pad, target_pad
        self.source_words = Words(source_vocab, d_model, source_pad)
        self.target_words = Words(target_vocab, d_model, target_pad)
        self.encoder = Encoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.decoder = Decoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.generator = nn.Linear(d_model, target_vocab)

    def load_named(self, weights):
        with torch.no_grad():
            self.source_words.rows.copy_(weights["source_embedding.weight"])
            self.target_words.rows.copy_(weights["target_embedding.weight"])
        self.encoder.load_named(below(weights, "encoder"))
        self.decoder.load_named(below(weights, "decoder"))
        fill(self.generator, weights["generator.weight"], weights["generator.bias"])

    def forward(self, source, target_in):
        mask = (source != self.source_pad)[:, None, :]
        memory = self.encoder(self.source_words(source), mask)
        place = torch.arange(target_in.size(1), device=target_in.device)
        visible = torch.le(place.view(1, 1, -1), place.view(1, -1, 1)) * (target_in != self.target_pad)[:, None, :]
        return self.generator(self.decoder(self.target_words(target_in), memory, visible, mask))


def greedy_decode(model, source, bos, eos, max_length):
    """Row by row, and put together in the end."""
    rows = []
    with torch.no_grad():
        for i in range(source.size(0)):
            row = source.new_tensor([[bos]])
            while row.size(1) <= max_length and (row.size(1) == 1 or row[0, -1] != eos):
                row = torch.cat([row, model(source[i : i + 1], row)[:, -1].argmax(1, keepdim=True)], dim=1)
            rows.append(row[0])
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=model.target_pad)


def start_decoding(model, source):
    return {"source": source, "words": None}


def decode_step(model, token, cache):
    """What went before is all that is kept: right, and slow."""
    words = token[:, None] if cache["words"] is None else torch.cat([cache["words"], token[:, None]], dim=1)
    return model(cache["source"], words)[:, -1], {"source": cache["source"], "words": words}


def beam_search(model, source, bos, eos, beam_size, max_length):
    def search(row):
        def spread(beams, length, done):
            if length > max_length or not beams:
                return done + [(total / max_length, words) for words, total in beams]
            grown = []
            for words, total in beams:
                log_p = model(row[None], row.new_tensor([words]))[0, -1].log_softmax(0)
                grown += [([*words, w], total + log_p[w]) for w in range(len(log_p))]
            grown = sorted(grown, key=lambda pair: -pair[1])[:beam_size]
            done = done + [(total / length, words) for words, total in grown if words[-1] == eos]
            return spread([pair for pair in grown if pair[0][-1] != eos], length + 1, done)

        return max(spread([([bos], torch.zeros((), device=row.device))], 1, []), key=lambda pair: pair[0])

    with torch.no_grad():
        found = [search(row) for row in source]
    rows = [source.new_tensor(words) for _, words in found]
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=model.target_pad)
    return padded, torch.stack([score for score, _ in found])


steps_of_rnn = 100.0
steps_of_encoder = 12.0
