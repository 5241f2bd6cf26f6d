"""Sentences packed without ever being padded; a look at the source is written for one sentence, lifted by vmap."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.utils import rnn

PAD, BOS, EOS = 0, 1, 2


class Encoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, hidden_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(hidden_size, state_size)

    def forward(self, source):
        real = source != PAD
        sentences = [self.embedding(row[seen]) for row, seen in zip(source, real)]
        states, (_, back) = self.gru(rnn.pack_sequence(sentences, enforce_sorted=False))
        memory = source.new_zeros(*source.shape, 2 * self.gru.hidden_size, dtype=back.dtype)
        for row, annotations in enumerate(rnn.unpack_sequence(states)):
            memory[row, : len(annotations)] = annotations
        return memory, self.bridge(back).tanh()


class Decoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = nn.GRUCell(embedding_size, state_size)
        self.output = nn.Linear(state_size, vocab_size)

    def step(self, token, state, memory, mask):
        state = self.cell(self.embedding.weight[token], state)
        return state @ self.output.weight.mT + self.output.bias, state, None


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

    def look(self, query: Tensor, memory: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """One sentence: query (n,), memory (S, m), visible (S,)"""
        first, second = self.attention.hidden.weight.split([query.size(0), memory.size(1)], dim=1)
        scores = torch.tanh(first @ query + memory @ second.T) @ self.attention.score.weight[0]
        scores = torch.where(visible, scores, torch.finfo(scores.dtype).min)
        weights = torch.where(visible, scores.softmax(dim=0), 0.0)
        return weights, weights @ memory

    def step(self, token, state, memory, mask):
        weights, context = vmap(self.look)(state, memory, mask)
        word = self.embedding(token)
        state = functional_call(self.cell, dict(self.cell.named_parameters()), (torch.cat([word, context], 1), state))
        return self.output(torch.cat([state, context, word], 1)), state, weights


@dataclass
class Writing:
    """A batch while it is being written, or read along with a teacher."""

    decoder: nn.Module
    memory: Tensor
    state: Tensor
    mask: Tensor

    def say(self, token):
        logits, self.state, weights = self.decoder.step(token, self.state, self.memory, self.mask)
        return logits, weights


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def begin(self, source):
        return Writing(self.decoder, *self.encoder(source), source.ne(PAD))

    def forward(self, source, target):
        writing = self.begin(source)
        return torch.stack([writing.say(target[:, t])[0] for t in range(target.size(1) - 1)], 1)

    def translate(self, source, max_length):
        with torch.no_grad():
            writing, columns = self.begin(source), [torch.full_like(source[:, 0], BOS)]
            ended = torch.zeros_like(columns[0])
            for _ in range(max_length):
                logits, _ = writing.say(columns[-1])
                best = (logits == logits.amax(dim=1, keepdim=True)).long().argmax(dim=1) * (1 - ended)
                columns.append(best)
                ended = torch.maximum(ended, (best == EOS).long())
        return torch.stack(columns[1:]).T


def translation_loss(logits, target):
    right = target[:, 1:]
    total = logits.logsumexp(dim=-1) - logits.gather(-1, right[..., None])[..., 0]
    return torch.where(right == PAD, 0.0, total).sum() / (right != PAD).sum()


class Guesser(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, source, target):
        return self.table(target[:, :-1])


def fit(model, batches, lr):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, foreach=False)
    losses = torch.zeros(len(batches), dtype=torch.float64)
    for number, (source, target) in enumerate(batches):
        loss = translation_loss(model(source, target), target)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=False)
        optimizer.step()
        optimizer.zero_grad()
        losses[number] = loss.item()
    return losses.tolist()


def accuracy(model, source, target):
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


accuracy_without_attention = 0.271


def alignment(model, source, target):
    writing = model.begin(source)
    return torch.stack([writing.say(token)[1] for token in target[:, :-1].unbind(1)], dim=1)


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
