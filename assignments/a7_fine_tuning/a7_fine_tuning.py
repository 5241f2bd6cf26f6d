"""Fine-tuning: 120 minutes, moderate, 40 points.

Write your code where it says `raise NotImplementedError`; `pytest` in this folder runs the public tests.
a7_fine_tuning.ipynb has the same exercise with explanations.
"""

import math
import random

import torch
from torch import nn
from torch.nn import functional as F


class Encoder(nn.Module):
    """BERT's encoder: tokens in, last hidden states out.

    `mask` is true at real tokens; PyTorch's layer wants the opposite, and gets it here.
    """

    def __init__(self, vocab_size, width, layers, heads, hidden, max_length, segments=2, dropout=0.1, eps=1e-12):
        super().__init__()
        self.width = width
        self.word = nn.Embedding(vocab_size, width)
        self.position = nn.Embedding(max_length, width)
        self.segment = nn.Embedding(segments, width)
        self.norm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, hidden, dropout, "gelu", eps, batch_first=True)
            for _ in range(layers)
        )
        for table in (self.word, self.position, self.segment):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens, mask=None, segments=None):
        """tokens (B, T), mask (B, T) or None: all real, segments (B, T) or None: all 0; returns (B, T, width)"""
        places = torch.arange(tokens.size(1), device=tokens.device)
        segments = torch.zeros_like(tokens) if segments is None else segments
        x = self.dropout(self.norm(self.word(tokens) + self.position(places) + self.segment(segments)))
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=None if mask is None else ~mask)
        return x


def load_bert(state_dict, config):
    """An Encoder with the weights of a HuggingFace BertModel.

    state_dict: names of HuggingFace to tensors; is not changed
    config:     dictionary with the keys of HuggingFace's config.json
    returns     an Encoder; its last hidden states are those of the BertModel
    """
    raise NotImplementedError("load_bert")


PAD, CLS, MASK = 0, 1, 2
WORDS = ["[PAD]", "[CLS]", "[MASK]"] + [a + b for a in "ba ko mi nu re si ta vo".split() for b in
                                        "den fa gol ka lu mer no pi ris sta un zel".split()]
TOPICS = 3


class Language:
    """Texts on one of three topics. Words are the ids 3 to 98, 24 of each of four classes."""

    def __init__(self, seed=7):
        draw = random.Random(seed)

        def shares(count, even):
            """Random numbers that sum to 1; a share `even` of it is given to all alike."""
            parts = [draw.gammavariate(0.3, 1.0) for _ in range(count)]
            return [(1 - even) * part / sum(parts) + even / count for part in parts]

        self.next_class = torch.tensor([shares(4, 0.03) for _ in range(4)])  # (class, next class)
        own = torch.tensor([[shares(24, 0.05) for _ in range(4)] for _ in range(TOPICS)])
        self.words = (own + own.mean(dim=0)) / 2  # (topic, class, word of the class)

    def texts(self, count, shortest=6, longest=12):
        """Random texts: tokens (count, longest + 1), mask of the same shape, topics (count,), evenly spread."""
        topics = torch.randperm(count) % TOPICS
        kind = torch.randint(4, (count,))
        tokens = torch.full((count, longest + 1), CLS)
        for t in range(1, longest + 1):
            tokens[:, t] = 3 + 24 * kind + torch.multinomial(self.words[topics, kind], 1)[:, 0]
            kind = torch.multinomial(self.next_class[kind], 1)[:, 0]
        lengths = torch.randint(shortest, longest + 1, (count, 1))
        mask = torch.arange(longest + 1) <= lengths
        return tokens.masked_fill(~mask, PAD), mask, topics

    def best_guess(self, tokens):
        """The most probable topic of each text, (B,): nobody can do better on average."""
        says = F.pad(self.words.flatten(1).log(), (3, 0))  # (topic, id); special tokens say nothing
        return says[:, tokens].sum(dim=-1).argmax(dim=0)


def pretrain(encoder, tokens, steps=1000, batch_size=64, peak=3e-3):
    """Let the encoder guess hidden words; all tokens are real. Returns the losses."""
    guess = nn.Linear(encoder.width, len(WORDS))
    weights = [*encoder.parameters(), *guess.parameters()]
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.98))
    pace = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, steps, pct_start=0.1, cycle_momentum=False)
    losses = []
    encoder.train()
    for _ in range(steps):
        batch = tokens[torch.randint(len(tokens), (batch_size,))]
        hidden = (torch.rand(batch.shape) < 0.2) & (batch != CLS)
        states = encoder(batch.masked_fill(hidden, MASK))
        loss = F.cross_entropy(guess(states[hidden]), batch[hidden])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        pace.step()
        losses.append(loss.item())
    return losses


def small_encoder():
    """An encoder for our language that has read nothing."""
    return Encoder(len(WORDS), width=32, layers=2, heads=4, hidden=64, max_length=25)


def mean_pool(hidden, mask):
    """The mean of the vectors at real tokens.

    hidden:  (B, T, d)
    mask:    (B, T), boolean, true at real tokens
    returns  (B, d), zeros for a text without any real token
    """
    raise NotImplementedError("mean_pool")


class Classifier(nn.Module):
    """A linear layer on the mean-pooled hidden states of an encoder.

    head.weight: (num_classes, width)  head.bias: (num_classes,)  and the encoder's own below `encoder.`
    """

    def __init__(self, encoder, num_classes, frozen=False):
        """encoder: has a `width`, and gives hidden states for (tokens, mask). frozen: it never changes."""
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, num_classes)
        self.frozen = frozen
        # Here: what it takes to freeze the encoder, if `frozen`.

    def train(self, mode=True):
        """Training mode on or off; a frozen encoder stays in evaluation mode. Returns self."""
        super().train(mode)
        # Here: what keeps a frozen encoder in evaluation mode.
        return self

    def forward(self, tokens, mask):
        """tokens (B, T), mask (B, T), true at real tokens; returns logits (B, num_classes)"""
        raise NotImplementedError("Classifier.forward")


def warmup_lr(step, peak, warmup, total):
    """The learning rate of step 1, 2, ...: up to `peak` at step `warmup`, down to 0 at step `total`; a float."""
    raise NotImplementedError("warmup_lr")


highest_share_of_peak = None


class WordVotes(nn.Module):
    """A classifier without an encoder: each real word votes for each class, and votes are added up.

    votes.weight: (vocab_size, num_classes), zero at the start
    """

    def __init__(self, vocab_size, num_classes, dropout=0.1):
        super().__init__()
        self.votes = nn.EmbeddingBag(vocab_size, num_classes, mode="sum")
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.votes.weight)

    def forward(self, tokens, mask):
        """tokens (B, T), mask (B, T); returns logits (B, num_classes)"""
        counts = self.dropout(mask.to(self.votes.weight.dtype))  # (B, T)
        return self.votes(tokens, per_sample_weights=counts)


def fine_tune(model, batches, peak, warmup):
    """Train `model`, one step for each batch.

    model:    gives logits (B, C) for (tokens, mask); is changed
    batches:  list of (tokens, mask, labels), on the device of the model
    peak:     the highest learning rate
    warmup:   the number of steps after which it is reached
    returns   the list of losses, a float for each batch
    """
    raise NotImplementedError("fine_tune")


def evaluate(model, tokens, mask, labels, batch_size=64):
    """The share of texts whose class `model` gets right.

    model:   gives logits (B, C) for (tokens, mask); is not changed, and keeps its mode
    tokens:  (N, T)  mask: (N, T), true at real tokens  labels: (N,)
    returns  a float between 0 and 1
    """
    raise NotImplementedError("evaluate")


PEAKS = {"probe": 3e-3, "fine-tuned": 5e-4, "from scratch": 5e-4, "word votes": 1e-2}


def new_model(kind, pretrained_weights):
    """One of the four, untrained."""
    if kind == "word votes":
        return WordVotes(len(WORDS), TOPICS)
    encoder = small_encoder()
    if kind != "from scratch":
        encoder.load_state_dict(pretrained_weights)
    return Classifier(encoder, TOPICS, frozen=kind == "probe")


def draw_batches(tokens, mask, labels, count=100, size=32):
    """`count` batches of `size` labelled texts, drawn at random."""
    rows = [torch.randperm(len(labels))[:size] for _ in range(count)]
    return [(tokens[some], mask[some], labels[some]) for some in rows]


gain_with_32_labels = None
