# %% [markdown]
# # Many heads
#
# **About 120 minutes · moderate · needs PyTorch and the idea of attention (assignment 1).**
#
# A word has more than one question to ask. Take *it* in
#
# > the animal did not cross the street because **it** was too tired
#
# It wants to know what is said of it (*tired*), and it wants to know what it stands for (*the animal*). One
# attention gives it one answer: a single row of weights, a single mixture. If it looks at two places at once,
# what it gets is the average of the two, and from an average nobody can tell what came from where.
#
# The way out is to ask several times, side by side: **heads**. Each head has a query, a key and a value of
# its own, small ones, and what the heads bring home is laid side by side. You will write it in three steps
# and then look inside:
#
# 1. `split_heads` and `merge_heads`: the same numbers, seen as one wide vector or as several narrow ones;
# 2. `causal_mask` and `padding_mask`: the two masks that every Transformer needs;
# 3. `MultiHeadAttention`, for a text that looks at itself and for one that looks at another;
# 4. an experiment: heads made by hand that find out what *it* stands for, and what is lost without one;
# 5. to end with, heads that learn to do the same by themselves, in a second.
#
# After each step a cell of public tests tells you within a second where you stand. Run the cells from top
# to bottom.

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## The formula
#
# Vaswani et al. (2017, section 3.2.2) write, for $h$ heads,
#
# $$\operatorname{MultiHead}(Q, K, V) = \operatorname{Concat}(\text{head}_1, \dots, \text{head}_h)\, W^O,
# \qquad \text{head}_i = \operatorname{Attention}(Q W_i^Q,\; K W_i^K,\; V W_i^V),$$
#
# $$\operatorname{Attention}(Q, K, V) = \operatorname{softmax}\!\left(\frac{Q K^{\top}}{\sqrt{w}}\right) V .$$
#
# The vectors have width $d$, in PyTorch's words `d_model`. Each head works at width $w = d / h$, so that $h$
# heads cost no more than one wide one. The paper calls this width $d_k$ or $d_v$. It is what a query of **one
# head** has, and so it is $\sqrt{w}$ that divides the scores, not $\sqrt{d}$.
#
# Three times $h$ little matrices would be slow to apply one by one. Nobody does: the matrices of all heads
# stand together in one `nn.Linear(d, d)`.
#
# | in the paper | in the class | shape | what belongs to head $i$, counted from 0 |
# |---|---|---|---|
# | $W_0^Q, \dots, W_{h-1}^Q$ | `q_proj.weight` | `(d, d)` | rows $iw$ to $iw + w - 1$ |
# | $W_0^K, \dots, W_{h-1}^K$ | `k_proj.weight` | `(d, d)` | the same rows |
# | $W_0^V, \dots, W_{h-1}^V$ | `v_proj.weight` | `(d, d)` | the same rows |
# | $W^O$ | `out_proj.weight` | `(d, d)` | **columns** $iw$ to $iw + w - 1$ |
#
# A `Linear` multiplies by its weight transposed, $x W^{\top} + b$, so what the paper has in columns stands here
# in rows. All four have a bias too; the paper's formula has none, `nn.MultiheadAttention` and most models do.
#
# ## The rules, once and for all
#
# They hold for everything below, and the hidden tests hold you to them.
#
# * **Shapes.** The batch comes first: a text is `(B, T, d)`. In `MultiHeadAttention` the query is `(B, L, d)`,
#   key and value are `(B, S, d)`. Query, key and value may be one and the same tensor (self-attention), or
#   three different ones (cross-attention), and $L$ need not be $S$. Every size is at least 1.
# * **The mask** is boolean and **true where a query may look**, as in assignment 1 and as in
#   `F.scaled_dot_product_attention`. (`nn.MultiheadAttention` means the opposite: there, true hides.) It
#   has at least two dimensions and broadcasts to `(B, h, L, S)` *as it stands*: `(L, S)` holds for everybody,
#   `(B, 1, 1, S)` for each item of the batch, `(B, h, L, S)` for each head of each item. By the rules of
#   broadcasting a mask of three dimensions is `(h, L, S)`, also where there are as many items as heads.
# * **Hidden means hidden.** A hidden key has a weight of exactly zero, and no (finite) number in it or in its
#   value can change any result.
# * **A query that may look nowhere** gets zero weights. Its heads bring home zeros, so its output is
#   `out_proj.bias`. Never NaN, neither in a result nor in a gradient.
# * **Numbers.** The inputs and the weights of a call share one dtype, float64, float32, float16 or bfloat16,
#   and one device. Results have the same. Scores may be in the thousands, of either sign.
# * **Manners.** Arguments are never changed in place, and may be views: transposed, sliced, expanded. Gradients
#   flow from the output to all three inputs and to all weights. There is no dropout: `train()` and `eval()`
#   give the same.
# * **Allowed:** everything in PyTorch but what you are about to build. `F.scaled_dot_product_attention` is
#   yours to use. **Not allowed:** `nn.MultiheadAttention`, `F.multi_head_attention_forward`, `nn.Transformer`
#   and its layers, and their kernels.

# %% [markdown]
# ## Step 1. Split and merge (25 minutes)
#
# After the projections there is one query of width $d$ for each token. The first $w$ numbers of it are the
# query of head 0, the next $w$ that of head 1, and so on. From here on the heads have nothing to do with one
# another, just as the items of a batch have not. So the head becomes a dimension of its own, and stands
# where PyTorch's matrix product leaves it alone, in front of the last two:
#
# $$(B, T, d) \;\longrightarrow\; (B, h, T, w), \qquad
# \text{split}[b, i, t, c] = x[b, t, i w + c] .$$
#
# `merge_heads` is the way back. No number changes, none is lost; both only say anew how they are to be read.
# And that is the trap. `reshape` takes the numbers **in the order in which they lie in memory** and fills the
# new shape with them. It can cut one dimension in two or join two neighbours. It can't exchange two
# dimensions; that is what `transpose` is for. A `reshape` straight to `(B, h, T, w)` runs without an error,
# has the right shape, and hands the first words of the sentence to head 0 and the last ones to head 1.

# %%
def split_heads(x, num_heads):
    """Cut each vector into equal pieces, one per head, and let the heads stand before the tokens.

    x: (B, T, d), where num_heads divides d
    returns (B, num_heads, T, d / num_heads); head 0 has the first piece of each vector
    """
    # BEGIN SOLUTION NO PROMPT
    batch, length, d_model = x.shape
    pieces = x.reshape(batch, length, num_heads, d_model // num_heads)  # (B, T, h, w)
    return pieces.transpose(1, 2)  # (B, h, T, w)
    # END SOLUTION
    raise NotImplementedError("split_heads")


def merge_heads(x):
    """Put the pieces of all heads side by side again: the inverse of `split_heads`.

    x: (B, h, T, w)
    returns (B, T, h * w); the piece of head 0 comes first
    """
    # BEGIN SOLUTION NO PROMPT
    batch, num_heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, num_heads * width)  # (B, T, d)
    # END SOLUTION
    raise NotImplementedError("merge_heads")


# %%
def test_split_has_the_right_shape():
    """Two texts of 5 tokens and width 12 become 3 heads of width 4 each."""
    shape = tuple(split_heads(torch.randn(2, 5, 12), 3).shape)
    assert shape == (2, 3, 5, 4), f"(2, 5, 12) in 3 heads should become (2, 3, 5, 4), not {shape}"


def test_split_cuts_each_vector():
    """Head 0 gets the first numbers of each token, head 1 the next ones."""
    x = torch.tensor([[[10.0, 11.0, 12.0, 13.0], [20.0, 21.0, 22.0, 23.0], [30.0, 31.0, 32.0, 33.0]]])
    heads = split_heads(x, 2)[0].tolist()
    expected = [[[10, 11], [20, 21], [30, 31]], [[12, 13], [22, 23], [32, 33]]]
    assert heads == expected, (
        "three tokens, 10 to 13, 20 to 23 and 30 to 33: head 0 should hold [10, 11], [20, 21], [30, 31], "
        f"and head 1 the rest; yours are {heads[0]} and {heads[1]}"
    )


def test_merge_puts_pieces_side_by_side():
    """Each token gets its vector back, the piece of head 0 first."""
    first_head = torch.tensor([[10.0, 11.0], [20.0, 21.0], [30.0, 31.0]])
    merged = merge_heads(torch.stack([first_head, first_head + 2]).unsqueeze(0))
    shape = tuple(merged.shape)
    assert shape == (1, 3, 4), f"(1, 2, 3, 2) should become (1, 3, 4), not {shape}"
    expected = [[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]]
    assert merged[0].tolist() == expected, (
        "the tokens are [10, 11], [20, 21], [30, 31] in head 0 and [12, 13], [22, 23], [32, 33] in head 1; "
        f"merged they should be {expected}, yours are {merged[0].tolist()}"
    )


def test_merge_undoes_split():
    """Split and merge give back what there was, for any number of heads."""
    x = torch.randn(3, 5, 12)
    for num_heads in (1, 2, 3, 12):
        again = merge_heads(split_heads(x, num_heads))
        assert torch.equal(again, x), f"with {num_heads} heads, what comes back is not what went in"

# %% [markdown]
# ### Look at it
#
# Four tokens, six numbers each, two heads. Blue belongs to head 0, orange to head 1. Below is what the direct
# `reshape` would do: each "head" gets two whole tokens, cut up and stacked.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    def draw_numbers(axis, matrix, title):
        for t, row in enumerate(matrix.tolist()):
            for c, number in enumerate(row):
                colour = "#cfe0f3" if number % 10 < 3 else "#fbdcbd"
                axis.add_patch(plt.Rectangle((c, t), 1, 1, fc=colour, ec="white", lw=2))
                axis.text(c + 0.5, t + 0.5, int(number), ha="center", va="center", fontsize=12, color="0.2")
        axis.set(xlim=(0, matrix.shape[1]), ylim=(len(matrix), 0), xticks=[], yticks=[], aspect="equal")
        axis.set_title(title, fontsize=11)
        axis.spines[:].set_visible(False)

    tokens = torch.tensor([[10.0 * t + c for c in range(6)] for t in range(1, 5)]).unsqueeze(0)
    right, wrong = split_heads(tokens, 2)[0], tokens.reshape(1, 2, 4, 3)[0]
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.8), width_ratios=(2, 1, 1), layout="constrained")
    figure.get_layout_engine().set(hspace=0.1)
    for row, (name, heads) in zip(axes, (("split_heads", right), ("reshape alone", wrong))):
        draw_numbers(row[0], tokens[0], "four tokens (4, 6)")
        row[0].set_ylabel(name, fontsize=13)
        for number in range(2):
            draw_numbers(row[1 + number], heads[number], f"head {number} (4, 3)")
    plt.show()

# %% [markdown]
# ## Step 2. Two masks (15 minutes)
#
# **The causal mask.** A model that writes from left to right must not read what it has yet to write. At
# position $i$ it may look at itself and back: true on and below the diagonal. (The diagonal belongs to it.
# The first word would have nothing to look at otherwise.)
#
# **The padding mask.** The texts of a batch have different lengths and are filled up with a token that means
# nothing, `pad_id`, at the end or elsewhere. No query should look there. One row for each text is enough,
# `(B, S)`, and it should hold for all heads and all queries. Which sizes of 1 does it need, and where, to
# broadcast to `(B, h, L, S)`?
#
# Two masks are joined by `&`: may look if the one *and* the other allows it.

# %%
def causal_mask(n, device=None):
    """May look at itself and back.

    returns boolean (n, n), true on and below the diagonal, on `device` (None: torch's default)
    """
    # BEGIN SOLUTION NO PROMPT
    return torch.ones(n, n, dtype=torch.bool, device=device).tril()
    # END SOLUTION
    raise NotImplementedError("causal_mask")


def padding_mask(tokens, pad_id):
    """May look at real tokens.

    tokens: whole numbers (B, S)
    returns boolean (B, 1, 1, S), true where the token is not pad_id
    """
    # BEGIN SOLUTION NO PROMPT
    real = tokens != pad_id  # (B, S)
    return real[:, None, None, :]  # (B, 1, 1, S)
    # END SOLUTION
    raise NotImplementedError("padding_mask")


# %%
def test_causal_mask():
    """Each position may look at itself and at what came before."""
    mask = causal_mask(3)
    assert mask.dtype == torch.bool, f"a mask is boolean; yours is {mask.dtype}"
    expected = [[True, False, False], [True, True, False], [True, True, True]]
    assert mask.tolist() == expected, f"expected {expected}, got {mask.tolist()}"


def test_padding_mask():
    """Real tokens may be seen, padding may not, in each text of the batch."""
    mask = padding_mask(torch.tensor([[5, 0, 7, 9], [7, 5, 9, 9], [9, 5, 5, 0]]), 9)
    shape = tuple(mask.shape)
    assert mask.dtype == torch.bool, f"a mask is boolean; yours is {mask.dtype}"
    assert shape == (3, 1, 1, 4), f"3 texts of 4 tokens give (3, 1, 1, 4), not {shape}"
    expected = [[True, True, True, False], [True, True, False, False], [False, True, True, True]]
    assert mask[:, 0, 0].tolist() == expected, f"expected {expected}, got {mask[:, 0, 0].tolist()}"


def test_the_two_masks_combine():
    """Joined, they let each query of each text look back, and at real tokens only."""
    both = causal_mask(4) & padding_mask(torch.tensor([[5, 6, 7, 0], [5, 6, 0, 0]]), 0)
    shape = tuple(both.shape)
    assert shape == (2, 1, 4, 4), f"joined they should have shape (2, 1, 4, 4), not {shape}"
    row = both[1, 0, 3].tolist()
    assert row == [True, True, False, False], f"the second text has two real tokens; its last query sees {row}"

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    words = ["she", "saw", "the", "cat", "<pad>", "<pad>"]
    numbers = torch.tensor([[4, 7, 2, 9, 0, 0]])
    back, real = causal_mask(6), padding_mask(numbers, 0)
    panels = {
        "causal_mask(6)": back,
        "padding_mask(tokens, 0)": real[0, 0].expand(6, 6),
        "both, joined by &": (back & real)[0, 0],
    }
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained", sharey=True)
    for axis, (title, mask) in zip(axes, panels.items()):
        axis.imshow(mask, cmap="Blues", vmin=0, vmax=1.6)
        axis.set_xticks(range(6), words, rotation=40, ha="right", fontsize=11)
        axis.set_yticks(range(6), words, fontsize=11)
        axis.set_xticks([x - 0.5 for x in range(1, 6)], minor=True)
        axis.set_yticks([y - 0.5 for y in range(1, 6)], minor=True)
        axis.grid(which="minor", color="white", lw=2)
        axis.tick_params(which="both", length=0)
        axis.set_title(title, fontsize=12)
        axis.set_xlabel("looks at (key)", color="0.35")
        axis.spines[:].set_visible(False)
    axes[0].set_ylabel("word that is looking (query)", color="0.35")
    plt.show()

# %% [markdown]
# ## Step 3. Multi-head attention (40 minutes)
#
# Now put it together. In words:
#
# 1. project query, key and value, each by its own `Linear`;
# 2. split all three into heads;
# 3. attend, in all heads at once: leading dimensions only come along;
# 4. merge the heads, and project once more.
#
# `forward` returns the output **and the weights** of all heads, `(B, h, L, S)`, because we want to look at
# them, and so does everybody who has to find out what a model is doing.
#
# For number 3 you have the choice. You can write the four lines of assignment 1 again: scores, mask, softmax,
# mixture. Or you can call `F.scaled_dot_product_attention(query, key, value, attn_mask=mask)`, which is fast
# and knows masks of this meaning; but it keeps its weights to itself. (There is a way to make it tell: what
# does a mixture of *values* look like if the values are the rows of an identity matrix?)
#
# The constructor is given, names and all, and refuses heads among which the width can't be shared out evenly.
# The tests load weights by these names. (Should you wish to store them in another way, give the class a method
# `load_named(self, weights)` that takes a dictionary with them.)
#
# If step 1 or 2 does not work yet, do this step anyway. It is graded apart: where it needs `split_heads`,
# `merge_heads` or a mask, the grader puts right ones in their place.

# %%
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
        # BEGIN SOLUTION NO PROMPT
        queries = split_heads(self.q_proj(query), self.num_heads)  # (B, h, L, w)
        keys = split_heads(self.k_proj(key), self.num_heads)  # (B, h, S, w)
        values = split_heads(self.v_proj(value), self.num_heads)  # (B, h, S, w)
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.size(-1))  # (B, h, L, S)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0)  # a row that may look nowhere is still uniform here
        context = merge_heads(weights @ values)  # (B, L, d)
        return self.out_proj(context), weights
        # END SOLUTION
        raise NotImplementedError("MultiHeadAttention.forward")


# %%
def test_output_and_weights_come_back():
    """The answer is the pair (output, weights), also where one text looks at another."""
    attention = MultiHeadAttention(12, 3)
    answer = attention(torch.randn(2, 4, 12), torch.randn(2, 5, 12), torch.randn(2, 5, 12))
    assert isinstance(answer, tuple) and len(answer) == 2, "expected a pair, the output and the weights"
    output, weights = (tuple(tensor.shape) for tensor in answer)
    sizes = "B = 2, L = 4, S = 5, d = 12, h = 3"
    assert output == (2, 4, 12), f"{sizes}: the output should be (2, 4, 12), not {output}"
    assert weights == (2, 3, 4, 5), f"{sizes}: the weights should be (2, 3, 4, 5), not {weights}"


def test_two_heads_by_hand():
    """Agrees with two heads of width 1 that were worked out on paper."""
    attention = MultiHeadAttention(2, 2)
    weights = {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.eye(2), torch.zeros(2)
    weights["out_proj.bias"] = torch.tensor([0.0, 100.0])
    load = getattr(attention, "load_named", attention.load_state_dict)
    load(weights)
    query = torch.tensor([[[1.0, -1.0]]])
    key = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    value = torch.tensor([[[10.0, 30.0], [20.0, 40.0]]])
    # head 0: scores 1 and 0, so weights 0.731 and 0.269; head 1: scores 0 and -2, so weights 0.881 and 0.119
    output, shares = attention(query, key, value)
    expected = torch.tensor([[0.7311, 0.2689], [0.8808, 0.1192]])
    assert torch.allclose(shares[0, :, 0], expected, atol=1e-3), (
        f"head 0 has the scores 1 and 0, head 1 has 0 and -2; the weights should be {expected.tolist()}, "
        f"yours are {shares[0, :, 0].tolist()}"
    )
    assert torch.allclose(output[0, 0], torch.tensor([12.689, 131.192]), atol=1e-2), (
        "head 0 mixes 10 and 20 to 12.69, head 1 mixes 30 and 40 to 31.19, and the bias adds 0 and 100; "
        f"yours is {output[0, 0].tolist()}"
    )


def test_one_head_is_plain_attention():
    """With a single head it is attention between four projections."""
    attention, weights = MultiHeadAttention(6, 1), {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.randn(6, 6) / 2, torch.randn(6)
    load = getattr(attention, "load_named", attention.load_state_dict)
    load(weights)
    inputs = {"q_proj": torch.randn(2, 4, 6), "k_proj": torch.randn(2, 5, 6), "v_proj": torch.randn(2, 5, 6)}
    projected = [F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"]) for name, x in inputs.items()]
    plain = F.scaled_dot_product_attention(*projected)
    expected = F.linear(plain, weights["out_proj.weight"], weights["out_proj.bias"])
    output, _ = attention(*inputs.values())
    assert torch.allclose(output, expected, atol=1e-4), "with a single head, another output was expected"


def test_the_width_of_a_head_divides():
    """The scores are divided by the square root of the width of one head."""
    attention = MultiHeadAttention(8, 2)
    weights = {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.eye(8), torch.zeros(8)
    load = getattr(attention, "load_named", attention.load_state_dict)
    load(weights)
    key = torch.cat([torch.full((1, 1, 8), 0.5), torch.zeros(1, 1, 8)], dim=1)
    _, shares = attention(torch.ones(1, 1, 8), key, key)
    ratio = (shares[0, 0, 0, 0] / shares[0, 0, 0, 1]).item()
    assert abs(ratio - math.e) < 1e-3, (
        "d = 8 and h = 2, so a head has width 4. In each head the dot products are 2 and 0, "
        f"which makes scores of 1 and 0 and weights of ratio 2.718, not {ratio:.3f}"
    )


def test_every_head_shares_out_one():
    """In each head, each query shares out exactly 1 among the keys."""
    _, weights = MultiHeadAttention(12, 3)(torch.randn(2, 4, 12), torch.randn(2, 5, 12), torch.randn(2, 5, 12))
    assert (weights >= 0).all(), "a weight is negative"
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 3, 4)), "some weights do not sum to 1 over the keys"


def test_the_future_has_no_influence():
    """Under a causal mask a later token changes no earlier output."""
    attention, text = MultiHeadAttention(12, 3), torch.randn(2, 5, 12)
    other = text.clone()
    other[:, 3:] = torch.randn(2, 2, 12)
    back = torch.ones(5, 5, dtype=torch.bool).tril()
    one, two = attention(text, text, text, back)[0], attention(other, other, other, back)[0]
    earlier_same = torch.allclose(one[:, :3], two[:, :3], atol=1e-6)
    assert earlier_same, "tokens 3 and 4 were changed, and an earlier output moved"
    later_same = torch.allclose(one[:, 3:], two[:, 3:], atol=1e-6)
    assert not later_same, "tokens 3 and 4 were changed, and their outputs were not"


def test_masks_of_several_shapes():
    """The mask broadcasts to (B, h, L, S) as it stands."""
    attention = MultiHeadAttention(12, 3)
    query, key = torch.randn(2, 4, 12), torch.randn(2, 5, 12)
    for shape in [(4, 5), (2, 1, 1, 5), (2, 1, 4, 5), (2, 3, 4, 5), (3, 4, 5)]:
        mask = torch.rand(shape) > 0.4
        mask[..., 0] = True
        _, weights = attention(query, key, key, mask)
        assert torch.equal(weights > 0, mask.expand(2, 3, 4, 5)), (
            f"with a mask of shape {shape}, the weights are not zero exactly where the mask is false"
        )


def test_a_query_that_may_look_nowhere():
    """A query that may look nowhere gets zero weights and out_proj.bias, and no NaN, not even in a gradient."""
    attention = MultiHeadAttention(12, 3)
    bias = torch.linspace(-1, 1, 12)
    zeros = {f"{name}_proj.bias": torch.zeros(12) for name in "qkv"}
    matrices = {f"{name}.weight": torch.randn(12, 12) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    getattr(attention, "load_named", attention.load_state_dict)(matrices | zeros | {"out_proj.bias": bias})
    text = torch.randn(1, 4, 12, requires_grad=True)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2] = False
    output, weights = attention(text, text, text, mask)
    assert not output.isnan().any(), "NaN: what is the softmax of a row in which nothing may be seen?"
    assert (weights[:, :, 2] == 0).all(), "query 2 may look nowhere, and has weights"
    assert torch.allclose(output[0, 2], bias, atol=1e-6), "query 2 may look nowhere: out_proj.bias is its output"
    output.square().sum().backward()
    assert not text.grad.isnan().any(), "the result is fine, but its gradient holds NaN: where was it made?"


def test_the_arguments_stay_as_they_were():
    """Nothing that was passed in is changed."""
    given = torch.randn(2, 4, 12), torch.randn(2, 5, 12), torch.randn(2, 5, 12), torch.rand(4, 5) > 0.4
    before = [tensor.clone() for tensor in given]
    MultiHeadAttention(12, 3)(*given)
    for name, old, new in zip(("query", "key", "value", "mask"), before, given):
        assert torch.equal(old, new), f"`{name}` has changed during the call: something works in place"

# %% [markdown]
# A riddle before you go on: the class has four weights and four biases. Seven of these eight have an influence
# on the output. One has none whatsoever, whatever it is set to. Which one, and why? (The answer is at the end.)

# %% [markdown]
# ## Step 4. Heads that can be read (20 minutes)
#
# To see what a head *is*, set a few by hand. Our language has one sentence in two templates:
#
# > the **animal** did not cross the **street** because it was too **tired**
#
# > the **animal** did not cross the **street** because it was too **wide**
#
# with four nouns that are creatures, four that are places, five adjectives that are said of creatures and
# three that are said of places: 128 sentences. Only the last word tells what *it* stands for.
#
# A word is a vector of eight features, one number each. Five of them say what the word is. Three are free for
# notes: what it *wanted* to find, what it *found*, and whom it *met*. The feature `kind` is 1 for creatures and
# what is said of them, and -1 for places. And *it* comes with a prejudice: `wanted` is 0.3, so unless it is
# told otherwise it will look for a creature.
#
# One layer can't do it. When *it* asks for its noun, it must know what is said of it, and it knows that only
# after it has looked. So there are two layers, and the output of each is **added** to the words, which keep
# what they were. Each layer has two heads of width 4:
#
# | layer | head | who asks | is found by | copies |
# |---|---|---|---|---|
# | 0 | 0 | the pronoun | being an adjective | its `kind` to `wanted` |
# | 0 | 1 | a verb | being a noun | its `kind` to `met` |
# | 1 | 0 | the pronoun | being a noun, of the kind wanted | its `kind` to `found` |
# | 1 | 1 | an adjective | being a pronoun | its `wanted` to `met` |
#
# This cell is given. In `layer_by_hand` you can read how a head is written into the four matrices: its rows in
# `q_proj`, `k_proj` and `v_proj`, its columns in `out_proj`, and nothing else. To **remove** a head it is enough
# to clear its columns. (The 12 makes the score of a match 12 / 2 = 6, and $e^6$ is 400 times as much as $e^0$.)

# %%
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

# %% [markdown]
# Here are the four heads at work, drawn from your weights. Look along the row of *it*: in layer 0 it looks at
# the last word, and in layer 1 at the noun that goes with it. Words that a head has nothing to ask of look at
# everything evenly: a softmax can't look nowhere.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    pair = [sentence("animal", "street", "tired"), sentence("animal", "street", "wide")]
    _, maps = read(pair, layers_by_hand())
    titles = ["Layer 0, head 0\npronoun → adjective", "Layer 0, head 1\nverb → nouns"]
    titles += ["Layer 1, head 0\npronoun → its noun", "Layer 1, head 1\nadjective → pronoun"]
    figure, axes = plt.subplots(2, 4, figsize=(14, 8), layout="constrained", sharey="row")
    figure.get_layout_engine().set(hspace=0.06)
    for row, words in enumerate(pair):
        for column, axis in enumerate(axes[row]):
            picture = axis.imshow(maps[column // 2][row, column % 2], cmap="Blues", vmin=0, vmax=1)
            axis.add_patch(plt.Rectangle((-0.5, IT - 0.5), 12, 1, fill=False, ec="#c44e52", lw=1.5))
            axis.set_xticks(range(12), words, rotation=90, fontsize=11)
            axis.set_yticks(range(12), words, fontsize=11)
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            if row == 0:
                axis.set_title(titles[column], fontsize=12)
    figure.colorbar(picture, ax=axes, shrink=0.6, label="weight")
    plt.show()

# %% [markdown]
# ### The experiment: take a head away
#
# All four maps are crisp. Are all four heads needed? Remove one at a time, and count in which share of the 128
# sentences *it* still finds a noun of the right kind.
#
# Before you run the cell, write down four guesses. For the first head of layer 0, the one with which *it* reads
# the adjective, a good guess is not zero: remember the prejudice, and count the adjectives.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    print(f"all heads: {share_understood(layers_by_hand()):.3f}")
    shares = {}
    for layer in range(2):
        for head in range(2):
            name = f"layer {layer}, head {head}"
            shares[name] = share_understood(layers_by_hand(without=(layer, head)))
            print(f"without {name}: {shares[name]:.3f}")

    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    bars = axis.bar(list(shares), list(shares.values()), color="#2a6fbb", width=0.6)
    axis.bar_label(bars, fmt="%.3f", padding=3)
    axis.set(ylim=(0, 1.15), yticks=[0, 0.5, 1], title="Sentences understood after one head was removed")
    axis.spines[["top", "right"]].set_visible(False)
    plt.show()

# %% [markdown]
# Report the share that is understood without head 0 of layer 0, with three decimals. It is graded: the grader
# takes the same measurement again.
#
# Then think about the number. More than half of the sentences are still answered rightly, which looks like a
# model that has understood *something*. What would you get from one that always answers "the creature"? A
# score means little before one knows what the simplest answer would have scored.

# %%
share_without_the_reader = None
# BEGIN SOLUTION NO PROMPT
share_without_the_reader = 0.625
# END SOLUTION

# %% [markdown]
# ## Step 5. Let it learn (10 minutes, not graded)
#
# Nobody sets heads by hand. Here are two layers with two heads each again, now with random weights, and with
# words that are random vectors of width 16. They are given the sentences and are told **which noun** *it* stands
# for: not where to look, not which words are nouns, not that the last word matters.
#
# One thing is different. In layer 1 the words *as layer 0 has left them* ask the words *as they were at the
# start*, which is cross-attention: the query is another text than key and value. What *it* gets from there is
# taken for the answer, so there it has to look at a noun. A second of training is enough.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    torch.manual_seed(4)
    vocabulary = sorted({word for words in SENTENCES for word in words})
    texts = torch.tensor([[vocabulary.index(word) for word in words] for words in SENTENCES])  # (128, 12)
    answers = [words[1] if words[-1] in OF_CREATURES else words[6] for words in SENTENCES]
    nouns = torch.tensor([vocabulary.index(word) for word in answers])  # (128,)

    class Reader(nn.Module):
        def __init__(self, d_model=16, num_heads=2):
            super().__init__()
            self.words = nn.Embedding(len(vocabulary), d_model)
            nn.init.normal_(self.words.weight, std=0.5)
            self.layers = nn.ModuleList([MultiHeadAttention(d_model, num_heads) for _ in range(2)])

        def forward(self, texts):
            words = self.words(texts)  # (B, 12, d)
            change, first = self.layers[0](words, words, words)
            found, second = self.layers[1](words + change, words, words)
            return found[:, IT] @ self.words.weight.T, [first, second]  # which word is like what "it" has found?

        @torch.no_grad()
        def share_right(self):
            return (self(texts)[0].argmax(dim=-1) == nouns).float().mean().item()

    reader = Reader()
    optimizer = torch.optim.Adam(reader.parameters(), lr=0.02)
    for step in range(151):
        some = torch.randint(128, (64,))
        loss = F.cross_entropy(reader(texts[some])[0], nouns[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step:3}: loss {loss.item():.3f}, right {reader.share_right():.3f}")

# %% [markdown]
# Where has *it* learnt to look? Each row below is the row of *it* in one head, for the two sentences. Under the
# picture, the heads are removed one by one, as above.

# %%
if __name__ == "__main__":
    pair = [sentence("animal", "street", "tired"), sentence("animal", "street", "wide")]
    with torch.no_grad():
        _, maps = reader(torch.tensor([[vocabulary.index(word) for word in words] for words in pair]))
    names = [f"layer {layer}, head {head}" for layer in range(2) for head in range(2)]
    figure, axes = plt.subplots(2, 1, figsize=(11, 5.4), layout="constrained")
    figure.get_layout_engine().set(hspace=0.08)
    for number, (axis, words) in enumerate(zip(axes, pair)):
        rows = torch.cat([weights[number, :, IT] for weights in maps])  # (4, 12)
        axis.imshow(rows, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for i, row in enumerate(rows.tolist()):
            for j, weight in enumerate(row):
                if weight >= 0.05:
                    axis.text(j, i, f"{weight:.2f}", ha="center", va="center", fontsize=9,
                              color="white" if weight > 0.55 else "0.25")
        axis.set_xticks(range(12), words, fontsize=11)
        axis.set_yticks(range(4), names, fontsize=10)
        axis.get_xticklabels()[IT].set(color="#c44e52", weight="bold")
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(f"… because it was too {words[-1]}", fontsize=12)
    plt.show()

    for number, attention in enumerate(reader.layers):
        for head in range(2):
            kept = attention.out_proj.weight.detach().clone()
            with torch.no_grad():
                attention.out_proj.weight[:, 8 * head : 8 * head + 8] = 0
            print(f"without layer {number}, head {head}: {reader.share_right():.3f} right")
            with torch.no_grad():
                attention.out_proj.weight.copy_(kept)

# %% [markdown]
# In both sentences one head of layer 0 reads the adjective, and one head of layer 1 looks at the noun that goes
# with it: what you set by hand above, found by gradient descent. Now change the seed and train again, a few
# times. The answers will be as good, the maps will not. Some runs divide the work otherwise, with one head for
# creatures and another for places; in some both heads read a little of the adjective; in some you will not see
# what a head is good for. Training asks for right answers. It does not ask for heads that a person can read, and
# a beautiful map is no proof that its head matters. Taking it away and counting is.
#
# ## What to take along
#
# * Heads are a way to **read** numbers: a wide vector is several narrow ones. `reshape` cuts and joins, only
#   `transpose` exchanges.
# * A head owns rows of `q_proj`, `k_proj` and `v_proj` and columns of `out_proj`. The scores are divided by the
#   square root of the width of a *head*.
# * $h$ heads cost as much as one. What they add is $h$ rows of weights for each query instead of one.
# * The riddle: `k_proj.bias`. It adds the same number, $q_i \cdot b$, to all scores of a query, and a softmax
#   answers to differences only. Its gradient is zero, and it never learns.
#
# ## What the hidden tests look at
#
# Each function and the class apart. Splitting and merging by value, for views and for any number of heads. Both
# masks. Of the class: agreement with the reference and with `nn.MultiheadAttention` under the same weights;
# each head by itself; the size of the scores; masks of every shape that broadcasts, hidden keys, padding,
# causality, queries that may look nowhere; gradients against numerical ones; order of tokens and of items;
# sizes of 1; views; untouched arguments; large scores; float64, half precision; saving and loading; numbers of
# heads that do not divide; another device; and your number.
#
# ## Where to read on
#
# * A. Vaswani et al.: *Attention Is All You Need*, NeurIPS 2017,
#   [arXiv:1706.03762](https://arxiv.org/abs/1706.03762). Section 3.2.2 is step 3; the last pages show heads
#   that look from *its* to what it stands for.
# * P. Michel, O. Levy, G. Neubig: *Are Sixteen Heads Really Better than One?*, NeurIPS 2019,
#   [arXiv:1905.10650](https://arxiv.org/abs/1905.10650). Step 4 on real translators: many heads can go.
# * E. Voita et al.: *Analyzing Multi-Head Self-Attention: Specialized Heads Do the Heavy Lifting, the Rest Can Be
#   Pruned*, ACL 2019, [arXiv:1905.09418](https://arxiv.org/abs/1905.09418).
