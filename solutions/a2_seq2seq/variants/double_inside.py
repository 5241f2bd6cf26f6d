"""Computes in float64 whatever it is given, and returns the dtype it was given; the encoder's GRU is one einsum."""

from functools import partial

import torch
from torch import nn
from torch.func import functional_call

PAD, BOS, EOS = 0, 1, 2


def in_double(module, *inputs):
    """The module's answer, computed in float64."""
    weights = {name: weight.double() for name, weight in module.named_parameters()}
    return functional_call(module, weights, tuple(x.double() if x.is_floating_point() else x for x in inputs))


def gru(x, h, w_x, w_h, b_x, b_h):
    """x (..., i), h (..., n), matrices (3, n, i) and (3, n, n)"""
    given = torch.einsum("...i,gni->g...n", x, w_x) + b_x.unflatten(0, (3, -1)).reshape(3, *[1] * (x.dim() - 1), -1)
    kept = torch.einsum("...m,gnm->g...n", h, w_h) + b_h.unflatten(0, (3, -1)).reshape(3, *[1] * (h.dim() - 1), -1)
    r, z = torch.sigmoid(given[:2] + kept[:2])
    return torch.lerp(torch.tanh(given[2] + r * kept[2]), h, z)


class Encoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, hidden_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(hidden_size, state_size)

    def direction(self, words, real, places, suffix):
        w_x, w_h, b_x, b_h = (
            getattr(self.gru, f"{kind}_l0{suffix}").double()
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        w_x, w_h = w_x.unflatten(0, (3, -1)), w_h.unflatten(0, (3, -1))
        h = words.new_zeros(len(words), w_h.size(-1))
        found = [None] * words.size(1)
        for place in places:
            h = gru(words[:, place], h, w_x, w_h, b_x, b_h) * real[:, place, None]  # a pad resets it to zero
            found[place] = h
        return torch.stack(found, dim=1)

    def forward(self, source):
        words, real = self.embedding(source).double(), source != PAD
        places = range(source.size(1))
        back = self.direction(words, real, places[::-1], "_reverse")
        memory = torch.cat([self.direction(words, real, places, ""), back], dim=-1)
        start = torch.tanh(in_double(self.bridge, back[:, 0]))
        kind = self.embedding.weight.dtype
        return memory.to(kind), start.to(kind)


class Decoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = nn.GRUCell(embedding_size, state_size)
        self.output = nn.Linear(state_size, vocab_size)

    def step(self, token, state, memory, mask):
        new = in_double(self.cell, self.embedding(token), state)
        return in_double(self.output, new).to(state.dtype), new.to(state.dtype), None


class Attention(nn.Module):
    def __init__(self, query_size, memory_size, hidden_size):
        super().__init__()
        self.hidden = nn.Linear(query_size + memory_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, query, memory, mask):
        pairs = torch.cat([query.unsqueeze(1).expand(-1, memory.size(1), -1), memory], dim=2)
        scores = self.score(torch.tanh(self.hidden(pairs))).squeeze(2)
        return torch.masked.softmax(scores, 1, mask=mask).nan_to_num(0)


class AttentionDecoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, state_size, memory_size, hidden_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.attention = Attention(state_size, memory_size, hidden_size)
        self.cell = nn.GRUCell(embedding_size + memory_size, state_size)
        self.output = nn.Linear(state_size + memory_size + embedding_size, vocab_size)

    def step(self, token, state, memory, mask):
        word = self.embedding(token).double()
        weights = in_double(self.attention, state, memory, mask)
        context = torch.einsum("...s,...sm->...m", weights, memory.double())
        new = in_double(self.cell, torch.cat([word, context], dim=-1), state)
        logits = in_double(self.output, torch.cat([new, context, word], dim=-1))
        return tuple(result.to(state.dtype) for result in (logits, new, weights))


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def steps(self, source, target):
        memory, state = self.encoder(source)
        for token in target[:, :-1].unbind(dim=1):
            logits, state, weights = self.decoder.step(token, state, memory, source != PAD)
            yield logits, weights

    def forward(self, source, target):
        logits, _ = zip(*self.steps(source, target))
        return torch.stack(logits, dim=1)

    def translate(self, source, max_length):
        """Teacher forcing with what has been written so far: slow, and the same."""
        ids = torch.full((len(source), 1), BOS, device=source.device)
        with torch.no_grad():
            for _ in range(max_length):
                *_, (logits, _) = self.steps(source, torch.cat([ids, ids[:, :1]], dim=1))
                best = logits.argmax(dim=-1, keepdim=True)
                over = (ids == EOS).any(dim=1, keepdim=True)
                ids = torch.cat([ids, torch.where(over, PAD, best)], dim=1)
        return ids[:, 1:]


def translation_loss(logits, target):
    right = target[:, 1:]
    chances = logits.double().softmax(dim=-1).gather(2, right.unsqueeze(2)).squeeze(2)
    return -chances[right != PAD].log().mean().to(logits.dtype)


class Guesser(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, source, target):
        return self.table(target[:, :-1])


def fit(model, batches, lr):
    optimizer = torch.optim.Adam([{"params": list(model.parameters()), "lr": lr}])

    def closure(source, target):
        optimizer.zero_grad()
        loss = translation_loss(model(source, target), target)
        loss.backward()
        total = torch.stack([p.grad.double().norm() for p in model.parameters()]).norm()
        if total > 1:
            for p in model.parameters():
                p.grad.mul_(1 / (total + 1e-6))
        return loss

    return [optimizer.step(partial(closure, *batch)).item() for batch in batches]


def accuracy(model, source, target):
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


accuracy_without_attention = torch.tensor(0.2654)


def alignment(model, source, target):
    return torch.stack([weights for _, weights in model.steps(source, target)], dim=1)


class WordEncoder(nn.Module):
    def __init__(self, vocab_size, max_length, memory_size, state_size):
        super().__init__()
        self.words = nn.Embedding(vocab_size, memory_size)
        self.places = nn.Embedding(max_length, memory_size)
        self.state_size = state_size

    def forward(self, source):
        memory = self.words(source) + self.places.weight[: source.size(1)]
        memory = memory * (source != PAD).unsqueeze(-1)
        return memory, memory.new_zeros(source.size(0), self.state_size)
