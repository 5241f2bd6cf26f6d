"""Slowly and plainly: one head and one word at a time."""

import math

import torch
from torch import nn


def look(query, keys, values, seen, drop):
    """One query (B, k) of each sentence, keys and values (B, S, k), and whether it may see them (B, S)."""
    scores = (keys * query[:, None]).sum(dim=-1) / math.sqrt(query.size(1))
    scores = torch.where(seen, scores, torch.full_like(scores, -1e30 if scores.dtype == torch.float64 else -1e9))
    weights = drop(torch.softmax(scores, dim=-1) * seen)
    return (weights[:, :, None] * values).sum(dim=1)


def attention(module, x, memory, mask):
    d, h = x.size(-1), module.num_heads
    mask = torch.ones(1, dtype=torch.bool, device=x.device) if mask is None else mask
    mask = mask.expand(x.size(0), x.size(1), memory.size(1))
    q = x @ module.in_proj_weight[:d].T + module.in_proj_bias[:d]
    k = memory @ module.in_proj_weight[d : 2 * d].T + module.in_proj_bias[d : 2 * d]
    v = memory @ module.in_proj_weight[2 * d :].T + module.in_proj_bias[2 * d :]
    drop = nn.Dropout(module.dropout).train(module.training)
    rows = []
    for i in range(x.size(1)):
        parts = []
        for head in range(h):
            cols = slice(head * d // h, (head + 1) * d // h)
            parts.append(look(q[:, i, cols], k[:, :, cols], v[:, :, cols], mask[:, i], drop))
        rows.append(torch.cat(parts, dim=-1))
    return module.out_proj(torch.stack(rows, dim=1))


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        hidden = self.linear1(x)
        hidden = torch.where(hidden > 0, hidden, torch.zeros_like(hidden))
        return self.linear2(self.dropout(hidden))


class EncoderLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        if self.norm_first:
            return self.before(x, mask)
        return self.after(x, mask)

    def before(self, x, mask):
        normed = self.norm1(x)
        added = self.dropout(attention(self.self_attn, normed, normed, mask))
        return x + added + self.dropout(self.feed_forward(self.norm2(x + added)))

    def after(self, x, mask):
        middle = self.norm1(self.dropout(attention(self.self_attn, x, x, mask)) + x)
        return self.norm2(self.dropout(self.feed_forward(middle)) + middle)


class DecoderLayer(EncoderLayer):
    """An encoder layer, whose feed-forward comes one norm later."""

    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__(d_model, num_heads, d_ff, dropout, norm_first)
        self.cross_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.norm3 = nn.LayerNorm(d_model)

    def forward(self, x, memory, mask=None, memory_mask=None):
        sublayers = (
            (self.norm1, lambda y: attention(self.self_attn, y, y, mask)),
            (self.norm2, lambda y: attention(self.cross_attn, y, memory, memory_mask)),
            (self.norm3, self.feed_forward),
        )
        for norm, sublayer in sublayers:
            out = self.dropout(sublayer(norm(x) if self.norm_first else x))
            x = x + out if self.norm_first else norm(x + out)
        return x


class Encoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = nn.ModuleList([])
        for _ in range(num_layers):
            self.layers.append(EncoderLayer(d_model, num_heads, d_ff, dropout=dropout, norm_first=norm_first))
        self.norm = nn.LayerNorm(d_model) if norm_first else None

    def forward(self, x, mask=None):
        for layer in self.layers:
            x = layer(x, mask=mask)
        if self.norm is not None:
            x = self.norm(x)
        return x


class Decoder(nn.Module):
    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.layers = nn.ModuleList([])
        for _ in range(num_layers):
            self.layers.append(DecoderLayer(d_model, num_heads, d_ff, dropout=dropout, norm_first=norm_first))
        self.norm = nn.LayerNorm(d_model) if norm_first else None

    def forward(self, x, memory, mask=None, memory_mask=None):
        for layer in self.layers:
            x = layer(x, memory, mask=mask, memory_mask=memory_mask)
        if self.norm is not None:
            x = self.norm(x)
        return x


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

    def embed(self, embedding, words):
        x, d = embedding(words), embedding.embedding_dim
        table = [
            [(math.cos if i % 2 else math.sin)(t / 10000 ** ((i - i % 2) / d)) for i in range(d)]
            for t in range(words.size(1))
        ]
        return x * math.sqrt(d) + torch.tensor(table, dtype=x.dtype, device=x.device)

    def forward(self, source, target_in):
        memory_mask = (source != self.source_pad)[:, None, :]
        memory = self.encoder(self.embed(self.source_embedding, source), memory_mask)
        rows = []
        for i in range(target_in.size(1)):
            columns = [(target_in[:, j] != self.target_pad) & (j <= i) for j in range(target_in.size(1))]
            rows.append(torch.stack(columns, dim=-1))
        x = self.embed(self.target_embedding, target_in)
        return self.generator(self.decoder(x, memory, torch.stack(rows, dim=1), memory_mask))


@torch.no_grad()
def greedy_decode(model, source, bos, eos, max_length):
    written = [[bos] for _ in range(len(source))]
    ended = [False] * len(source)
    for _ in range(max_length):
        if all(ended):
            break
        scores = model(source, torch.tensor(written, device=source.device))
        for i, row in enumerate(written):
            if ended[i]:
                row.append(model.target_pad)
                continue
            best, which = -math.inf, None
            for word, value in enumerate(scores[i, -1].tolist()):
                if value > best:
                    best, which = value, word
            row.append(which)
            ended[i] = which == eos
    return torch.tensor(written, device=source.device)


@torch.no_grad()
def start_decoding(model, source):
    mask = (source != model.source_pad)[:, None, :]
    memory = model.encoder(model.embed(model.source_embedding, source), mask)
    return [memory, mask, []]


@torch.no_grad()
def decode_step(model, token, cache):
    memory, mask, words = cache
    words = [*words, token]
    target = torch.stack(words, dim=1)
    n = len(words)
    x = model.embed(model.target_embedding, target)
    seen = torch.ones(n, n, dtype=torch.bool, device=token.device).tril() & (target != model.target_pad)[:, None, :]
    return model.generator(model.decoder(x, memory, seen, mask)[:, -1]), [memory, mask, words]


@torch.no_grad()
def beam_search(model, source, bos, eos, beam_size, max_length):
    chosen, scores = [], []
    for row in source:
        open_, closed = [(0.0, [bos])], []
        for length in range(1, max_length + 1):
            candidates = []
            for total, words in open_:
                step = model(row[None], torch.tensor([words], device=source.device))[0, -1]
                step = (step - step.logsumexp(0)).tolist()
                for word, value in enumerate(step):
                    candidates.append((total + value, [*words, word]))
            candidates.sort(key=lambda pair: pair[0])
            open_ = []
            for total, words in candidates[-beam_size:]:
                if words[-1] == eos or length == max_length:
                    closed.append((total / length, words))
                else:
                    open_.append((total, words))
            if not open_:
                break
        score, words = max(closed, key=lambda pair: pair[0])
        chosen.append(words + [model.target_pad] * (1 + max_length - len(words)))
        scores.append(score)
    return torch.tensor(chosen, device=source.device), torch.tensor(scores, device=source.device)


steps_of_rnn = torch.tensor(100)
steps_of_encoder = 12
