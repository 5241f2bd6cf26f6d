"""Masked language modelling: 120 minutes, demanding, 32 points.

Write your code where it says `raise NotImplementedError`; `pytest` in this folder runs the public tests.
a6_masked_lm.ipynb has the same exercise with explanations.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


WORDS = (
    "[PAD] [CLS] [MASK] the a my every old small wet muddy ship fish horse barn sails swims trots stands".split()
)
PAD, CLS, MASK = 0, 1, 2
SPECIAL = [PAD, CLS, MASK]

NEXT_CLASS = torch.tensor([[0.02, 0.38, 0.58, 0.02],  # after a determiner: D, A, N, V
                           [0.02, 0.13, 0.83, 0.02],  # after an adjective
                           [0.05, 0.02, 0.03, 0.90],  # after a noun
                           [0.66, 0.20, 0.12, 0.02]])  # after a verb
WORD_OF_CLASS = torch.tensor([[[0.60, 0.30, 0.06, 0.04],  # sea: the, a, my, every
                               [0.10, 0.42, 0.43, 0.05],  # old, small, wet, muddy
                               [0.56, 0.38, 0.02, 0.04],  # ship, fish, horse, barn
                               [0.52, 0.42, 0.03, 0.03]],  # sails, swims, trots, stands
                              [[0.04, 0.06, 0.40, 0.50],  # farm
                               [0.45, 0.05, 0.04, 0.46],
                               [0.02, 0.04, 0.56, 0.38],
                               [0.03, 0.02, 0.50, 0.45]]])


def sample_sentences(count):
    """Random sentences as ids, (count, 17): [CLS] and 16 words."""
    topic = torch.randint(2, (count,))
    word_class = torch.randint(4, (count,))
    columns = [torch.full((count,), CLS)]
    for _ in range(16):
        word = torch.multinomial(WORD_OF_CLASS[topic, word_class], 1)[:, 0]
        columns.append(len(SPECIAL) + 4 * word_class + word)
        word_class = torch.multinomial(NEXT_CLASS[word_class], 1)[:, 0]
    return torch.stack(columns, dim=1)


def mask_tokens(ids, mask_id, vocab_size, special_ids, p=0.15, generator=None):
    """Hide tokens the way BERT does, and say which words were there.

    ids:         (B, T), int64, below vocab_size
    mask_id:     the id of [MASK]
    special_ids: list of the ids that are never selected and never drawn; mask_id is one of them
    p:           share of the ordinary tokens that is selected
    generator:   where random numbers come from; None: torch's default
    returns      inputs (B, T): of the selected tokens 80 % are [MASK], 10 % a random ordinary word, 10 % as before
                 labels (B, T): the original id where selected, else -100
    """
    raise NotImplementedError("mask_tokens")


def mlm_loss(logits, labels):
    """Mean surprise, in nats, at the words that were asked for.

    logits:  (B, T, V)
    labels:  (B, T), int64, -100 where nothing is asked
    returns  a tensor without dimensions; 0 with zero gradients if nothing is asked at all
    """
    raise NotImplementedError("mlm_loss")


class BertEmbeddings(nn.Module):
    """Token, position and segment embeddings, summed and normalised.

    token.weight (vocab_size, d_model)  position.weight (max_length, d_model)  segment.weight (2, d_model)
    norm.weight, norm.bias (d_model,)
    """

    def __init__(self, vocab_size, d_model, max_length, dropout=0.0):
        super().__init__()
        self.token = nn.Embedding(vocab_size, d_model)
        self.position = nn.Embedding(max_length, d_model)
        self.segment = nn.Embedding(2, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        for table in (self.token, self.position, self.segment):
            nn.init.normal_(table.weight, std=0.3)  # the tied head multiplies by the token table: keep it small

    def forward(self, ids, segments=None):
        """ids: (B, T), T <= max_length  segments: (B, T), 0 or 1; None: all 0  returns (B, T, d_model)"""
        raise NotImplementedError("BertEmbeddings.forward")


class MaskedLMHead(nn.Module):
    """Scores for every word of the vocabulary, with the token table of the embeddings as its last matrix.

    dense.weight (d_model, d_model), dense.bias (d_model,)  norm.weight, norm.bias (d_model,)  bias (vocab_size,)
    """

    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, hidden, table):
        """hidden: (B, T, d_model)  table: (vocab_size, d_model), the token embeddings  returns logits (B, T, vocab_size)"""
        raise NotImplementedError("MaskedLMHead.forward")


class BertEncoder(nn.Module):
    """BERT for masked language modelling.

    embeddings.*  as in BertEmbeddings        head.*  as in MaskedLMHead
    layers.0.*, layers.1.*, ...  as in nn.TransformerEncoderLayer
    The head has no table of its own: it uses embeddings.token.weight.
    """

    def __init__(self, vocab_size, d_model, num_heads, num_layers, d_hidden, max_length, dropout=0.0, pad_id=0):
        super().__init__()
        self.pad_id = pad_id
        self.embeddings = BertEmbeddings(vocab_size, d_model, max_length, dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                d_model, num_heads, d_hidden, dropout, activation="gelu", layer_norm_eps=1e-12, batch_first=True
            )
            for _ in range(num_layers)
        )
        self.head = MaskedLMHead(vocab_size, d_model)

    def encode(self, ids, segments=None):
        """ids, segments: (B, T)  returns the hidden states after the last layer, (B, T, d_model)"""
        raise NotImplementedError("BertEncoder.encode")

    def forward(self, ids, segments=None):
        """ids, segments: (B, T)  returns logits (B, T, vocab_size)"""
        raise NotImplementedError("BertEncoder.forward")


def learning_rate(step, steps, peak):
    """Of step 1, 2, ..., steps: up to `peak` in the first tenth, then down along a cosine to 2 % of it."""
    warmup = max(1, steps // 10)
    if step <= warmup:
        return peak * step / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)


def pretrain(model, sequences, mask_id, vocab_size, special_ids, steps, batch_size=64, peak=5e-3):
    """Train `model` to guess hidden words, with mask_tokens and mlm_loss.

    model:     a BertEncoder; it is changed, and is in evaluation mode afterwards
    sequences: (N, T), int64, on the device of the model
    returns    the list of losses, `steps` floats
    """
    raise NotImplementedError("pretrain")


def best_predictions(inputs, sides="both"):
    """The exact probability of each word behind each place of `inputs`, if it was selected: (B, T, 19), float64.

    sides: "both"; "left": without what stands to the right; "none": without any other word
    """
    table = WORD_OF_CLASS.double()  # (topic, class, word of the class)
    says = torch.zeros(2, 4, 16, dtype=torch.float64)  # P(word | topic, class)
    for c in range(4):
        says[:, c, 4 * c : 4 * c + 4] = table[:, c]
    shown = torch.zeros(16, 19, dtype=torch.float64)  # P(input | word), if selected
    shown[:, MASK] = 0.8
    shown[:, 3:] = 0.1 / 16 + 0.1 * torch.eye(16)
    either = 0.15 * shown
    either[:, 3:] += 0.85 * torch.eye(16)  # P(input | word), selected or not

    seen = inputs[:, 1:]  # [CLS] tells nothing
    count, length = seen.shape
    evidence = torch.einsum("zcw,wi->izc", says, either)[seen]  # (B, T, topic, class)
    from_left = [torch.full((count, 2, 4), 1 / 8, dtype=torch.float64)]
    from_right = [torch.ones(count, 2, 4, dtype=torch.float64)]
    step = NEXT_CLASS.double()
    for t in range(length - 1):
        known = from_left[-1] * (1 if sides == "none" else evidence[:, t])
        from_left.append(known @ step / known.sum(dim=(1, 2), keepdim=True))
        known = from_right[-1] * (evidence[:, length - 1 - t] if sides == "both" else 1)
        from_right.append(known @ step.T / known.sum(dim=(1, 2), keepdim=True))
    belief = torch.stack(from_left, dim=1) * torch.stack(from_right[::-1], dim=1)  # (B, T, topic, class)
    words = torch.einsum("btzc,zcw->btw", belief, says) * shown[:, seen].permute(1, 2, 0)
    probabilities = torch.zeros(count, length + 1, 19, dtype=torch.float64)
    probabilities[:, 1:, 3:] = words / words.sum(dim=-1, keepdim=True)
    return probabilities


def loss_of(probabilities, labels, where=None):
    """Mean surprise at the labels, of those places where `where` is true."""
    asked = labels != -100 if where is None else (labels != -100) & where
    return -probabilities[asked].gather(1, labels[asked][:, None]).log().mean().item()


parameters_of_bert_base = None
