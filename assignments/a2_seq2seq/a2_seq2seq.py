"""Sequence to sequence: 150 minutes, moderate, 32 points.

Write your code where it says `raise NotImplementedError`; `pytest` in this folder runs the public tests.
a2_seq2seq.ipynb has the same exercise with explanations.
"""

import math
import random

import torch
from torch import nn

PAD, BOS, EOS = 0, 1, 2


class Encoder(nn.Module):
    """Reads a sentence in both directions.

    embedding.weight: (vocab_size, embedding_size)
    gru.*:            as nn.GRU names them, one layer, both directions, hidden_size each
    bridge.weight:    (state_size, hidden_size)   bridge.bias: (state_size,)
    """

    def __init__(self, vocab_size, embedding_size, hidden_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(hidden_size, state_size)

    def forward(self, source):
        """Annotate each word, and give the decoder something to start from.

        source:  (B, S) ids
        returns  memory (B, S, 2 * hidden_size), zero at pads, and the start state (B, state_size)
        """
        raise NotImplementedError("Encoder.forward")


class Decoder(nn.Module):
    """Writes a translation word by word, from what its state remembers.

    embedding.weight: (vocab_size, embedding_size)
    cell.*:           as nn.GRUCell names them, from embedding_size to state_size
    output.weight:    (vocab_size, state_size)   output.bias: (vocab_size,)
    """

    def __init__(self, vocab_size, embedding_size, state_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.cell = nn.GRUCell(embedding_size, state_size)
        self.output = nn.Linear(state_size, vocab_size)

    def step(self, token, state, memory, mask):
        """Score all words for the next place.

        token:   (B,) ids, the word before   state: (B, state_size)
        memory:  (B, S, any width) and mask (B, S), which have no influence
        returns  logits (B, vocab_size), the new state (B, state_size), and None
        """
        raise NotImplementedError("Decoder.step")


class Seq2Seq(nn.Module):
    """An encoder and a decoder.

    encoder: encoder(source) gives memory and start state
    decoder: decoder.step(token, state, memory, mask) gives logits, new state and weights
    """

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source, target):
        """Score the words at each place, each step being given the right word before.

        source: (B, S) ids  target: (B, T) ids, bos ... eos
        returns logits (B, T - 1, vocab_size); logits[:, t] are for target[:, t + 1]
        """
        raise NotImplementedError("Seq2Seq.forward")

    def translate(self, source, max_length):
        """Write word by word, each time the word of the highest logit, the lowest id of several; step 4.

        source: (B, S) ids
        returns ids (B, max_length), without bos; the first eos, if there is one, and after it only pads
        """
        raise NotImplementedError("Seq2Seq.translate")


def translation_loss(logits, target):
    """The mean negative log-probability of the right tokens, pads left out.

    logits: (B, T - 1, V)  target: (B, T) ids; logits[:, t] are for target[:, t + 1]
    returns a tensor with one number; gradients flow to the logits
    """
    raise NotImplementedError("translation_loss")


SPECIAL = ["<pad>", "<bos>", "<eos>"]
LETTERS = [*SPECIAL, *"abcdefghij"]

MONTHS = {
    "january": "janvier", "february": "février", "march": "mars", "april": "avril", "may": "mai", "june": "juin",
    "july": "juillet", "august": "août", "september": "septembre", "october": "octobre", "november": "novembre",
    "december": "décembre",
}  # fmt: skip
ORDINALS = {day: f"{day}th" for day in range(1, 29)}
ORDINALS |= {1: "1st", 2: "2nd", 3: "3rd", 21: "21st", 22: "22nd", 23: "23rd"}
YEARS = [str(year) for year in range(1960, 2000)]
ORDERS = ["M D , Y", "the D of M Y", "the D of M in Y", "in Y , on M D", "on M D in Y", "Y , M D"]
ENGLISH = [*SPECIAL, *MONTHS, *ORDINALS.values(), *YEARS, "the", "of", ",", "in", "on"]
FRENCH = [*SPECIAL, *map(str, ORDINALS), *MONTHS.values(), *YEARS]

ONES = "oh one two three four five six seven eight nine".split()
TENS = "oh ten twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBER_WORDS = [*SPECIAL, *ONES, *TENS[1:], "hundred", "thousand", "and"]
DIGITS = [*SPECIAL, *"0123456789"]


def to_tensors(pairs, source_words, target_words):
    """From triples (source words, target words, links): source (N, S), target (N, T) and links (N, T - 1)."""
    rows = [
        (
            [source_words.index(word) for word in source] + [EOS],
            [BOS] + [target_words.index(word) for word in target] + [EOS],
            [*links, -1],
        )
        for source, target, links in pairs
    ]
    columns = ([torch.tensor(row) for row in column] for column in zip(*rows))
    return tuple(
        nn.utils.rnn.pad_sequence(column, batch_first=True, padding_value=filling)
        for column, filling in zip(columns, (PAD, PAD, -1))
    )


def backwards(count, shortest=1, longest=12):
    """Letters, and the same from the last to the first."""
    pairs = []
    for _ in range(count):
        letters = random.choices(LETTERS[3:], k=random.randint(shortest, longest))
        pairs.append((letters, letters[::-1], range(len(letters))[::-1]))
    return to_tensors(pairs, LETTERS, LETTERS)


def dates(count):
    """English dates in six orders, French ones in one."""
    pairs = []
    for _ in range(count):
        month, day, year = random.choice(list(MONTHS)), random.choice(list(ORDINALS)), random.choice(YEARS)
        english, order = {"M": month, "D": ORDINALS[day], "Y": year}, random.choice(ORDERS).split()
        source = [english.get(word, word) for word in order]
        pairs.append((source, [str(day), MONTHS[month], year], [order.index(part) for part in "DMY"]))
    return to_tensors(pairs, ENGLISH, FRENCH)


def number_words(count):
    """Numbers of 2 to 4 digits, in words and in digits."""
    pairs = []
    for _ in range(count):
        digits = [random.randint(1, 9), *random.choices(range(10), k=random.randint(1, 3))]
        words, links = [], []
        for place, digit in zip(range(len(digits))[::-1], digits):
            links.append(len(words))
            words.append(TENS[digit] if place == 1 else ONES[digit])
            words += {3: ["thousand"], 2: ["hundred", "and"]}.get(place, [])
        pairs.append((words, [str(digit) for digit in digits], links))
    return to_tensors(pairs, NUMBER_WORDS, DIGITS)


def in_words(ids, words):
    """One row of ids as text, without pads and bos."""
    return " ".join(words[number] for number in ids.tolist() if number not in (PAD, BOS))


class Guesser(nn.Module):
    """Guesses the next word from the one before, and knows nothing of the source. Given.

    table.weight: (vocab_size, vocab_size)
    """

    def __init__(self, vocab_size):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, source, target):
        return self.table(target[:, :-1])  # (B, T - 1, V)


def fit(model, batches, lr):
    """Train `model`, one step of Adam for each batch in turn, the gradient clipped to a norm of 1.

    model:   model(source, target) gives logits (B, T - 1, V)
    batches: a list of pairs, source (B, S) and target (B, T)
    returns  a list of floats, the loss of each batch before its step
    """
    raise NotImplementedError("fit")


def accuracy(model, source, target):
    """The share of target tokens, eos included, that `translate` puts in their place. Given."""
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


accuracy_without_attention = None


class Attention(nn.Module):
    """Additive attention with one query for each sentence. Given; assignment 1 tells how it works.

    hidden.weight: (hidden_size, query_size + memory_size)   score.weight: (1, hidden_size)   no biases
    """

    def __init__(self, query_size, memory_size, hidden_size):
        super().__init__()
        self.hidden = nn.Linear(query_size + memory_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, query, memory, mask):
        """query (B, query_size), memory (B, S, memory_size), mask (B, S), true where the query may look

        returns weights (B, S), each row summing to 1; a row in which nothing may be seen is all zero
        """
        pairs = torch.cat([query.unsqueeze(1).expand(-1, memory.size(1), -1), memory], dim=2)
        scores = self.score(torch.tanh(self.hidden(pairs))).squeeze(2)  # (B, S)
        return torch.masked.softmax(scores, 1, mask=mask).nan_to_num(0)


class AttentionDecoder(nn.Module):
    """Writes a translation word by word, and looks at the source before each.

    embedding.weight:        (vocab_size, embedding_size)
    attention.hidden.weight: (hidden_size, state_size + memory_size)
    attention.score.weight:  (1, hidden_size)
    cell.*:                  as nn.GRUCell names them, from embedding_size + memory_size to state_size
    output.weight:           (vocab_size, state_size + memory_size + embedding_size)
    output.bias:             (vocab_size,)
    """

    def __init__(self, vocab_size, embedding_size, state_size, memory_size, hidden_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.attention = Attention(state_size, memory_size, hidden_size)
        self.cell = nn.GRUCell(embedding_size + memory_size, state_size)
        self.output = nn.Linear(state_size + memory_size + embedding_size, vocab_size)

    def step(self, token, state, memory, mask):
        """Look at the source, then score all words for the next place.

        token:   (B,) ids, the word before   state: (B, state_size)
        memory:  (B, S, memory_size)         mask:  (B, S), true where it may look
        returns  logits (B, vocab_size), the new state (B, state_size) and the weights (B, S)
        """
        raise NotImplementedError("AttentionDecoder.step")


def alignment(model, source, target):
    """Where the decoder of `model` looks at each step, each step being given the right word before.

    model:   a Seq2Seq whose decoder has attention: model.encoder(...) and model.decoder.step(...)
    source:  (B, S) ids  target: (B, T) ids, bos ... eos
    returns  weights (B, T - 1, S)
    """
    raise NotImplementedError("alignment")


class WordEncoder(nn.Module):
    """Each word for itself: its embedding plus that of its position. Memory at pads is zero. Given.

    The start state is zero, too, and has no weights.
    words.weight: (vocab_size, memory_size)   places.weight: (max_length, memory_size)
    """

    def __init__(self, vocab_size, max_length, memory_size, state_size):
        super().__init__()
        self.words = nn.Embedding(vocab_size, memory_size)
        self.places = nn.Embedding(max_length, memory_size)
        self.state_size = state_size

    def forward(self, source):
        memory = self.words(source) + self.places.weight[: source.size(1)]  # (B, S, memory)
        memory = memory * (source != PAD).unsqueeze(-1)
        return memory, memory.new_zeros(source.size(0), self.state_size)
