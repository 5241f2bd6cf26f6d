# %% [markdown]
# # The Transformer
#
# **About 5 hours · demanding · needs attention, multi-head attention and positions (a1, a3, a4).**
#
# You have the parts: attention that looks things up, heads that look in several ways at once, positions
# that tell the words apart. This notebook puts them together, layer by layer, into the model of Figure 1 of
# *Attention Is All You Need* (Vaswani et al., 2017), and makes it write:
#
# 1. `FeedForward`, the small network that every word goes through alone;
# 2. `EncoderLayer`: self-attention and feed-forward, each inside a residual connection;
# 3. `DecoderLayer`: the same, and in between a look at what the encoder has read;
# 4. `Encoder` and `Decoder`: several layers on top of one another;
# 5. `Transformer`: from word numbers to scores of the next word, with all masks in their places;
# 6. `greedy_decode` writes a sentence, word by word;
# 7. your model learns to spell backwards, and shows you where it looks;
# 8. an experiment: how long is the chain of steps that must wait for one another?
# 9. if you want more: a key–value cache and `beam_search`.
#
# Each step is graded apart. If one of them resists, go on: where a later step builds on an earlier one that
# fails, the grader puts a right one in its place.

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## What is given
#
# **Attention.** You wrote it in a4, so here you take PyTorch's: `nn.MultiheadAttention(d_model, num_heads,
# dropout=..., batch_first=True)`. It has two habits that this course has not. Its masks are the other way
# round, *true where a query may **not** look*, and a query that may look nowhere gives NaN. `attend` below
# stands between: it takes masks as you know them and never gives NaN. Use it wherever one thing reads from
# another. It also leaves the weights behind, as `attention.seen`, for the pictures.
#
# **Positions.** `positions(x)` is the table of a3 in the length, width, dtype and device of `x`. (It takes
# sine and cosine from the unit circle, since $\sin a + i \cos a = e^{i(\pi/2 - a)}$.)

# %%
def attend(attention, query, memory, mask=None):
    """Let each row of `query` read from the rows of `memory`, by way of an nn.MultiheadAttention. Given.

    query: (B, L, d)  memory: (B, S, d); for self-attention they are the same
    mask:  boolean, broadcastable to (B, L, S), true where a query may look; None: everywhere
    returns (B, L, d); a query that may look nowhere has a zero context, and gets out_proj.bias
    """
    batch, length, source = query.size(0), query.size(1), memory.size(1)
    if mask is None:
        mask = torch.ones(source, dtype=torch.bool, device=query.device)
    mask = mask.expand(batch, length, source)
    empty = ~mask.any(dim=-1, keepdim=True)  # (B, L, 1): these look everywhere for a moment, or they would be NaN
    hidden = ~(mask | empty).repeat_interleave(attention.num_heads, dim=0)  # (B * heads, L, S), the other way round
    output, weights = attention(query, memory, memory, attn_mask=hidden, average_attn_weights=False)
    attention.seen = weights.detach()  # (B, heads, L, S)
    return torch.where(empty, attention.out_proj.bias, output)


def positions(x, start=0):
    """The sines and cosines for the positions from `start` on, (T, d_model), for x (B, T, d_model). Given."""
    time = torch.arange(start, start + x.size(1), device=x.device)
    rate = 10000 ** (-torch.arange(0, x.size(2), 2, device=x.device) / x.size(2))
    angle = time[:, None] * rate  # (T, d_model / 2)
    circle = torch.polar(torch.ones_like(angle), math.pi / 2 - angle)
    return torch.view_as_real(circle).flatten(-2).to(x.dtype)


# %% [markdown]
# ## The rules, once and for all
#
# They hold for everything below, and the hidden tests hold you to them.
#
# * **Shapes.** Batch first: `x` is `(B, T, d_model)`. Every size is at least 1.
# * **Masks** are boolean, **true where a query may look**, and broadcast to `(B, L, S)`, where $L$ words
#   look at $S$ words. So a mask may be `(B, 1, S)`, `(L, S)`, or `(S,)`. No mask: everywhere. What is
#   hidden has no influence on any row that counts, in no layer.
# * **Never NaN**, neither in a result nor in a gradient. A query that may look nowhere has a zero context,
#   so its attention gives the bias of the output projection, and `attend` does so. This happens: in a
#   target that is padded on the *left*, or beside a source that holds nothing but padding.
# * **Biases** everywhere, **ReLU** in the feed-forward, **LayerNorm** with the biased variance and
#   $\varepsilon = 10^{-5}$ inside the root, as `nn.LayerNorm` has it.
# * **Dropout** acts on the attention weights (`nn.MultiheadAttention` sees to it), between the two layers
#   of the feed-forward, and on the output of each sublayer before it is added. It is active in `train()`
#   only. Numbers are compared with `dropout=0`, or in `eval()`.
# * **Names.** The tests set weights by the names in the docstrings; the whole table is in step 5. Modules
#   are made in `__init__`, and `state_dict()` holds these names and no others. (Should you wish to store
#   the weights in another way, give the class a method `load_named(self, weights)` that takes a dictionary
#   with the names of its docstring. The grader will use it; the public tests know the prescribed names
#   only.)
# * **Numbers and manners.** Results have the dtype and device of the weights, float32 or float64. Nothing
#   is tied to the CPU. Arguments are never changed in place.
# * **Speed.** Loops over layers, heads or words are fine. Two hundred steps of training, like those of step
#   7 but on shorter words, must be done within 20 seconds of CPU time.
# * **Not allowed**, because it is what you are about to build: `nn.Transformer`, `nn.TransformerEncoder`,
#   `nn.TransformerDecoder` and their layers. Everything else in PyTorch is welcome:
#   `nn.MultiheadAttention`, `nn.LayerNorm`, `F.scaled_dot_product_attention`.

# %% [markdown]
# ## Step 1. The feed-forward network (15 minutes)
#
# Attention carries things from word to word, but all it ever does with them is to average. What is made of
# the mixture is the business of a small network, which every word goes through alone, always the same one:
#
# $$\operatorname{FFN}(x) = \max(0,\; x W_1 + b_1)\, W_2 + b_2 .$$
#
# The hidden layer is wide (in the paper $d_{\text{model}} = 512$ and $d_{\text{ff}} = 2048$), and two
# thirds of the parameters of a layer are here. Without the $\max$ the two matrices would be one. Dropout
# sits between: after the ReLU, before $W_2$.
#
# `nn.Linear` multiplies the last dimension and leaves the others alone, so "each word alone" costs you
# nothing.

# %%
class FeedForward(nn.Module):
    """Two linear layers with a ReLU in between, for each word alone (Vaswani et al. 2017, section 3.3).

    linear1.weight: (d_ff, d_model)  linear1.bias: (d_ff,)
    linear2.weight: (d_model, d_ff)  linear2.bias: (d_model,)
    """

    def __init__(self, d_model, d_ff, dropout=0.1):
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_ff)  # W_1, b_1
        self.linear2 = nn.Linear(d_ff, d_model)  # W_2, b_2
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        """x: (..., d_model) → (..., d_model)"""
        # BEGIN SOLUTION NO PROMPT
        hidden = torch.relu(self.linear1(x))  # (..., d_ff)
        return self.linear2(self.dropout(hidden))
        # END SOLUTION
        raise NotImplementedError("FeedForward.forward")


# %%
def load(module, weights):
    """Set weights by name; what is not named becomes 0, and 1 in the norms."""
    state = {name: torch.zeros_like(tensor) for name, tensor in module.state_dict().items()}
    state |= {name: torch.ones_like(tensor) for name, tensor in state.items() if "norm" in name and "weight" in name}
    module.load_state_dict(state | {name: torch.as_tensor(value) for name, value in weights.items()})
    return module


def test_feed_forward_by_hand():
    """Agrees with two words that were worked out on paper."""
    network = load(FeedForward(1, 2, dropout=0), {
        "linear1.weight": [[1.0], [-1.0]], "linear1.bias": [0.0, 1.0],
        "linear2.weight": [[2.0, 3.0]], "linear2.bias": [0.5],
    })
    got = network(torch.tensor([[2.0], [-3.0]])).flatten().tolist()
    # 2: max(0, 2) = 2 and max(0, -2 + 1) = 0, so 2 * 2 + 0.5;  -3: max(0, -3) = 0 and max(0, 3 + 1) = 4
    assert got == [4.5, 12.5], f"2 should become 4.5 and -3 should become 12.5; yours become {got}"


def test_feed_forward_takes_each_word_alone():
    """What becomes of a word does not depend on its neighbours."""
    network, x = FeedForward(4, 10).eval(), torch.randn(2, 3, 4)
    together, alone = network(x), network(x[:, 1:2])
    assert together.shape == (2, 3, 4), f"(2, 3, 4) should come back, not {tuple(together.shape)}"
    assert torch.allclose(together[:, 1:2], alone, atol=1e-6), "a word alone gives another result than among others"


def test_feed_forward_drops_in_training_only():
    """Dropout works in train() and rests in eval()."""
    network, x = FeedForward(4, 10, dropout=0.5), torch.randn(8, 4)
    assert not torch.equal(network(x), network(x)), "in train() with dropout=0.5, two runs gave the same numbers"
    network.eval()
    assert torch.equal(network(x), network(x)), "in eval(), two runs gave different numbers"

# %% [markdown]
# ## Step 2. A layer of the encoder (40 minutes)
#
# A layer is two **sublayers**, self-attention and then feed-forward. Neither replaces the words; each
# *adds* something to them. That is the residual connection, and it is why dozens of layers can be trained
# at all: there is a straight way through, for the words on the way up and for the gradient on the way down.
#
# What is added up again and again grows, so the sum is brought back to a known size. **LayerNorm** looks at
# one word at a time: of its $d$ numbers it takes off the mean $\mu$ and divides by the spread, and the
# learnt $\gamma$ and $\beta$ say what to make of the result,
#
# $$\operatorname{LN}(x)_i = \gamma_i\, \frac{x_i - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta_i ,
# \qquad \mu = \frac1d \sum_i x_i , \qquad \sigma^2 = \frac1d \sum_i (x_i - \mu)^2 .$$
#
# It can stand in two places, and you build both:
#
# ```text
#  post-norm (2017, the default here)                pre-norm (norm_first=True)
#
#  x ──┬── sublayer ── dropout ──(+)── norm ──►      x ──┬── norm ── sublayer ── dropout ──(+)──►
#      └──────────────────────────┘                      └─────────────────────────────────┘
#
#  x ← LN(x + Sublayer(x))                           x ← x + Sublayer(LN(x))
# ```
#
# In the first, every word leaves a layer normalised. In the second nothing stands in the straight way, so
# the words arrive at the end of all layers as they came in, plus what was added. Large models use it
# because it trains more calmly.
#
# | sublayer | what it computes | its norm |
# |---|---|---|
# | self-attention | `attend(self.self_attn, ..., ..., mask)` | `norm1` |
# | feed-forward | `self.feed_forward(...)` | `norm2` |
#
# Mind that in self-attention queries, keys and values are the same words. If they are normalised first, all
# three are.

# %%
class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each in a residual connection with a LayerNorm (section 3.1).

    self_attn.in_proj_weight: (3 d_model, d_model)     self_attn.in_proj_bias: (3 d_model,)    as nn.MultiheadAttention
    self_attn.out_proj.weight: (d_model, d_model)      self_attn.out_proj.bias: (d_model,)
    feed_forward.*: as in FeedForward                  norm1.*, norm2.*: weight and bias (d_model,)
    """

    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        """x: (B, T, d_model) → (B, T, d_model)

        mask: boolean, broadcastable to (B, T, T), true where a word may look; None: everywhere
        """
        # BEGIN SOLUTION NO PROMPT
        if self.norm_first:
            y = self.norm1(x)
            x = x + self.dropout(attend(self.self_attn, y, y, mask))
            return x + self.dropout(self.feed_forward(self.norm2(x)))
        x = self.norm1(x + self.dropout(attend(self.self_attn, x, x, mask)))
        return self.norm2(x + self.dropout(self.feed_forward(x)))
        # END SOLUTION
        raise NotImplementedError("EncoderLayer.forward")


# %% [markdown]
# The public tests give the attention weights by which it does something that one can follow: with all keys
# zero every word looks at all words alike, and with unit matrices for the values and the output it brings
# back the mean.

# %%
def averaging(prefix):
    """Weights of an nn.MultiheadAttention of width 4 that brings back the mean of what it looks at."""
    unit = torch.eye(4)
    return {f"{prefix}.in_proj_weight": torch.cat([unit, 0 * unit, unit]), f"{prefix}.out_proj.weight": unit}


def normalised(x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def test_a_layer_that_adds_nothing():
    """If both sublayers give zero, post-norm normalises the words and pre-norm leaves them as they are."""
    x = 3 * torch.randn(2, 5, 4) + 1
    post = load(EncoderLayer(4, 2, 10, dropout=0), {})(x)
    assert torch.allclose(post, normalised(x), atol=1e-2), (
        "post-norm: both sublayers give 0 here, so what comes out should be the words, normalised"
    )
    pre = load(EncoderLayer(4, 2, 10, dropout=0, norm_first=True), {})(x)
    assert torch.allclose(pre, x, atol=1e-5), (
        "pre-norm: both sublayers give 0 here, so the words should come out as they went in"
    )


def test_a_layer_that_averages():
    """What self-attention brings is added to the words, and the norm stands in the right place."""
    x = 3 * torch.randn(2, 5, 4)
    post = load(EncoderLayer(4, 1, 10, dropout=0), averaging("self_attn"))(x)
    expected = normalised(x + x.mean(dim=1, keepdim=True))
    assert torch.allclose(post, expected, atol=1e-2), (
        "post-norm: attention brings the mean of all words here, so LN(x + mean of x) should come out"
    )
    pre = load(EncoderLayer(4, 1, 10, dropout=0, norm_first=True), averaging("self_attn"))(x)
    expected = x + normalised(x).mean(dim=1, keepdim=True)
    assert torch.allclose(pre, expected, atol=1e-4), (
        "pre-norm: attention brings the mean of the normalised words here, so x + mean of LN(x) should come out"
    )


def test_feed_forward_comes_second():
    """The feed-forward is added to what the attention has made, not to what went in."""
    x = 3 * torch.randn(2, 5, 4)
    weights = averaging("self_attn") | {
        "feed_forward.linear1.weight": torch.cat([torch.eye(4), -torch.eye(4)]),
        "feed_forward.linear2.weight": torch.cat([torch.eye(4), torch.eye(4)], dim=1),
    }  # this feed-forward gives |x|
    got = load(EncoderLayer(4, 1, 8, dropout=0), weights)(x)
    middle = normalised(x + x.mean(dim=1, keepdim=True))
    assert torch.allclose(got, normalised(middle + middle.abs()), atol=1e-2), (
        "with a feed-forward that gives the absolute values, LN(m + |m|) should come out, where m is what the "
        "first sublayer with its norm has made"
    )


def test_hidden_words_have_no_influence():
    """A word that is masked may be anything: the others do not notice."""
    layer, x = EncoderLayer(4, 2, 10).eval(), torch.randn(2, 5, 4)
    mask = torch.tensor([True, True, True, False, False])
    other = x.clone()
    other[:, 3:] = torch.randn(2, 2, 4)
    seen, unseen = layer(x, mask)[:, :3], layer(other, mask)[:, :3]
    assert torch.allclose(seen, unseen, atol=1e-6), "two hidden words were changed, and the others changed with them"
    assert not torch.allclose(seen, layer(x)[:, :3], atol=1e-4), "the mask makes no difference"


def test_nowhere_to_look():
    """A word that may look nowhere is no reason for NaN, neither in the result nor in a gradient."""
    layer, x = EncoderLayer(4, 2, 10, dropout=0), torch.randn(1, 3, 4, requires_grad=True)
    got = layer(x, torch.tensor([[True, False, False], [False, False, False], [True, True, False]]))
    assert not got.isnan().any(), "NaN: the second word may look nowhere (did you use `attend`?)"
    got.square().sum().backward()
    assert not x.grad.isnan().any(), "the result is fine, but its gradient holds NaN"

# %% [markdown]
# ## Step 3. A layer of the decoder (40 minutes)
#
# The decoder writes the target. Its layer has a third sublayer between the two that you know:
#
# | | sublayer | queries from | keys and values from | mask | its norm |
# |---|---|---|---|---|---|
# | 1 | self-attention | the words written so far | the same | `mask` | `norm1` |
# | 2 | cross-attention | what sublayer 1 has made | `memory`, what the encoder has read | `memory_mask` | `norm2` |
# | 3 | feed-forward | | | | `norm3` |
#
# This is Bahdanau's attention again: each word that is being written asks the source. `memory` comes ready
# from the end of the encoder, $S$ words long while the target has $T$. It is never normalised here, and
# nothing is added to it.
#
# The two masks have different shapes and different meanings. `mask` says at which words of the target a
# word of the target may look, `memory_mask` at which words of the source.

# %%
class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to the memory, feed-forward; each in a residual connection with a LayerNorm.

    self_attn.*, cross_attn.*: in_proj_weight, in_proj_bias, out_proj.weight, out_proj.bias, as in EncoderLayer
    feed_forward.*: as in FeedForward            norm1.*, norm2.*, norm3.*: weight and bias (d_model,)
    """

    def __init__(self, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(d_model, num_heads, dropout=dropout, batch_first=True)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.norm3 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x, memory, mask=None, memory_mask=None):
        """x: (B, T, d_model), memory: (B, S, d_model) → (B, T, d_model)

        mask:        boolean, broadcastable to (B, T, T), true where a word may look in x; None: everywhere
        memory_mask: boolean, broadcastable to (B, T, S), true where a word may look in memory; None: everywhere
        """
        # BEGIN SOLUTION NO PROMPT
        if self.norm_first:
            y = self.norm1(x)
            x = x + self.dropout(attend(self.self_attn, y, y, mask))
            x = x + self.dropout(attend(self.cross_attn, self.norm2(x), memory, memory_mask))
            return x + self.dropout(self.feed_forward(self.norm3(x)))
        x = self.norm1(x + self.dropout(attend(self.self_attn, x, x, mask)))
        x = self.norm2(x + self.dropout(attend(self.cross_attn, x, memory, memory_mask)))
        return self.norm3(x + self.dropout(self.feed_forward(x)))
        # END SOLUTION
        raise NotImplementedError("DecoderLayer.forward")


# %%
def test_the_decoder_reads_the_memory():
    """What cross-attention finds in the memory is added to the words."""
    x, memory = 3 * torch.randn(2, 3, 4), 2 * torch.randn(2, 5, 4) + 1
    mean = memory.mean(dim=1, keepdim=True)
    post = load(DecoderLayer(4, 1, 10, dropout=0), averaging("cross_attn"))(x, memory)
    assert torch.allclose(post, normalised(normalised(x) + mean), atol=1e-2), (
        "post-norm: cross-attention brings the mean of the memory here, so LN(LN(x) + mean) should come out"
    )
    pre = load(DecoderLayer(4, 1, 10, dropout=0, norm_first=True), averaging("cross_attn"))(x, memory)
    assert torch.allclose(pre, x + mean, atol=1e-4), (
        "pre-norm: x + mean of the memory should come out; the memory itself is not normalised"
    )


def test_the_first_word_sees_the_first_word():
    """With a causal mask, self-attention brings each word the mean of what stands so far."""
    x, memory = 3 * torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    causal = torch.ones(3, 3, dtype=torch.bool).tril()
    got = load(DecoderLayer(4, 1, 10, dropout=0), averaging("self_attn"))(x, memory, causal)
    so_far = x.cumsum(dim=1) / torch.arange(1, 4)[:, None]
    assert torch.allclose(got, normalised(x + so_far), atol=1e-2), (
        "LN(x + mean of x so far) should come out: is the mask used, and used in self-attention?"
    )


def test_hidden_memory_is_not_read():
    """`memory_mask` hides words of the memory, and only there."""
    layer, x, memory = DecoderLayer(4, 2, 10).eval(), torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    mask = torch.tensor([True, True, True, False, False])
    other = memory.clone()
    other[:, 3:] = torch.randn(2, 2, 4)
    got = layer(x, memory, None, mask)
    assert torch.allclose(got, layer(x, other, None, mask), atol=1e-6), "what is hidden in the memory was read"
    assert not torch.allclose(got, layer(x, memory), atol=1e-5), "the memory mask makes no difference"
    x_other = x.clone()
    x_other[:, 4] = torch.randn(2, 4)
    changed = not torch.allclose(got[:, 0], layer(x_other, memory, None, mask)[:, 0], atol=1e-6)
    assert changed, "the memory mask has hidden words of the target: the two masks are mixed up"

# %% [markdown]
# ## Step 4. Stacks (30 minutes)
#
# An encoder is `num_layers` such layers, the words going through one after the other; so is a decoder. All
# layers of a decoder read the same `memory`. Here you write `__init__` too, with the names of the
# docstring.
#
# * **The layers are different ones.** Each has weights of its own, drawn for it when it is made. The same
#   layer used six times has the parameters of one, and copies of one layer all begin alike.
# * **A final norm, `norm`, only if `norm_first`.** After post-norm layers the words are normalised already;
#   after pre-norm layers nobody has done it.
# * Masks go to **every** layer. What is hidden from the first but not from the second gets out through the
#   second.
# * `dropout` and `norm_first` are handed down.

# %%
class Encoder(nn.Module):
    """Several encoder layers, one after the other.

    layers.0.*, layers.1.*, ...: as in EncoderLayer
    norm.weight, norm.bias:      (d_model,), only if norm_first
    """

    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        # BEGIN SOLUTION NO PROMPT
        layers = (EncoderLayer(d_model, num_heads, d_ff, dropout, norm_first) for _ in range(num_layers))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(d_model) if norm_first else None
        return
        # END SOLUTION
        raise NotImplementedError("Encoder.__init__")

    def forward(self, x, mask=None):
        """x: (B, T, d_model) → (B, T, d_model); mask: as in EncoderLayer"""
        # BEGIN SOLUTION NO PROMPT
        for layer in self.layers:
            x = layer(x, mask)
        return x if self.norm is None else self.norm(x)
        # END SOLUTION
        raise NotImplementedError("Encoder.forward")


class Decoder(nn.Module):
    """Several decoder layers, one after the other, all reading the same memory.

    layers.0.*, layers.1.*, ...: as in DecoderLayer
    norm.weight, norm.bias:      (d_model,), only if norm_first
    """

    def __init__(self, num_layers, d_model, num_heads, d_ff, dropout=0.1, norm_first=False):
        super().__init__()
        # BEGIN SOLUTION NO PROMPT
        layers = (DecoderLayer(d_model, num_heads, d_ff, dropout, norm_first) for _ in range(num_layers))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(d_model) if norm_first else None
        return
        # END SOLUTION
        raise NotImplementedError("Decoder.__init__")

    def forward(self, x, memory, mask=None, memory_mask=None):
        """x: (B, T, d_model), memory: (B, S, d_model) → (B, T, d_model); masks: as in DecoderLayer"""
        # BEGIN SOLUTION NO PROMPT
        for layer in self.layers:
            x = layer(x, memory, mask, memory_mask)
        return x if self.norm is None else self.norm(x)
        # END SOLUTION
        raise NotImplementedError("Decoder.forward")

# %%
def names_of_a_layer(prefix, attentions, norms):
    parts = [f"{attention}.{name}" for attention in attentions for name in ("in_proj_", "out_proj.")]
    parts += [f"{name}." for name in ("feed_forward.linear1", "feed_forward.linear2", *norms)]
    return {f"{prefix}.{part}{kind}" for part in parts for kind in ("weight", "bias")}


def test_the_names_are_right():
    """The parameters have the names of the docstring."""
    for kind, attentions, norms in (
        (Encoder, ("self_attn",), ("norm1", "norm2")),
        (Decoder, ("self_attn", "cross_attn"), ("norm1", "norm2", "norm3")),
    ):
        for norm_first in (False, True):
            expected = names_of_a_layer("layers.0", attentions, norms) | names_of_a_layer("layers.1", attentions, norms)
            expected |= {"norm.weight", "norm.bias"} if norm_first else set()
            got = set(kind(2, 4, 2, 10, norm_first=norm_first).state_dict())
            what = f"{kind.__name__} with 2 layers and norm_first={norm_first}"
            assert not expected - got, f"{what} lacks {', '.join(sorted(expected - got)[:3])} (of {len(expected)} names)"
            assert not got - expected, f"{what} has {', '.join(sorted(got - expected)[:3])} too much"


def test_every_layer_has_its_own_weights():
    """Layers are different objects, and do not begin alike."""
    for stack in (Encoder(3, 4, 2, 10), Decoder(3, 4, 2, 10)):
        weights = [layer.feed_forward.linear1.weight for layer in stack.layers]
        assert len({id(weight) for weight in weights}) == 3, "the layers share one weight: they are one object"
        assert not torch.equal(weights[0], weights[1]), "two layers began with equal weights: is one a copy?"


def test_every_layer_counts():
    """The words go through all layers, one after the other."""
    added = torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    weights = {f"layers.{i}.feed_forward.linear2.bias": added[i] for i in range(3)}
    got = load(Encoder(3, 4, 2, 10, dropout=0, norm_first=True), weights)(torch.zeros(1, 1, 4))[0, 0]
    assert torch.allclose(got, normalised(added.sum(dim=0)), atol=1e-3), (
        "three layers each add something to another dimension here, 3, 2 and 1, so LN of (3, 2, 1, 0) should come out"
    )


def test_the_final_norm():
    """After pre-norm layers the words are normalised once more, after post-norm layers they are not."""
    x, memory = 5 * torch.randn(2, 3, 4), torch.randn(2, 6, 4)
    pre = load(Decoder(2, 4, 2, 10, dropout=0, norm_first=True), {"norm.weight": torch.full((4,), 2.0)})(x, memory)
    assert torch.allclose(pre, 2 * normalised(x), atol=1e-3), (
        "pre-norm, all sublayers zero, norm.weight 2: twice the normalised words should come out"
    )

# %% [markdown]
# ## Step 5. The whole Transformer (45 minutes)
#
# ```text
#  source   (B, S) ── source_embedding · √d + positions ── Encoder ── memory ──┐
#                                                                              ▼
#  target_in (B, T) ── target_embedding · √d + positions ──────────────────  Decoder ── generator ── logits
#                                                                                         (B, T, target_vocab)
# ```
#
# **Embeddings.** A word number picks a row of the table, and the row is multiplied by
# $\sqrt{d_{\text{model}}}$ before the positions are added. The rows are drawn small, with standard
# deviation $1/\sqrt{d_{\text{model}}}$, so after this both are of one size. (Multiply the sum, or leave it
# out, and one of them drowns the other.) Source and target have tables of their own.
#
# **Teacher forcing.** In training the decoder sees the whole target at once, from `<bos>` to the last word
# but `<eos>`. Its output at place $t$ is the score of the word at $t + 1$. So `target_in` is the target
# without its last column, and what is to be predicted is the target without its first: whoever calls the
# model shifts. `forward` shifts nothing.
#
# **Masks.** They are made here, from the padding:
#
# | who looks | where | may look at |
# |---|---|---|
# | encoder | source | words that are not `source_pad` |
# | decoder, self-attention | target | words that are not `target_pad` **and** stand at or before its own place |
# | decoder, cross-attention | source | words that are not `source_pad` |
#
# The two padding numbers may differ. Padding may stand on the left as well as on the right; places are
# counted from the first column, padded or not. (With padding on the left the first rows may look nowhere.
# What comes out at padded places is not compared, but it must be a number.)
#
# **The generator** is a linear layer of its own, with a bias. It gives logits: no softmax, which is the
# business of the loss.
#
# | parameter | shape |
# |---|---|
# | `source_embedding.weight` | (source_vocab, d_model) |
# | `target_embedding.weight` | (target_vocab, d_model) |
# | `encoder.layers.i.self_attn.in_proj_weight`, `.in_proj_bias` | (3 d_model, d_model), (3 d_model): queries, keys, values |
# | `encoder.layers.i.self_attn.out_proj.weight`, `.out_proj.bias` | (d_model, d_model), (d_model) |
# | `encoder.layers.i.feed_forward.linear1.weight`, `.bias` | (d_ff, d_model), (d_ff) |
# | `encoder.layers.i.feed_forward.linear2.weight`, `.bias` | (d_model, d_ff), (d_model) |
# | `encoder.layers.i.norm1.weight`, `.bias`, and `norm2` | (d_model) |
# | `encoder.norm.weight`, `.bias` | (d_model), only if norm_first |
# | `decoder.layers.i.self_attn.…`, `decoder.layers.i.cross_attn.…` | as `self_attn` of the encoder |
# | `decoder.layers.i.feed_forward.…` | as in the encoder |
# | `decoder.layers.i.norm1.weight`, `.bias`, and `norm2`, `norm3` | (d_model) |
# | `decoder.norm.weight`, `.bias` | (d_model), only if norm_first |
# | `generator.weight`, `generator.bias` | (target_vocab, d_model), (target_vocab) |
#
# Here $i$ runs from 0 to num_layers − 1, and no other names occur. The constructor is given.

# %%
class Transformer(nn.Module):
    """The encoder–decoder of Figure 1: from word numbers to logits of the next word. Parameters: see the table."""

    def __init__(self, source_vocab, target_vocab, d_model, num_heads, num_layers, d_ff, dropout=0.1,
                 norm_first=False, source_pad=0, target_pad=0):
        super().__init__()
        if d_model % 2:
            raise ValueError(f"d_model must be even, not {d_model}: sines and cosines come in pairs")
        self.source_pad, self.target_pad = source_pad, target_pad
        self.source_embedding = nn.Embedding(source_vocab, d_model)
        self.target_embedding = nn.Embedding(target_vocab, d_model)
        self.encoder = Encoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.decoder = Decoder(num_layers, d_model, num_heads, d_ff, dropout, norm_first)
        self.generator = nn.Linear(d_model, target_vocab)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=d_model**-0.5)

    # BEGIN SOLUTION NO PROMPT
    def embed(self, embedding, tokens, start=0):
        """tokens: (B, T) → (B, T, d_model); the first of them stands at place `start`"""
        x = embedding(tokens) * math.sqrt(embedding.embedding_dim)
        return x + positions(x, start)

    # END SOLUTION
    def forward(self, source, target_in):
        """source: (B, S), target_in: (B, T), word numbers → logits (B, T, target_vocab) of the words that follow"""
        # BEGIN SOLUTION NO PROMPT
        length = target_in.size(1)
        causal = torch.ones(length, length, dtype=torch.bool, device=target_in.device).tril()  # (T, T)
        target_mask = causal & (target_in != self.target_pad)[:, None, :]  # (B, T, T)
        source_mask = (source != self.source_pad)[:, None, :]  # (B, 1, S)
        memory = self.encoder(self.embed(self.source_embedding, source), source_mask)
        x = self.embed(self.target_embedding, target_in)
        x = self.decoder(x, memory, target_mask, source_mask)
        return self.generator(x)
        # END SOLUTION
        raise NotImplementedError("Transformer.forward")


# %%
def small_transformer(**options):
    return Transformer(11, 13, 8, 2, 2, 16, **({"dropout": 0.0} | options))


def test_logits_come_out():
    """Source and target of different lengths and vocabularies give a row of logits for each word of the target."""
    source, target = torch.randint(1, 11, (3, 5)), torch.randint(1, 13, (3, 4))
    logits = small_transformer()(source, target)
    assert logits.shape == (3, 4, 13), f"expected the shape (3, 4, 13), got {tuple(logits.shape)}"
    assert (logits.sum(dim=-1) - 1).abs().max() > 1e-3, "each row sums to 1: return logits, without a softmax"


def test_the_embedding_has_the_right_size():
    """With all sublayers zero, LN(sqrt(d) · embedding + positions) reaches the generator."""
    model = small_transformer(norm_first=True)
    table = torch.randn(13, 8)
    load(model, {"target_embedding.weight": table, "generator.weight": torch.eye(13)[:, :8]})
    target = torch.tensor([[3, 7, 12]])
    got = model(torch.tensor([[1, 2]]), target)[0, :, :8]
    waves = [(f, 10000 ** (-i / 8)) for i in (0, 2, 4, 6) for f in (math.sin, math.cos)]
    places = torch.tensor([[f(t * rate) for f, rate in waves] for t in range(3)])
    words = table[target[0]]
    assert not torch.allclose(got, normalised(words + places), atol=1e-3), (
        "embedding and positions arrive in equal parts: multiply the embedding by sqrt(d), and only the embedding"
    )
    assert torch.allclose(got, normalised(words * math.sqrt(8) + places), atol=1e-3), (
        "something else than LN(sqrt(d) · embedding + positions) reaches the generator"
    )


def test_later_words_are_not_seen():
    """The logits at a place do not depend on what follows."""
    model, source, target = small_transformer(), torch.randint(1, 11, (2, 5)), torch.randint(1, 13, (2, 6))
    other = target.clone()
    other[:, 4] = target[:, 4] % 12 + 1
    got, changed = model(source, target), model(source, other)
    assert torch.allclose(got[:, :4], changed[:, :4], atol=1e-5), "the fifth word was changed, and earlier logits too"
    assert not torch.allclose(got[:, 4], changed[:, 4], atol=1e-5), (
        "the fifth word was changed, and the logits at its place are the same: does a word see itself?"
    )


def test_padding_the_source_changes_nothing():
    """Padding after the source has no influence."""
    model, source, target = small_transformer(), torch.randint(1, 11, (2, 5)), torch.randint(1, 13, (2, 6))
    padded = torch.cat([source, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    assert torch.allclose(model(source, target), model(padded, target), atol=1e-5), (
        "three pads were appended to the source, and the logits changed: who looks at the source, and which mask has it?"
    )


def test_padding_on_the_left_of_the_target():
    """A target that begins with padding gives numbers, and its padding is not looked at."""
    model, source = small_transformer(target_pad=7), torch.randint(1, 11, (1, 5))
    target = torch.tensor([[7, 7, 2, 5, 3]])
    got = model(source, target)
    assert not got.isnan().any(), "NaN: the first word may look nowhere, since all it could see is padding"
    with torch.no_grad():
        model.target_embedding.weight[7] += 1
    assert torch.allclose(got[:, 2:], model(source, target)[:, 2:], atol=1e-5), (
        "the embedding of the padding was changed, and the logits of the words with it: somebody looks at the padding"
    )

# %% [markdown]
# ## Step 6. Writing: greedy decoding (25 minutes)
#
# A trained model gives scores for the next word. To write, begin with `<bos>`, ask for the next word,
# append the most likely one, and ask again, until `<eos>` comes. That is greedy: what is written stays.
#
# A batch has to wait for its slowest sentence. A row that has come to its end gets padding, whatever the
# model says about it, while the others go on. When all have ended there is nothing more to ask. If some row
# never ends, `max_length` words are enough.
#
# The model is anything that is called as `model(source, target_in)` and has a `target_pad`. It is left in
# the mode, training or evaluation, in which it came. (Say `model.eval()` before you decode, unless you like
# surprises.) Nobody will differentiate through this: a case for `torch.no_grad()`.

# %%
@torch.no_grad()
def greedy_decode(model, source, bos, eos, max_length):
    """Write the most likely next word until every row has ended.

    source: (B, S)  bos, eos: word numbers  max_length: how many words at most, `eos` counted and `bos` not
    returns (B, T), T at most 1 + max_length: in each row bos, the words, eos, then model.target_pad to the end;
            a row that has not ended after max_length words has no eos. Of words that are equally likely, the one
            with the lowest number is written.
    """
    # BEGIN SOLUTION NO PROMPT
    target = torch.full((source.size(0), 1), bos, device=source.device)  # (B, 1)
    ended = torch.zeros_like(target, dtype=torch.bool)
    for _ in range(max_length):
        logits = model(source, target)[:, -1]  # (B, V), of the word that comes next
        word = logits.argmax(dim=-1, keepdim=True).masked_fill(ended, model.target_pad)  # (B, 1)
        target = torch.cat([target, word], dim=1)
        ended = ended | (word == eos)
        if ended.all():
            break
    return target
    # END SOLUTION
    raise NotImplementedError("greedy_decode")


# %% [markdown]
# The public tests bring a model of their own that follows a script: it always writes the number that is one
# smaller than the last, the source says where to begin, and 2 is the end.

# %%
class Countdown(torch.nn.Module):
    """After bos (1) comes the first word of the source, then always one less; pads are 0."""

    target_pad = 0

    def forward(self, source, target_in):
        follows = torch.where(target_in == 1, source[:, :1], target_in - 1).clamp(min=0)
        return torch.nn.functional.one_hot(follows, 10).float()


def rows_of(ids):
    """The rows as lists; columns at the end that hold nothing but padding may be there or not."""
    assert isinstance(ids, torch.Tensor) and ids.dtype == torch.long, "expected a tensor of word numbers (torch.long)"
    return ids[:, : int((ids != 0).any(dim=0).nonzero().max()) + 1].tolist()


def test_writing_ends_with_eos():
    """A row is bos, the words, eos, and padding while the others go on."""
    got = rows_of(greedy_decode(Countdown().eval(), torch.tensor([[4], [2], [6]]), 1, 2, 20))
    expected = [[1, 4, 3, 2, 0, 0], [1, 2, 0, 0, 0, 0], [1, 6, 5, 4, 3, 2]]
    assert got == expected, f"the rows should be {expected}, but are {got}"


def test_writing_stops_in_the_end():
    """A row that does not end is cut off after max_length words."""
    got = rows_of(greedy_decode(Countdown().eval(), torch.tensor([[9], [3]]), 1, 2, 4))
    expected = [[1, 9, 8, 7, 6], [1, 3, 2, 0, 0]]
    assert got == expected, f"with max_length=4 the rows should be {expected}, but are {got}"


def test_decoding_leaves_the_mode_alone():
    """A model that was in training is in training afterwards."""
    model = Countdown().train()
    greedy_decode(model, torch.tensor([[4]]), 1, 2, 5)
    assert model.training, "the model came in train() and was left in eval()"

# %% [markdown]
# ## Step 7. Spelling backwards (25 minutes)
#
# Time to see it learn. The task: nine letters in, the same letters out in reverse. It is small, and for
# once we know where a good model must look: to write letter $t$ it needs letter $8 - t$ of the source, so
# its cross-attention should run along the *other* diagonal. One layer and one head are enough, and half a
# minute at most.
#
# Read the loop before you run it. Every line of it meets a mistake that is made again and again: the shift
# between what goes in and what is predicted, the padding that the loss leaves out, the classes that
# `cross_entropy` wants in dimension 1, the warm-up that keeps the first steps small. Nothing in this cell
# is graded, but the grader trains **your** classes on a task like it, and looks at what they have learnt.

# %%
if __name__ == "__main__":
    PAD, BOS, EOS = 0, 1, 2

    def letters_and_their_reverse(count, length=9):
        """source (count, length) of random letters, and target (count, length + 2) from bos to eos"""
        source = torch.randint(3, 29, (count, length))
        ends = torch.full((count, 1), BOS), torch.full((count, 1), EOS)
        return source, torch.cat([ends[0], source.flip(1), ends[1]], dim=1)

    torch.manual_seed(0)
    model = Transformer(29, 29, d_model=32, num_heads=1, num_layers=1, d_ff=64, dropout=0.0)
    optimiser = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98))
    losses = []
    for step in range(1, 301):
        optimiser.param_groups[0]["lr"] = 5e-3 * min(step / 20, 1, 2.2 - step / 150)  # up, along, and down
        source, target = letters_and_their_reverse(64)
        logits = model(source, target[:, :-1])  # (B, T, V): what follows each word
        loss = F.cross_entropy(logits.transpose(1, 2), target[:, 1:], ignore_index=PAD)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}")

# %%
if __name__ == "__main__":
    def numbers(word):
        return torch.tensor([[ord(letter) - ord("a") + 3 for letter in word]])

    def letters(row):
        return "".join(chr(number - 3 + ord("a")) for number in row if number > 2)

    model.eval()
    for word in ("attention", "backwards", "diagonals", "algorithm"):
        print(word, "→", letters(greedy_decode(model, numbers(word), BOS, EOS, 12)[0].tolist()))

# %% [markdown]
# ### Where it looks
#
# The weights of the cross-attention while the model spells "attention" backwards: each row is a letter that
# is being written, each column a letter of the source. Next to it, the same averaged over a thousand random
# words.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    def cross_attention(source, target):
        with torch.no_grad():
            model(source, target[:, :-1])
        return model.decoder.layers[-1].cross_attn.seen.mean(dim=1)  # (B, T, S), the heads averaged

    source, target = letters_and_their_reverse(1000)
    word = "attention"
    one = cross_attention(numbers(word), greedy_decode(model, numbers(word), BOS, EOS, 12))[0]
    panels = (one, f"Weights for {word!r}"), (cross_attention(source, target).mean(dim=0), "Weights, mean over 1000 words")

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained", width_ratios=(1, 1, 0.9))
    figure.get_layout_engine().set(wspace=0.06)
    for axis, (weights, title) in zip(axes, panels):
        weights = weights[: len(word) + 1]
        picture = axis.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        for i, j in ((i, j) for i in range(weights.size(0)) for j in range(weights.size(1)) if weights[i, j] > 0.05):
            colour = "white" if weights[i, j] > 0.55 else "0.25"
            axis.text(j, i, f"{weights[i, j]:.2f}"[1:] if weights[i, j] < 0.995 else "1", ha="center", va="center",
                      fontsize=8, color=colour)
        axis.set_title(title, fontsize=12, pad=8)
        axis.set_xlabel("looks at (source)", color="0.35")
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    axes[0].set_xticks(range(9), word)
    axes[0].set_yticks(range(10), [*word[::-1], "eos"])
    axes[0].set_ylabel("writes (target)", color="0.35")
    axes[1].set_xticks(range(9), range(9))
    axes[1].set_yticks(range(10), [*range(9), "eos"])
    figure.colorbar(picture, ax=axes[1], shrink=0.8)
    axes[2].plot(range(1, 301), losses, color="#2a6fbb", lw=1.5)
    axes[2].axhline(math.log(26), color="0.6", ls=":")
    axes[2].text(300, math.log(26) * 1.06, "guessing among 26 letters", ha="right", color="0.45", fontsize=9)
    axes[2].set(title="Training loss", xlabel="step", ylim=(0, 4))
    axes[2].spines[["top", "right"]].set_visible(False)
    plt.show()

# %% [markdown]
# ## Step 8. How long is the chain? An experiment (20 minutes)
#
# "Attention is faster than a recurrent network" is said so often that it is worth asking what it means. It
# does not mean that it computes less. A recurrent network needs about the same work for each word, however
# long the sentence. In self-attention every word looks at every other, so the work *per word* grows with
# the length.
#
# What shrinks is the waiting. A recurrent network can't begin with word 100 before it is done with word 99,
# because it needs the state. A layer of the encoder treats all words at once. On a machine that does many
# things side by side, the time is set not by the work but by the longest **chain of steps that must wait
# for one another**.
#
# Such a chain can be counted, and need not be timed: PyTorch notes for the gradient which result came from
# which. The cell below follows these notes back from the last result and counts, on the longest way, the
# matrix products (two of them for a fused attention). It counts for a `GRUCell` and for **your** encoder
# with 2 layers, and beside that it counts multiplications.
#
# Guess before you run it: how many products in a row for 100 words, in the one and in the other?

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt
    from torch.utils.flop_counter import FlopCounterMode

    def longest_chain(result):
        """How many matrix products, one after the other, `result` had to wait for."""
        chain, waiting = {}, [result.grad_fn]
        while waiting:
            node = waiting[-1]
            before = [earlier for earlier, _ in node.next_functions if earlier is not None]
            unknown = [earlier for earlier in before if earlier not in chain]
            if unknown:
                waiting += unknown
                continue
            name = node.name()
            products = 2 if "Attention" in name else any(part in name for part in ("mm", "Mm", "Linear"))
            chain[waiting.pop()] = products + max((chain[earlier] for earlier in before), default=0)
        return chain[result.grad_fn]

    def read_one_by_one(cell, x):
        state = torch.zeros(x.size(0), x.size(2))
        for t in range(x.size(1)):
            state = cell(x[:, t], state)
        return state

    def multiplications(model, *inputs):
        with FlopCounterMode(display=False) as counter:
            model(*inputs)
        return counter.get_total_flops() / 2  # it counts an addition for each

    width, lengths = 64, [1, 10, 25, 50, 100, 200, 400, 800]
    cell, encoder = nn.GRUCell(width, width), Encoder(2, width, 4, 4 * width, dropout=0)
    chains, work = {"GRU": [], "encoder": []}, {"GRU": [], "encoder": []}
    for length in lengths:
        x = torch.randn(1, length, width)
        chains["GRU"].append(longest_chain(read_one_by_one(cell, x)))
        chains["encoder"].append(longest_chain(encoder(x)))
        work["GRU"].append(multiplications(read_one_by_one, cell, x) / length / 1000)
        work["encoder"].append(multiplications(encoder, x) / length / 1000)
    at = lengths.index(100)
    print(f"100 words: {chains['GRU'][at]} products in a row for the GRU, {chains['encoder'][at]} for the encoder")

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    for name, colour in (("GRU", "#c44e52"), ("encoder", "#2a6fbb")):
        left.plot(lengths, chains[name], "o-", color=colour, lw=2, label=name)
        right.plot(lengths, work[name], "o-", color=colour, lw=2, label=name)
    left.set(yscale="log", title="Matrix products in a row")
    left.set_yticks([1, 10, 100, 1000], [1, 10, 100, 1000])
    right.set(ylim=(0, None), title="Multiplications per word, in thousands")
    for axis in (left, right):
        axis.set(xscale="log", xlabel="words in the sentence")
        axis.set_xticks(lengths, lengths)
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    plt.show()

# %% [markdown]
# Report what you counted at 100 words: two whole numbers. The grader counts again.

# %%
steps_of_rnn = None
steps_of_encoder = None
# BEGIN SOLUTION NO PROMPT
steps_of_rnn = 100
steps_of_encoder = 12
# END SOLUTION

# %% [markdown]
# While *writing*, a Transformer waits as well: word 100 can't be chosen before word 99. Training knows all
# words beforehand, and there it pays off.
#
# ## Step 9. If you want more (60 minutes)
#
# Two things that every system in use has. They are worth a few points only.
#
# ### A key–value cache
#
# `greedy_decode` runs the whole decoder again for each new word, over all words that were there before.
# Nothing of it changes: thanks to the causal mask, an earlier word never learns of a later one. All that a
# new word needs from the old ones are their **keys and values**, layer by layer. Keep them, and a step
# costs one word instead of all.
#
# * `start_decoding(model, source)` reads the source once and makes a cache for a target that is still
#   empty.
# * `decode_step(model, token, cache)` takes the next word of each row and gives the logits of the word
#   after it, together with the cache for the next step.
#
# What the cache is made of is up to you: a list, a tuple, a dictionary of tensors, an object. Fed word by
# word, the logits equal those of `model(source, target_in)`, column by column, and that is what is tested,
# in `eval()`. Words of the target may be padding, as everywhere. Nothing may be kept in the model: all that
# is remembered goes through the cache.
#
# `project` is given, since only the source code of PyTorch tells how `nn.MultiheadAttention` stores its
# three projections: one below the other.

# %%
def project(attention, x, part):
    """x (B, T, d) through the query (0), key (1) or value (2) projection, split: (B, heads, T, d / heads). Given."""
    weight, bias = attention.in_proj_weight.chunk(3)[part], attention.in_proj_bias.chunk(3)[part]
    return F.linear(x, weight, bias).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)


# %%
# BEGIN SOLUTION NO PROMPT
def look_up(attention, query, keys, values, mask):
    """`attend` with keys and values (B, heads, S, d / heads) that are there already; query (B, 1, d), mask (B, S)."""
    scores = project(attention, query, 0) @ keys.transpose(-2, -1) / math.sqrt(keys.size(-1))  # (B, heads, 1, S)
    hidden = ~mask[:, None, None, :]
    weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(dim=-1).masked_fill(hidden, 0)
    return attention.out_proj((weights @ values).transpose(1, 2).flatten(-2))  # (B, 1, d)


def step_through(layer, x, past, memory, target_mask, source_mask):
    """One word x (B, 1, d) through one layer of the decoder. past, memory: the layer's pairs of keys and values."""
    y = layer.norm1(x) if layer.norm_first else x
    keys, values = (torch.cat([past[i], project(layer.self_attn, y, 1 + i)], dim=2) for i in range(2))
    x = x + layer.dropout(look_up(layer.self_attn, y, keys, values, target_mask))
    x = x if layer.norm_first else layer.norm1(x)

    y = layer.norm2(x) if layer.norm_first else x
    x = x + layer.dropout(look_up(layer.cross_attn, y, *memory, source_mask))
    x = x if layer.norm_first else layer.norm2(x)

    y = layer.norm3(x) if layer.norm_first else x
    x = x + layer.dropout(layer.feed_forward(y))
    return x if layer.norm_first else layer.norm3(x), (keys, values)


# END SOLUTION
@torch.no_grad()
def start_decoding(model, source):
    """Read `source` (B, S) with a Transformer, and return the cache for an empty target."""
    # BEGIN SOLUTION NO PROMPT
    source_mask = source != model.source_pad  # (B, S)
    read = model.encoder(model.embed(model.source_embedding, source), source_mask[:, None, :])
    layers = model.decoder.layers
    memory = [(project(layer.cross_attn, read, 1), project(layer.cross_attn, read, 2)) for layer in layers]
    past = [tuple(project(layer.self_attn, read[:, :0], 1 + i) for i in range(2)) for layer in layers]  # no word yet
    return {"source_mask": source_mask, "target_mask": source_mask[:, :0], "memory": memory, "past": past}
    # END SOLUTION
    raise NotImplementedError("start_decoding")


@torch.no_grad()
def decode_step(model, token, cache):
    """One word further. token: (B,), the next word of each row → logits (B, V) of the word after it, and the cache."""
    # BEGIN SOLUTION NO PROMPT
    target_mask = torch.cat([cache["target_mask"], (token != model.target_pad)[:, None]], dim=1)  # (B, t + 1)
    x = model.embed(model.target_embedding, token[:, None], start=cache["target_mask"].size(1))  # (B, 1, d)
    past = []
    for layer, before, memory in zip(model.decoder.layers, cache["past"], cache["memory"]):
        x, now = step_through(layer, x, before, memory, target_mask, cache["source_mask"])
        past.append(now)
    x = x if model.decoder.norm is None else model.decoder.norm(x)
    return model.generator(x[:, 0]), cache | {"target_mask": target_mask, "past": past}
    # END SOLUTION
    raise NotImplementedError("decode_step")


# %%
def test_cached_equals_uncached():
    """Word by word with a cache gives the logits of the whole target at once."""
    for norm_first in (False, True):
        model = Transformer(11, 13, 8, 2, 2, 16, norm_first=norm_first).eval()
        source, target = torch.tensor([[3, 5, 2, 0], [4, 4, 1, 9]]), torch.tensor([[1, 5, 8, 2], [1, 6, 6, 3]])
        whole, cache = model(source, target), start_decoding(model, source)
        for t in range(4):
            logits, cache = decode_step(model, target[:, t], cache)
            assert logits.shape == (2, 13), f"expected logits of shape (2, 13), got {tuple(logits.shape)}"
            assert torch.allclose(logits, whole[:, t], atol=1e-4), (
                f"norm_first={norm_first}: the logits at place {t} (counted from 0) differ from those without a cache"
            )

# %% [markdown]
# ### Beam search
#
# The most likely word now may lead into a sentence that is unlikely as a whole. Beam search keeps several
# beginnings alive, the `beam_size` best ones:
#
# 1. Begin with `bos` alone, whose log-probability is 0.
# 2. Extend every open beginning by every word. The log-probability of the extended one is that of the
#    beginning plus that of the word, from a log-softmax of the logits.
# 3. Of all these, keep the `beam_size` with the highest log-probability. Those among them that end in `eos`
#    are finished and set aside; the others are the open beginnings of the next round.
# 4. Stop after `max_length` rounds, or when nothing is open any more. What is still open then counts as
#    finished too.
# 5. The answer is the finished sentence with the highest **score**: log-probability divided by the number
#    of its words, `eos` counted and `bos` not. Without the division short sentences would win too easily,
#    since every word costs something.
#
# Each row of the batch is searched for itself; a loop over the rows is fine. With a beam of 1 you are back
# at `greedy_decode`.

# %%
@torch.no_grad()
def beam_search(model, source, bos, eos, beam_size, max_length):
    """Write the sentence with the best score that a beam of `beam_size` beginnings finds.

    Arguments and rows as in greedy_decode.
    returns the pair (B, T) of sentences, (B,) of their scores: log-probability / number of words, eos counted
    """
    # BEGIN SOLUTION NO PROMPT
    best = [_search_one(model, row[None], bos, eos, beam_size, max_length) for row in source]
    sentences, scores = zip(*best)
    sentences = nn.utils.rnn.pad_sequence(sentences, batch_first=True, padding_value=model.target_pad)
    return sentences, torch.stack(scores)
    # END SOLUTION
    raise NotImplementedError("beam_search")


# BEGIN SOLUTION NO PROMPT
def _search_one(model, source, bos, eos, beam_size, max_length):
    """The best sentence (T,) for one source (1, S), and its score."""
    open_ = torch.full((1, 1), bos, device=source.device)  # (K, t): the beginnings
    total = torch.zeros(1, device=source.device)  # (K,): their log-probabilities
    finished = []
    for length in range(1, max_length + 1):
        logits = model(source.expand(len(open_), -1), open_)[:, -1]  # (K, V)
        extended = total[:, None] + logits.log_softmax(dim=-1)  # (K, V)
        total, which = extended.flatten().topk(min(beam_size, extended.numel()))
        beginning, word = which // extended.size(1), which % extended.size(1)
        open_ = torch.cat([open_[beginning], word[:, None]], dim=1)
        ends = (word == eos) if length < max_length else torch.ones_like(word, dtype=torch.bool)
        finished += list(zip(total[ends] / length, open_[ends]))
        open_, total = open_[~ends], total[~ends]
        if not len(open_):
            break
    score, sentence = max(finished, key=lambda pair: pair[0])
    return sentence, score
# END SOLUTION


# %%
class Crossroads(torch.nn.Module):
    """After bos (1): 3 with probability 0.6, or 4. After 3: one of 3, 4, 5, 6 at random. After 4, 5, 6: the end (2)."""

    target_pad = 0

    def forward(self, source, target_in):
        table = torch.full((7, 7), 1e-9)
        table[1, 3], table[1, 4], table[3, 3:] = 0.6, 0.4, 0.25
        table[0, 2] = table[2, 2] = table[4:, 2] = 1.0
        return table.log()[target_in]


def test_a_wide_beam_finds_the_better_sentence():
    """A beam of 2 finds a sentence that is better than the greedy one, and a beam of 1 finds the greedy one."""
    model, source = Crossroads().eval(), torch.tensor([[5], [6]])
    sentences, _ = beam_search(model, source, 1, 2, 1, 6)
    assert sentences[0, 1] == 3, "a beam of 1 always takes the most likely next word, which is 3 here"
    sentences, scores = beam_search(model, source, 1, 2, 2, 6)
    assert rows_of(sentences) == [[1, 4, 2], [1, 4, 2]], (
        f"4, eos has probability 0.4, any sentence that begins with 3 at most 0.15; you found {rows_of(sentences)}"
    )
    expected = math.log(0.4) / 2
    assert abs(scores[0].item() - expected) < 1e-4, (
        f"two words, eos counted, with log-probability log 0.4 give the score {expected:.3f}, not {scores[0].item():.3f}"
    )

# %% [markdown]
# ## Where this leads
#
# What you have written is, line by line, what translated German in 2017. Take the decoder away and let the
# encoder guess hidden words, and it is BERT: that is a6.
