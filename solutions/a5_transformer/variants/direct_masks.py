"""nn.MultiheadAttention called as it is, with both of its masks; a stack is a loop with indices; nothing given is used."""

import math

import torch
from torch import nn


def read(attention, queries, memory, mask):
    """Hidden rows see everything for a moment, then they get the bias."""
    b, n, m = queries.shape[0], queries.shape[1], memory.shape[1]
    if mask is None:
        return attention(queries, memory, memory, need_weights=False)[0]
    visible = torch.broadcast_to(mask, (b, n, m))
    nothing = visible.sum(-1) == 0  # (b, n)
    blocked = torch.where(nothing[..., None], False, ~visible)
    blocked = blocked[:, None].expand(b, attention.num_heads, n, m).reshape(-1, n, m)
    out, _ = attention(queries, memory, memory, attn_mask=blocked, need_weights=False)
    return out.masked_fill(nothing[..., None], 0) + nothing[..., None] * attention.out_proj.bias


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)
        self.act, self.drop = nn.ReLU(), nn.Dropout(dropout)

    def forward(self, x):
        return self.linear2(self.drop(self.act(self.linear1(x))))


class EncoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.drop1, self.drop2 = nn.Dropout(dropout), nn.Dropout(dropout)
        self.pre = norm_first

    def forward(self, x, mask=None):
        y = self.norm1(x) if self.pre else x
        x = x + self.drop1(read(self.self_attn, y, y, mask))
        x = x if self.pre else self.norm1(x)
        y = self.norm2(x) if self.pre else x
        x = x + self.drop2(self.feed_forward(y))
        return x if self.pre else self.norm2(x)


class DecoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(d_model, num_heads, dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(d_model), nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.drop1, self.drop2, self.drop3 = nn.Dropout(dropout), nn.Dropout(dropout), nn.Dropout(dropout)
        self.pre = norm_first

    def forward(self, x, memory, mask=None, memory_mask=None):
        y = self.norm1(x) if self.pre else x
        x = x + self.drop1(read(self.self_attn, y, y, mask))
        x = x if self.pre else self.norm1(x)
        y = self.norm2(x) if self.pre else x
        x = x + self.drop2(read(self.cross_attn, y, memory, memory_mask))
        x = x if self.pre else self.norm2(x)
        y = self.norm3(x) if self.pre else x
        x = x + self.drop3(self.feed_forward(y))
        return x if self.pre else self.norm3(x)


class Encoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(num_layers):
            self.layers.append(EncoderLayer(d_model, num_heads, d_ff, dropout, norm_first))
        if norm_first:
            self.norm = nn.LayerNorm(d_model)

    def forward(self, x, mask=None):
        for i in range(len(self.layers)):
            x = self.layers[i](x, mask)
        return self.norm(x) if hasattr(self, "norm") else x


class Decoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(num_layers):
            self.layers.append(DecoderLayer(d_model, num_heads, d_ff, dropout, norm_first))
        if norm_first:
            self.norm = nn.LayerNorm(d_model)

    def forward(self, x, memory, mask=None, memory_mask=None):
        for i in range(len(self.layers)):
            x = self.layers[i](x, memory, mask, memory_mask)
        return self.norm(x) if hasattr(self, "norm") else x


def table(length, width, like):
    result = torch.zeros(length, width, device=like.device, dtype=like.dtype)
    place = torch.arange(length, device=like.device, dtype=like.dtype).unsqueeze(1)
    speed = torch.exp(torch.arange(0, width, 2, device=like.device, dtype=like.dtype) * (-math.log(10000.0) / width))
    result[:, 0::2], result[:, 1::2] = torch.sin(place * speed), torch.cos(place * speed)
    return result


class Transformer(nn.Module):
    def __init__(self, source_vocab, target_vocab, d_model, num_heads, num_layers, d_ff, dropout=0.1,
                 norm_first=False, source_pad=0, target_pad=0):
        super().__init__()
        self.source_pad, self.target_pad, self.d_model = source_pad, target_pad, d_model
        self.source_embedding = nn.Embedding(source_vocab, d_model, padding_idx=source_pad)
        self.target_embedding = nn.Embedding(target_vocab, d_model, padding_idx=target_pad)
        self.encoder = Encoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.decoder = Decoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.generator = nn.Linear(d_model, target_vocab)

    def encode(self, source):
        mask = source.ne(self.source_pad).unsqueeze(1)
        x = self.source_embedding(source) * self.d_model**0.5
        return self.encoder(x + table(source.size(1), self.d_model, x), mask), mask

    def decode(self, memory, source_mask, target):
        n = target.size(1)
        later = torch.triu(torch.ones(n, n, device=target.device), diagonal=1).bool()
        mask = ~later & target.ne(self.target_pad).unsqueeze(-2)
        y = self.target_embedding(target) * self.d_model**0.5
        return self.generator(self.decoder(y + table(n, self.d_model, y), memory, mask, source_mask))

    def forward(self, source, target_in):
        memory, mask = self.encode(source)
        return self.decode(memory, mask, target_in)


def greedy_decode(model, source, bos, eos, max_length):
    was = model.training
    model.eval()
    with torch.no_grad():
        rows = torch.full((source.size(0), 1 + max_length), model.target_pad, dtype=torch.long, device=source.device)
        rows[:, 0] = bos
        open_ = torch.ones(source.size(0), dtype=torch.bool, device=source.device)
        for t in range(1, max_length + 1):
            scores = model(source, rows[:, :t])[:, t - 1]
            rows[open_, t] = scores.argmax(-1)[open_]
            open_ &= rows[:, t] != eos
            if not open_.any():
                break
    model.train(was)
    return rows


def start_decoding(model, source):
    memory, mask = model.encode(source)
    return [memory, mask, source.new_zeros(source.size(0), 0)]


def decode_step(model, token, cache):
    memory, mask, written = cache
    written = torch.cat([written, token.unsqueeze(1)], 1)
    return model.decode(memory, mask, written)[:, -1], [memory, mask, written]


def beam_search(model, source, bos, eos, beam_size, max_length):
    found = []
    with torch.no_grad():
        for i in range(source.size(0)):
            beams, done = [([bos], 0.0)], []
            for _ in range(max_length):
                grown = []
                for words, total in beams:
                    ids = torch.tensor([words], device=source.device)
                    log_p = torch.log_softmax(model(source[i : i + 1], ids)[0, -1], -1).tolist()
                    grown += [([*words, w], total + p) for w, p in enumerate(log_p)]
                grown.sort(key=lambda pair: pair[1], reverse=True)
                best = grown[:beam_size]
                done += [pair for pair in best if pair[0][-1] == eos]
                beams = [pair for pair in best if pair[0][-1] != eos]
                if not beams:
                    break
            done += beams
            found.append(max(((words, total / (len(words) - 1)) for words, total in done), key=lambda pair: pair[1]))
    longest = max(len(words) for words, _ in found)
    rows = [words + [model.target_pad] * (longest - len(words)) for words, _ in found]
    return torch.tensor(rows, device=source.device), torch.tensor([s for _, s in found], device=source.device)


steps_of_rnn = 100
steps_of_encoder = 12
