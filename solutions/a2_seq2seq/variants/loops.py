"""Every recurrence written out, one token after the other; pads are stepped over with torch.where."""

import torch
from torch import nn

PAD, BOS, EOS = 0, 1, 2


def gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """One step of a GRU from its formulas."""
    given, kept = x @ weight_ih.T + bias_ih, h @ weight_hh.T + bias_hh
    r_x, z_x, n_x = given.chunk(3, dim=-1)
    r_h, z_h, n_h = kept.chunk(3, dim=-1)
    reset, update = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    return (1 - update) * torch.tanh(n_x + reset * n_h) + update * h


class Encoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, hidden_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(hidden_size, state_size)

    def read(self, words, real, order, suffix):
        kinds = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        weights = [getattr(self.gru, kind + suffix) for kind in kinds]
        state = words.new_zeros(words.size(0), self.gru.hidden_size)
        states = {}
        for place in order:
            seen = real[:, place, None]
            state = torch.where(seen, gates(words[:, place], state, *weights), state)
            states[place] = torch.where(seen, state, torch.zeros_like(state))
        return torch.stack([states[place] for place in sorted(states)], dim=1)

    def forward(self, source):
        words, real, places = self.embedding(source), source != PAD, range(source.size(1))
        ahead = self.read(words, real, places, "")
        back = self.read(words, real, reversed(places), "_reverse")
        return torch.cat([ahead, back], dim=2), self.bridge(back[:, 0]).tanh()


class Decoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = nn.GRUCell(embedding_size, state_size)
        self.output = nn.Linear(state_size, vocab_size)

    def step(self, token, state, memory, mask):
        new = gates(self.embedding(token), state, *self.cell.parameters())
        return self.output(new), new, None


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
        word, weights = self.embedding(token), self.attention(state, memory, mask)
        context = torch.zeros_like(memory[:, 0])
        for place in range(memory.size(1)):
            context = context + weights[:, place, None] * memory[:, place]
        new = gates(torch.cat((word, context), 1), state, *self.cell.parameters())
        return self.output(torch.cat((new, context, word), 1)), new, weights


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source, target):
        memory, state = self.encoder(source)
        logits = []
        for token in target.unbind(1)[:-1]:
            scores, state, _ = self.decoder.step(token, state, memory, source != PAD)
            logits += [scores]
        return torch.stack(logits, 1)

    def translate(self, source, max_length):
        memory, state = self.encoder(source)
        ids = torch.zeros(source.size(0), max_length, dtype=torch.long, device=source.device)
        token = torch.ones_like(source[:, 0])
        for place in range(max_length):
            logits, state, _ = self.decoder.step(token, state, memory, source != PAD)
            token = logits.argmax(1)
            ids[:, place] = token
        ended = (ids == EOS).long().cumsum(1)
        return torch.where((ended == 0) | ((ended == 1) & (ids == EOS)), ids, torch.zeros_like(ids))


def translation_loss(logits, target):
    total, count = 0, 0
    for t in range(logits.size(1)):
        right = target[:, t + 1]
        chances = logits[:, t].log_softmax(dim=-1).gather(1, right[:, None])[:, 0]
        total = total - chances[right != PAD].sum()
        count = count + (right != PAD).sum()
    return total / count


class Guesser(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, source, target):
        return self.table(target[:, :-1])


def fit(model, batches, lr):
    optimizer = torch.optim.Adam(model.parameters(), lr)
    losses = []
    for source, target in batches:
        model.zero_grad()
        loss = translation_loss(model(source, target), target)
        losses.append(float(loss))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1)
        optimizer.step()
    return losses


def accuracy(model, source, target):
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


accuracy_without_attention = 0.25


def alignment(model, source, target):
    memory, state = model.encoder(source)
    rows = []
    for token in target[:, :-1].T:
        _, state, weights = model.decoder.step(token, state, memory, source != PAD)
        rows.append(weights)
    return torch.stack(rows).transpose(0, 1)


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
