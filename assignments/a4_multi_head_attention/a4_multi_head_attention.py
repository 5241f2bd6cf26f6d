"""Many heads: 120 minutes, moderate, 30 points.

Write your code where it says `raise NotImplementedError`; `pytest` in this folder runs the public tests.
a4_multi_head_attention.ipynb has the same exercise with explanations.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def split_heads(x, num_heads):
    """Cut each vector into equal pieces, one per head, and let the heads stand before the tokens.

    x: (B, T, d), where num_heads divides d
    returns (B, num_heads, T, d / num_heads); head 0 has the first piece of each vector
    """
    raise NotImplementedError("split_heads")


def merge_heads(x):
    """Put the pieces of all heads side by side again: the inverse of `split_heads`.

    x: (B, h, T, w)
    returns (B, T, h * w); the piece of head 0 comes first
    """
    raise NotImplementedError("merge_heads")


def causal_mask(n, device=None):
    """May look at itself and back.

    returns boolean (n, n), true on and below the diagonal, on `device` (None: torch's default)
    """
    raise NotImplementedError("causal_mask")


def padding_mask(tokens, pad_id):
    """May look at real tokens.

    tokens: whole numbers (B, S)
    returns boolean (B, 1, 1, S), true where the token is not pad_id
    """
    raise NotImplementedError("padding_mask")


class MultiHeadAttention(nn.Module):
    """Attention in several heads, each at a width of its own (Vaswani et al. 2017, section 3.2.2).

    q_proj, k_proj, v_proj, out_proj: weight (d_model, d_model) and bias (d_model,) each
    ValueError if num_heads does not divide d_model
    """

    def __init__(self, d_model, num_heads):
        super().__init__()
        if d_model % num_heads != 0:
            raise ValueError(f"{num_heads} heads can't share a width of {d_model} evenly")
        self.num_heads = num_heads
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, query, key, value, mask=None):
        """Let each query look at the keys in each head, and bring home a mixture of the values.

        query: (B, L, d_model)  key, value: (B, S, d_model)
        mask:  boolean, broadcastable to (B, num_heads, L, S), true where a query may look; None: everywhere
        returns the pair output (B, L, d_model), weights (B, num_heads, L, S)
        """
        raise NotImplementedError("MultiHeadAttention.forward")


CREATURES, PLACES = "animal dog child horse".split(), "street river bridge field".split()
OF_CREATURES, OF_PLACES = "tired hungry scared lazy ill".split(), "wide muddy deep".split()
KINDS = dict.fromkeys(CREATURES + OF_CREATURES, 1.0) | dict.fromkeys(PLACES + OF_PLACES, -1.0)
FEATURES = ["noun", "verb", "adjective", "pronoun", "kind", "wanted", "found", "met"]
IT = 8  # where "it" stands in the sentence


def sentence(creature, place, adjective):
    return f"the {creature} did not cross the {place} because it was too {adjective}".split()


SENTENCES = [sentence(c, p, a) for c in CREATURES for p in PLACES for a in OF_CREATURES + OF_PLACES]


def word_vector(word):
    """The features of one word, (8,)."""
    features = dict.fromkeys(FEATURES, 0.0)
    features["noun"] = float(word in CREATURES + PLACES)
    features["verb"] = float(word in ("cross", "was"))
    features["adjective"] = float(word in OF_CREATURES + OF_PLACES)
    features["pronoun"] = float(word == "it")
    features["kind"] = KINDS.get(word, 0.0)
    features["wanted"] = 0.3 * features["pronoun"]
    return torch.tensor(list(features.values()))


HEADS_BY_HAND = [
    [
        {"compares": [("pronoun", "adjective")], "copies": ("kind", "wanted")},
        {"compares": [("verb", "noun")], "copies": ("kind", "met")},
    ],
    [
        {"compares": [("pronoun", "noun"), ("wanted", "kind")], "copies": ("kind", "found")},
        {"compares": [("adjective", "pronoun")], "copies": ("wanted", "met")},
    ],
]


def layer_by_hand(heads, without=None):
    """A MultiHeadAttention with these two heads. without: the number of one that is removed."""
    weights = {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.zeros(8, 8), torch.zeros(8)
    for number, head in enumerate(heads):
        first = 4 * number  # the head owns rows, and of out_proj columns, first to first + 3
        for row, (asked_of_the_query, found_in_the_key) in enumerate(head["compares"], start=first):
            weights["q_proj.weight"][row, FEATURES.index(asked_of_the_query)] = 12.0
            weights["k_proj.weight"][row, FEATURES.index(found_in_the_key)] = 1.0
        read_from, written_to = head["copies"]
        weights["v_proj.weight"][first, FEATURES.index(read_from)] = 1.0
        weights["out_proj.weight"][FEATURES.index(written_to), first] = 1.0
        if number == without:
            weights["out_proj.weight"][:, first : first + 4] = 0.0
    attention = MultiHeadAttention(8, 2)
    load = getattr(attention, "load_named", attention.load_state_dict)
    load(weights)
    return attention


def layers_by_hand(without=(None, None)):
    """Both layers. without: layer and number of a head that is removed."""
    return [
        layer_by_hand(heads, without[1] if layer == without[0] else None)
        for layer, heads in enumerate(HEADS_BY_HAND)
    ]


@torch.no_grad()
def read(sentences, layers):
    """The words after both layers, (B, T, 8), and the weights of each layer, (B, 2, T, T)."""
    words = torch.stack([torch.stack([word_vector(word) for word in words]) for words in sentences])
    maps = []
    for attention in layers:
        change, weights = attention(words, words, words)
        words = words + change
        maps.append(weights)
    return words, maps


def share_understood(layers):
    """In which share of the 128 sentences "it" has found the right kind of noun."""
    words, _ = read(SENTENCES, layers)
    kind = torch.tensor([1.0 if words[-1] in OF_CREATURES else -1.0 for words in SENTENCES])
    return (words[:, IT, FEATURES.index("found")] * kind > 0).float().mean().item()


share_without_the_reader = None
