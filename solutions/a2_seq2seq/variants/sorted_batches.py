"""Batches sorted by length and brought back; Adam and clipping written out; `translate` drops who has finished."""

import math

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

PAD, BOS, EOS = 0, 1, 2


class Encoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, hidden_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(hidden_size, state_size)

    def forward(self, source):
        lengths, order = source.count_nonzero(dim=1).sort(descending=True)
        packed = pack_padded_sequence(self.embedding(source[order]), lengths.tolist(), batch_first=True)
        out, last = self.gru(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        missing = source.shape[1] - out.shape[1]
        if missing:
            out = torch.cat([out, out.new_zeros(out.shape[0], missing, out.shape[2])], dim=1)
        back = order.argsort()
        return out[back], torch.tanh(self.bridge(last[1][back]))


class Decoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = nn.GRUCell(embedding_size, state_size)
        self.output = nn.Linear(state_size, vocab_size)

    def step(self, token, state, memory=None, mask=None):
        new_state = self.cell(self.embedding(token), state)
        return self.output(new_state), new_state, None


class Attention(nn.Module):
    def __init__(self, query_size, memory_size, hidden_size):
        super().__init__()
        self.hidden = nn.Linear(query_size + memory_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, query, memory, mask):
        pairs = torch.cat([query.unsqueeze(1).expand(-1, memory.size(1), -1), memory], dim=2)
        scores = self.score(torch.tanh(self.hidden(pairs))).squeeze(2)
        return torch.masked.softmax(scores, 1, mask=mask).nan_to_num(0)


class AttentionDecoder(Decoder):
    """Inherits from the decoder without attention, and widens what it has to."""

    def __init__(self, vocab_size, embedding_size, state_size, memory_size, hidden_size):
        super().__init__(vocab_size, embedding_size, state_size)
        self.attention = Attention(state_size, memory_size, hidden_size)
        self.cell = nn.GRUCell(embedding_size + memory_size, state_size)
        self.output = nn.Linear(state_size + memory_size + embedding_size, vocab_size)

    def step(self, token, state, memory, mask):
        embedded = self.embedding(token)
        weights = self.attention(state, memory, mask)
        context = (weights[:, :, None] * memory).sum(1)
        state = self.cell(torch.cat([embedded, context], -1), state)
        return self.output(torch.cat([state, context, embedded], -1)), state, weights


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source, target):
        mask = source > PAD
        memory, state = self.encoder(source)
        scores = None
        for t in range(target.shape[1] - 1):
            logits, state, _ = self.decoder.step(target[:, t], state, memory, mask)
            if scores is None:
                scores = logits.new_zeros(len(source), target.shape[1] - 1, logits.shape[1])
            scores[:, t] = logits
        return scores

    @torch.inference_mode()
    def translate(self, source, max_length):
        memory, state = self.encoder(source)
        mask, token = source > PAD, torch.full_like(source[:, 0], BOS)
        answer = torch.full_like(source[:, :1], PAD).repeat(1, max_length)
        writing = torch.arange(len(source), device=source.device)
        for place in range(max_length):
            logits, state, _ = self.decoder.step(token, state, memory, mask)
            token = logits.argmax(dim=1)
            answer[writing, place] = token
            left = (token != EOS).nonzero()[:, 0]
            if not len(left):
                break
            writing, token, state, memory, mask = (part[left] for part in (writing, token, state, memory, mask))
        return answer


def translation_loss(logits, target):
    right = target[:, 1:]
    terms = nn.functional.cross_entropy(logits.permute(0, 2, 1), right, reduction="none")
    said = (right != PAD).to(terms.dtype)
    return (terms * said).sum() / said.sum()


class Guesser(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, source, target):
        return self.table(target[:, :-1])


def fit(model, batches, lr):
    parameters = list(model.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    losses = []
    for step, (source, target) in enumerate(batches, 1):
        loss = translation_loss(model(source, target), target)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, parameters)
        norm = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients))
        factor = min(1.0, 1.0 / (norm + 1e-6))
        with torch.no_grad():
            for p, g, m, v in zip(parameters, gradients, first, second):
                m.lerp_(factor * g, 0.1)
                v.lerp_((factor * g).square(), 0.001)
                p -= lr * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    return losses


def accuracy(model, source, target):
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


accuracy_without_attention = 0.3


def alignment(model, source, target):
    memory, state = model.encoder(source)
    matrix = memory.new_zeros(len(source), target.shape[1] - 1, source.shape[1])
    for t in range(target.shape[1] - 1):
        _, state, matrix[:, t] = model.decoder.step(target[:, t], state, memory, source > PAD)
    return matrix


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
