"""Steps as closures over a sentence: the attention projects its keys once; the loss is a product with one-hots."""

import itertools

import torch
import torch.nn as nn
import torch.nn.functional as F

PAD, BOS, EOS = 0, 1, 2


class Encoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, hidden_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(hidden_size, state_size)

    def forward(self, source):
        mask = source != PAD
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(source), mask.sum(-1).cpu(), batch_first=True, enforce_sorted=False
        )
        packed, last = self.gru(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        memory = F.pad(memory, (0, 0, 0, source.shape[1] - memory.shape[1]))
        return memory, torch.tanh(F.linear(last[-1], self.bridge.weight, self.bridge.bias))


class Decoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = nn.GRUCell(embedding_size, state_size)
        self.output = nn.Linear(state_size, vocab_size)

    def writer(self, memory, mask):
        def write(token, state):
            state = self.cell(self.embedding(token), state)
            return self.output(state), state, None

        return write

    def step(self, token, state, memory, mask):
        return self.writer(memory, mask)(token, state)


class Attention(nn.Module):
    def __init__(self, query_size, memory_size, hidden_size):
        super().__init__()
        self.hidden = nn.Linear(query_size + memory_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)
        self.query_size = query_size

    def looker(self, memory, mask):
        of_query, of_key = self.hidden.weight[:, : self.query_size], self.hidden.weight[:, self.query_size :]
        keys = memory @ of_key.T
        hide = torch.zeros(mask.shape, dtype=memory.dtype, device=mask.device).masked_fill(~mask, -1e30)

        def look(query):
            scores = self.score(torch.tanh((query @ of_query.T)[:, None] + keys))[..., 0] + hide
            return scores.softmax(-1) * mask

        return look

    def forward(self, query, memory, mask):
        return self.looker(memory, mask)(query)


class AttentionDecoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, state_size, memory_size, hidden_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.attention = Attention(state_size, memory_size, hidden_size)
        self.cell = nn.GRUCell(embedding_size + memory_size, state_size)
        self.output = nn.Linear(state_size + memory_size + embedding_size, vocab_size)

    def writer(self, memory, mask):
        look = self.attention.looker(memory, mask)

        def write(token, state):
            weights = look(state)
            context = weights.unsqueeze(1).matmul(memory).squeeze(1)
            word = self.embedding(token)
            state = self.cell(torch.cat([word, context], -1), state)
            return self.output(torch.cat([state, context, word], -1)), state, weights

        return write

    def step(self, token, state, memory, mask):
        return self.writer(memory, mask)(token, state)


def begin(model, source):
    memory, state = model.encoder(source)
    decoder, mask = model.decoder, source != PAD
    if hasattr(decoder, "writer"):
        return decoder.writer(memory, mask), state
    return lambda token, state: decoder.step(token, state, memory, mask), state


def recite(write, state, tokens):
    """The results of all steps, the state handed on."""
    for token in tokens:
        logits, state, weights = write(token, state)
        yield logits, weights


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source, target):
        said = recite(*begin(self, source), target[:, :-1].unbind(1))
        return torch.stack([logits for logits, _ in said], 1)

    def translate(self, source, max_length):
        spoken = [torch.full_like(source[:, 0], BOS)]

        def echo():
            for place in itertools.count():
                yield spoken[place]

        with torch.no_grad():
            for logits, _ in itertools.islice(recite(*begin(self, source), echo()), max_length):
                spoken.append(logits.argmax(-1))
        ids = torch.stack(spoken[1:], 1)
        after = F.pad((ids == EOS).cumsum(1), (1, 0))[:, :-1] > 0
        return ids * ~after


def translation_loss(logits, target):
    right = F.one_hot(target[:, 1:], logits.size(-1)).to(logits.dtype)
    right = right * (target[:, 1:] != PAD).unsqueeze(-1)
    return -(right * F.log_softmax(logits, -1)).sum() / right.sum()


class Guesser(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, source, target):
        return self.table(target[:, :-1])


def fit(model, batches, lr):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def learn(batch):
        optimizer.zero_grad()
        loss = translation_loss(model(*batch), batch[1])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return list(map(learn, batches))


def accuracy(model, source, target):
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


accuracy_without_attention = 0.24


def alignment(model, source, target):
    said = recite(*begin(model, source), target[:, :-1].unbind(1))
    return torch.stack([weights for _, weights in said], 1)


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
