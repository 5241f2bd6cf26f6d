# %% [markdown]
# # Attention
#
# **About 90 minutes · gentle · needs PyTorch, no knowledge of attention.**
#
# A network that reads a sentence has to decide, again and again, *which of the things it has seen matter
# right now*. Attention is the part that decides. You will write it twice, once as it stands in every
# Transformer and once as it was first published, and you will need no more than a handful of lines for
# each:
#
# 1. `masked_softmax` turns scores into shares, and leaves out what must not be seen;
# 2. `scaled_dot_product_attention` compares by dot product (Vaswani et al., 2017);
# 3. an experiment: what the $\sqrt{d}$ in its formula is good for;
# 4. `AdditiveAttention` compares by a small network that can learn (Bahdanau et al., 2015).
#
# After each step a cell of public tests tells you within a second where you stand. Run the cells from top
# to bottom.

# %%
import math

import torch
from torch import nn

# %% [markdown]
# ## The idea: a lookup that need not decide
#
# A Python dictionary answers a **query** by finding the one **key** that equals it, and hands out that
# key's **value**. Either the key is there or it is not.
#
# ```python
# {"red": 0.9, "green": 0.2, "blue": 0.1}["red"]
# ```
#
# Now let queries and keys be vectors. Equality is too much to ask of vectors, but *similarity* can be
# measured, so the lookup becomes soft: compare the query with **every** key, turn the similarities into
# shares that sum to one, and hand out the values mixed in these shares. A key that fits well contributes
# much of its value, one that fits badly contributes almost nothing. Nothing is picked, so nothing jumps: a
# small change of the query is a small change of the answer, the whole lookup has a gradient, and a network
# can *learn* what to look for.
#
# We ask $L$ queries at once, of $S$ keys with $S$ values:
#
# | symbol | variable | shape | meaning |
# |---|---|---|---|
# | $Q$ | `query` | `(..., L, d)` | what each of $L$ places is looking for |
# | $K$ | `key` | `(..., S, d)` | what each of $S$ places can be found by |
# | $V$ | `value` | `(..., S, e)` | what each of $S$ places has to say |
# | $A$ | `weights` | `(..., L, S)` | row $i$: how query $i$ divides its attention |
# | $C = AV$ | `context` | `(..., L, e)` | row $i$: the values, mixed for query $i$ |
#
# The dots stand for any number of leading dimensions, from none at all to batch, heads and more. They are
# the same in `query`, `key` and `value`, and each of their entries is a lookup of its own. Every size is at
# least 1.
#
# ## The rules, once and for all
#
# They hold for everything below, and the hidden tests hold you to them.
#
# * **The mask.** `mask` is boolean and **true where a query may look**. It broadcasts to `(..., L, S)`, so
#   it may have fewer dimensions or sizes of 1: `(S,)` hides the same keys from everybody, `(B, 1, S)` hides
#   others in each item of a batch. Without a mask everything may be seen. (`nn.MultiheadAttention` has a
#   `key_padding_mask` with the opposite meaning, true where a key is *hidden*. Mixing the two up is one of
#   the most frequent mistakes in this field.)
# * **Hidden means hidden.** A hidden key has a weight of exactly zero, and no (finite) number in it or in
#   its value can change any result.
# * **A query that may look nowhere** gets zero weights and a zero context. Never NaN, and no NaN in a
#   gradient either: what this query asked has no influence, so its gradient is zero.
# * **Numbers.** All inputs (and weights) of a call share one dtype, float64, float32, float16 or bfloat16,
#   and one device. Results have the same, with the precision of that dtype. Scores may be large, in the
#   thousands and of either sign; that must not turn anything into NaN or inf.
# * **Manners.** Arguments are never changed in place, and may be views: transposed, sliced, expanded.
#   Gradients flow to all tensors that went in, from the context and from the weights.
# * **Speed.** Loops are fine. 512 queries on 512 keys must be done within 30 seconds of CPU time.
# * **Not allowed**, because it is what you are about to build: `F.scaled_dot_product_attention`,
#   `flex_attention`, `nn.MultiheadAttention`, `nn.Transformer` and its layers. Everything else in PyTorch
#   is welcome, `softmax` included.

# %% [markdown]
# ## Step 1. From scores to shares (20 minutes)
#
# Say the similarities have been measured: $s_{ij}$ is the **score** of query $i$ with key $j$, any real
# number. The softmax makes each row of scores a row of shares: the scores 2, 1, 0 become the shares 0.67,
# 0.24, 0.09, and if the first key is hidden, 0, 0.73, 0.27. With $m_{ij} \in \{0, 1\}$ for "may look",
#
# $$a_{ij} = \frac{m_{ij}\, e^{s_{ij}}}{\sum_{j'=1}^{S} m_{ij'}\, e^{s_{ij'}}}
# \qquad\text{and}\qquad a_{ij} = 0 \text{ if query } i \text{ may look nowhere.}$$
#
# The sum runs over the **keys**: each query has a whole of 1 to give away, and hidden keys take no part.
#
# Three traps, all of them well known from published code:
#
# * $e^{100}$ is infinite in float32. Only differences of scores matter, and `softmax` makes use of that; a
#   formula typed in as it stands does not.
# * To hide a key, people give it a score so low that nothing remains of $e^{s}$. How low can a number be?
#   The answer differs between float32 and float16, and `torch.finfo` knows it. Or is it $-\infty$? Then
#   consider a row in which *every* key is hidden.
# * A NaN that you replace by 0 afterwards is gone from the result. It may still be in the gradient. One
#   of the tests below looks there.

# %%
def masked_softmax(scores, mask=None):
    """Turn each row of scores into shares that sum to one, leaving out what is hidden.

    scores:  (..., L, S)
    mask:    boolean, broadcastable to (..., L, S), true where a query may look; None: everywhere
    returns  weights (..., L, S); a row in which nothing may be seen is all zero
    """
    # BEGIN SOLUTION NO PROMPT
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    lowest = torch.finfo(scores.dtype).min
    weights = scores.masked_fill(~mask, lowest).softmax(dim=-1)  # (..., L, S)
    return weights.masked_fill(~mask, 0)  # a row that may look nowhere is still uniform here
    # END SOLUTION
    raise NotImplementedError("masked_softmax")


# %% [markdown]
# This step is not graded by itself but through the two that use it.

# %%
def test_each_row_is_shared_out():
    """Each query shares out exactly 1 among the keys."""
    weights = masked_softmax(torch.randn(2, 3, 5))
    assert weights.shape == (2, 3, 5), f"scores of shape (2, 3, 5) came back as {tuple(weights.shape)}"
    assert (weights >= 0).all(), "there is a negative share"
    sums = weights.sum(dim=-1)
    assert torch.allclose(sums, torch.ones(2, 3)), (
        "the shares of one query, which stand in one row, should sum to 1; "
        f"your rows sum to {sums.flatten().tolist()}"
    )


def test_a_score_higher_by_one_weighs_e_times_as_much():
    """A score that is higher by 1 gets e = 2.718... times the share."""
    weights = masked_softmax(torch.tensor([[3.0, 2.0, 2.0]]))
    ratio = (weights[0, 0] / weights[0, 1]).item()
    assert abs(ratio - math.e) < 1e-4, f"the scores 3 and 2 should give shares of ratio 2.718, not {ratio:.3f}"


def test_hidden_keys_get_nothing():
    """True means may look: the others get nothing, and the rest is shared out anew."""
    weights = masked_softmax(torch.zeros(2, 4), torch.tensor([True, False, True, False]))
    assert weights[0, 0] > 0, "a key where the mask is true got no share: which way round does your mask work?"
    got = weights[0, 1].item()
    assert (weights[:, [1, 3]] == 0).all(), f"a key where the mask is false should get 0, but got {got:.3f}"
    assert torch.allclose(weights[:, [0, 2]], torch.tensor(0.5)), (
        f"two equal scores remain, so each should get one half; yours get {weights[0, [0, 2]].tolist()}"
    )


def test_large_scores_are_no_problem():
    """Scores in the thousands give shares, not NaN."""
    weights = masked_softmax(torch.tensor([[4000.0, 4000.0, -4000.0], [-3000.0, -3000.0, -9000.0]]))
    assert not weights.isnan().any(), "NaN: something like exp(4000) or 0/0 is computed on the way"
    expected = torch.tensor([0.5, 0.5, 0.0])
    assert torch.allclose(weights, expected), f"each row should be one half, one half, 0; got {weights.tolist()}"


def test_a_query_that_may_look_nowhere():
    """An empty row gives zeros, not NaN, and disturbs no gradient."""
    scores = torch.randn(2, 3, requires_grad=True)
    weights = masked_softmax(scores, torch.tensor([[True, True, False], [False, False, False]]))
    assert not weights.isnan().any(), "the row in which nothing may be seen became NaN"
    row = weights[1].tolist()
    assert row == [0, 0, 0], f"the row in which nothing may be seen should be all 0, but is {row}"
    weights.square().sum().backward()
    assert scores.grad is not None, "no gradient arrived at the scores"
    assert not scores.grad.isnan().any(), "the result is fine, but its gradient holds NaN: where was it made?"


def test_half_precision():
    """float16 in, float16 out."""
    scores = torch.zeros(2, 2, dtype=torch.float16)
    weights = masked_softmax(scores, torch.tensor([[True, False], [False, False]]))
    assert weights.dtype == torch.float16, f"float16 scores should give float16 shares, not {weights.dtype}"
    assert weights.tolist() == [[1, 0], [0, 0]], f"expected [[1, 0], [0, 0]], got {weights.tolist()}"

# %% [markdown]
# ## Step 2. Scaled dot-product attention (20 minutes)
#
# The cheapest similarity of two vectors is their dot product: large where they point the same way, zero
# where they have nothing in common, negative where they disagree. Transformers use it, divided by a
# constant:
#
# $$\operatorname{Attention}(Q, K, V) = \operatorname{softmax}\!\left(\frac{Q K^{\top}}{\sqrt{d}}\right) V,
# \qquad\text{or, for one pair,}\qquad s_{ij} = \frac{q_i \cdot k_j}{\sqrt{d}} .$$
#
# Here $d$ is the width of a query and of a key (the paper writes $d_k$). Why divide? Step 3 measures it.
#
# Everything happens in the last two dimensions; the leading ones only come along. Write the shape at the
# end of each line while you work: most mistakes in attention are axes that were mixed up, and shapes give
# them away.

# %%
def scaled_dot_product_attention(query, key, value, mask=None):
    """Mix the rows of `value`, each query weighting them by its similarity to the keys.

    query: (..., L, d)  key: (..., S, d)  value: (..., S, e)
    mask:  boolean, broadcastable to (..., L, S), true where a query may look; None: everywhere
    returns the pair context (..., L, e), weights (..., L, S)
    """
    # BEGIN SOLUTION NO PROMPT
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # (..., L, S)
    weights = masked_softmax(scores, mask)  # (..., L, S)
    context = weights @ value  # (..., L, e)
    return context, weights
    # END SOLUTION
    raise NotImplementedError("scaled_dot_product_attention")


# %%
def test_context_and_weights_come_back():
    """The answer is the pair (context, weights), of the right shapes."""
    for leading in [(), (2,), (2, 3)]:
        query, key = torch.randn(*leading, 4, 8), torch.randn(*leading, 5, 8)
        value = torch.randn(*leading, 5, 6)
        answer = scaled_dot_product_attention(query, key, value)
        assert isinstance(answer, tuple) and len(answer) == 2, "expected a pair, the context and the weights"
        context, weights = (tuple(tensor.shape) for tensor in answer)
        sizes = f"{len(leading)} leading dimensions, L = 4, S = 5, d = 8, e = 6"
        assert context == (*leading, 4, 6), f"{sizes}: the context should end in (L, e), but has shape {context}"
        assert weights == (*leading, 4, 5), f"{sizes}: the weights should end in (L, S), but have shape {weights}"


def test_the_similar_key_wins():
    """A query that points along one key gets, in the main, the value of that key."""
    key = 6 * torch.eye(3)
    value = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    context, weights = scaled_dot_product_attention(key[1:2], key, value)
    assert weights[0].argmax() == 1, f"the query equals the second key; the weights are {weights[0].tolist()}"
    assert torch.allclose(context, torch.tensor([[2.0, 20.0]]), atol=1e-3), (
        f"the second key has nearly all weight, so its value [2, 20] should come back; got {context[0].tolist()}"
    )


def test_the_score_has_the_right_size():
    """With d = 9, dot products that differ by 3 give weights of ratio e."""
    query = torch.ones(1, 9)
    key = torch.cat([torch.full((1, 9), 1 / 3), torch.zeros(1, 9)])  # dot products 3 and 0
    _, weights = scaled_dot_product_attention(query, key, torch.randn(2, 4))
    ratio = (weights[0, 0] / weights[0, 1]).item()
    assert abs(ratio - math.e) < 1e-3, (
        f"the dot products are 3 and 0 and d is 9, so the weights should have ratio 2.718, not {ratio:.3f}. "
        "Look at the formula again: is everything that depends on d there, once, and the right way round?"
    )


def test_the_context_is_the_mixture():
    """The context is the values mixed in exactly the shares that are handed back."""
    query, key, value = torch.randn(3, 4, 8), torch.randn(3, 5, 8), torch.randn(3, 5, 6)
    context, weights = scaled_dot_product_attention(query, key, value, torch.rand(4, 5) > 0.4)
    mixed = torch.zeros(3, 4, 6)
    for j in range(5):
        mixed += weights[:, :, j, None] * value[:, None, j, :]
    assert torch.allclose(context, mixed, atol=1e-5), "the context is not the values times the weights, summed up"


def test_hiding_is_like_removing():
    """Hiding the last keys gives what a lookup without them gives."""
    query, key, value = torch.randn(2, 4, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 6)
    mask = torch.tensor([True, True, True, False, False])
    context, weights = scaled_dot_product_attention(query, key, value, mask)
    without, _ = scaled_dot_product_attention(query, key[:, :3], value[:, :3])
    assert (weights[..., 3:] == 0).all(), "hidden keys still have some weight"
    assert torch.allclose(context, without, atol=1e-5), "a lookup without the hidden keys gives another context"


def test_the_arguments_stay_as_they_were():
    """Nothing that was passed in is changed."""
    given = torch.randn(4, 8), torch.randn(5, 8), torch.randn(5, 6), torch.rand(4, 5) > 0.4
    before = [tensor.clone() for tensor in given]
    scaled_dot_product_attention(*given)
    for name, old, new in zip(("query", "key", "value", "mask"), before, given):
        assert torch.equal(old, new), f"`{name}` has changed during the call: something works in place"

# %% [markdown]
# ### Look at it
#
# Time for a lookup that one can read. Eight words, and for each of them, set by hand, a key that says what
# the word *is* and a query that says what it is *looking for*. In a real model both are learnt; here there
# are four plain features: thing, property, action, link. The article looks for a thing, the verb for who
# does it, "it" for what it stands for.
#
# Row by row, the picture shows how one word divides its attention. On the right, each word may look only at
# itself and at what came before, as a model must that writes from left to right. See what happens to "the":
# it still has a whole of 1 to give away.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    words = "the small bird sang because it was happy".split()
    #                       thing  property  action  link
    keys = torch.tensor([[0.0, 0.0, 0.0, 1.0],  # the
                         [0.0, 3.0, 0.0, 0.0],  # small
                         [4.0, 0.0, 0.0, 0.0],  # bird
                         [0.0, 0.0, 4.0, 0.0],  # sang
                         [0.0, 0.0, 0.0, 2.0],  # because
                         [2.5, 0.0, 0.0, 0.0],  # it
                         [0.0, 0.0, 2.0, 0.5],  # was
                         [0.0, 2.5, 0.0, 0.0]])  # happy
    queries = torch.tensor([[2.0, 0.0, 0.0, 0.0],  # the: which thing?
                            [1.8, 0.0, 0.0, 0.0],  # small: which thing?
                            [0.3, 1.6, 0.0, 0.0],  # bird: what is it like?
                            [1.6, 0.0, 0.3, 0.0],  # sang: who?
                            [0.0, 0.6, 1.4, 0.0],  # because: what happened?
                            [2.4, 0.0, 0.0, 0.0],  # it: which thing?
                            [0.8, 1.2, 0.0, 0.0],  # was: who, and what?
                            [1.4, 0.5, 0.0, 0.0]])  # happy: who?
    so_far = torch.ones(8, 8, dtype=torch.bool).tril()

    figure, axes = plt.subplots(1, 2, figsize=(12, 5.6), layout="constrained")
    panels = (None, "Every word may look everywhere"), (so_far, "Only at itself and back")
    for axis, (mask, title) in zip(axes, panels):
        _, weights = scaled_dot_product_attention(queries, keys, keys, mask)
        picture = axis.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        for i in range(8):
            for j in range(8):
                if mask is not None and not mask[i, j]:
                    corner = (j - 0.5, i - 0.5)
                    axis.add_patch(plt.Rectangle(corner, 1, 1, fc="0.94", ec="0.8", hatch="///", lw=0))
                else:
                    colour = "white" if weights[i, j] > 0.55 else "0.25"
                    axis.text(j, i, f"{weights[i, j]:.2f}", ha="center", va="center", fontsize=9, color=colour)
        axis.set_title(title, fontsize=13, pad=10)
        axis.set_xticks(range(8), words, rotation=40, ha="right", fontsize=11)
        axis.set_yticks(range(8), words, fontsize=11)
        axis.set_xlabel("looks at (key)", fontsize=11, color="0.35")
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    axes[0].set_ylabel("word that is looking (query)", fontsize=11, color="0.35")
    figure.colorbar(picture, ax=axes, shrink=0.8, label="weight")
    plt.show()

# %% [markdown]
# ## Step 3. What is the $\sqrt{d}$ good for? An experiment (15 minutes)
#
# Take two vectors of width $d$ whose components are independent, with mean 0 and variance 1. Their dot
# product is a sum of $d$ products, each with mean 0 and variance 1, so it has variance $d$: **the wider the
# vectors, the further the scores lie apart**, for no reason but width. The softmax answers to differences.
# If they grow, it gives everything to one key, which would be a hard lookup again, and its gradient all but
# vanishes: then nothing can be learnt any more. Dividing by $\sqrt{d}$ brings the variance back to 1,
# whatever the width.
#
# That is an argument; here is the measurement. One random query of width 256 meets 10 random keys, all from
# the standard normal distribution. How large is the **largest of the 10 weights**, on average over many
# such lookups? A share of 0.1 would mean that it makes no difference between the keys, a share of 1 that it
# looks at a single one.
#
# Write down a guess for both cases. Then run the cell. It uses your function; multiplying the query by
# $\sqrt{d}$ undoes the scaling.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    def mean_largest_weight(width, scaled, lookups=2000, keys=10):
        query, key = torch.randn(lookups, 1, width), torch.randn(lookups, keys, width)
        if not scaled:
            query = query * math.sqrt(width)
        _, weights = scaled_dot_product_attention(query, key, key)
        return weights.amax(dim=-1).mean().item()

    widths = [1, 4, 16, 64, 256]
    with_scaling = [mean_largest_weight(width, scaled=True) for width in widths]
    without_scaling = [mean_largest_weight(width, scaled=False) for width in widths]
    print(f"width 256, with scaling:    {with_scaling[-1]:.2f}")
    print(f"width 256, without scaling: {without_scaling[-1]:.2f}")

    query, key = torch.randn(1, 256), torch.randn(10, 256)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    left.plot(widths, without_scaling, "o-", color="#c44e52", lw=2, label="without")
    left.plot(widths, with_scaling, "o-", color="#2a6fbb", lw=2, label=r"divided by $\sqrt{d}$")
    left.axhline(0.1, color="0.6", ls=":")
    left.text(1, 0.115, "all keys alike", color="0.45", fontsize=9)
    left.set(xscale="log", ylim=(0, 1), xlabel="width d", title="Mean of the largest of 10 weights")
    left.set_xticks(widths, widths)
    left.minorticks_off()
    left.legend(frameon=False)
    for shift, factor, colour in ((-0.2, 16, "#c44e52"), (0.2, 1, "#2a6fbb")):
        _, weights = scaled_dot_product_attention(factor * query, key, key)
        right.bar(torch.arange(10) + shift, weights[0].sort(descending=True).values, 0.4, color=colour)
    right.set(xticks=[], ylim=(0, 1), xlabel="keys, sorted by weight", title="One lookup of width 256")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    plt.show()

# %% [markdown]
# Report what you measured at width 256: two numbers between 0 and 1, with two decimals. They are graded:
# the grader runs the same experiment again, with other random numbers, and allows for chance.

# %%
largest_weight_with_scaling = None
largest_weight_without_scaling = None
# BEGIN SOLUTION NO PROMPT
largest_weight_with_scaling = 0.32
largest_weight_without_scaling = 0.94
# END SOLUTION

# %% [markdown]
# ## Step 4. Additive attention (30 minutes)
#
# Two years earlier, the first attention in machine translation compared in another way. At each word that it
# wrote, the translator (its state $s_{i-1}$ is the query) looked back at the words of the source (their
# states $h_j$ are the keys, and the values too). A query and a key came from different networks and had
# different widths, so there was no dot product to take. Bahdanau, Cho and Bengio gave the comparison to a
# small network with one hidden layer, and let it learn:
#
# $$e_{ij} = v_a^{\top} \tanh\left(W_a\, s_{i-1} + U_a\, h_j\right), \qquad
# \alpha_{ij} = \frac{\exp(e_{ij})}{\sum_{j'} \exp(e_{ij'})}, \qquad c_i = \sum_j \alpha_{ij}\, h_j .$$
#
# | in the paper | in the class | shape of the weight |
# |---|---|---|
# | $W_a$ | `query_proj` | `(hidden_size, query_size)` |
# | $U_a$ | `key_proj` | `(hidden_size, key_size)` |
# | $v_a$ | `score` | `(1, hidden_size)` |
#
# The constructor is given; you write `forward`. Here, too, there may be many queries, keys and values
# differ, and the rules from the top hold. There are no biases, no dropout and **no scaling**: `score`
# learns the right size by itself.
#
# The one new difficulty is that *each* query meets *each* key before the $\tanh$, so for a moment there is
# a hidden vector for every pair, `(..., L, S, hidden_size)`. Which shapes must the projected queries and
# keys have for broadcasting to make these pairs?
#
# The tests load weights by the names in the table. (Should you wish to store them in another way, give the
# class a method `load_named(self, weights)` that takes a dictionary with these names.)

# %%
class AdditiveAttention(nn.Module):
    """Attention whose scores come from a small network with one hidden layer (Bahdanau et al. 2015, A.1.2).

    query_proj.weight: (hidden_size, query_size)  key_proj.weight: (hidden_size, key_size)
    score.weight:      (1, hidden_size)           no biases
    """

    def __init__(self, query_size, key_size, hidden_size):
        super().__init__()
        self.query_proj = nn.Linear(query_size, hidden_size, bias=False)  # W_a
        self.key_proj = nn.Linear(key_size, hidden_size, bias=False)  # U_a
        self.score = nn.Linear(hidden_size, 1, bias=False)  # v_a

    def forward(self, query, key, value, mask=None):
        """Mix the rows of `value`, each query weighting them by what the network says of it and the key.

        query: (..., L, query_size)  key: (..., S, key_size)  value: (..., S, e)
        mask:  boolean, broadcastable to (..., L, S), true where a query may look; None: everywhere
        returns the pair context (..., L, e), weights (..., L, S)
        """
        # BEGIN SOLUTION NO PROMPT
        queries = self.query_proj(query).unsqueeze(-2)  # (..., L, 1, hidden)
        keys = self.key_proj(key).unsqueeze(-3)  # (..., 1, S, hidden)
        pairs = torch.tanh(queries + keys)  # (..., L, S, hidden)
        shares = masked_softmax(self.score(pairs).squeeze(-1), mask)  # (..., L, S)
        return shares @ value, shares  # (..., L, e), (..., L, S)
        # END SOLUTION
        raise NotImplementedError("AdditiveAttention.forward")


# %%
def test_two_pairs_by_hand():
    """Agrees with two scores that were worked out on paper."""
    attention = AdditiveAttention(1, 1, 2)
    load = getattr(attention, "load_named", attention.load_state_dict)
    load({
        "query_proj.weight": torch.tensor([[1.0], [2.0]]),
        "key_proj.weight": torch.tensor([[3.0], [-1.0]]),
        "score.weight": torch.tensor([[0.5, 2.0]]),
    })
    query, key, value = torch.tensor([[0.5]]), torch.tensor([[0.0], [1.0]]), torch.tensor([[10.0], [20.0]])
    # scores: 0.5 tanh 0.5 + 2 tanh 1 = 1.754 and 0.5 tanh 3.5 + 2 tanh 0 = 0.499
    context, weights = attention(query, key, value)
    expected = torch.tensor([[0.7785, 0.2215]])
    shape = tuple(weights.shape)
    assert shape == (1, 2), f"one query and two keys give weights of shape (1, 2), not {shape}"
    assert torch.allclose(weights, expected, atol=1e-3), (
        f"the scores are 1.754 and 0.499, the weights 0.778 and 0.222; yours are {weights[0].tolist()}"
    )
    assert torch.allclose(context, torch.tensor([[12.215]]), atol=1e-2), (
        f"the values 10 and 20 in these shares make 12.2; your context is {context.item():.2f}"
    )


def test_widths_may_all_differ():
    """Query, key, value and hidden layer may have four different widths, after any leading dimensions."""
    attention = AdditiveAttention(3, 5, 7)
    for leading in [(), (2,), (2, 6)]:
        query, key = torch.randn(*leading, 4, 3), torch.randn(*leading, 9, 5)
        value = torch.randn(*leading, 9, 8)
        answer = attention(query, key, value)
        assert isinstance(answer, tuple) and len(answer) == 2, "expected a pair, the context and the weights"
        context, weights = (tuple(tensor.shape) for tensor in answer)
        assert context == (*leading, 4, 8), f"the context should end in (L, e) = (4, 8), but has shape {context}"
        assert weights == (*leading, 4, 9), f"the weights should end in (L, S) = (4, 9), but have shape {weights}"


def test_a_single_query_and_a_single_key():
    """Sizes of 1 stay dimensions."""
    attention = AdditiveAttention(3, 5, 7)
    context, weights = attention(torch.randn(1, 1, 3), torch.randn(1, 1, 5), torch.randn(1, 1, 8))
    shapes = tuple(context.shape), tuple(weights.shape)
    assert shapes == ((1, 1, 8), (1, 1, 1)), f"expected the shapes (1, 1, 8) and (1, 1, 1), got {shapes}"
    assert abs(weights.item() - 1) < 1e-6, "a single key has all the weight"


def test_the_query_and_the_key_both_count():
    """The weights depend on the query as well as on the keys."""
    attention = AdditiveAttention(3, 5, 7)
    query, key, value = torch.randn(4, 3), torch.randn(6, 5), torch.randn(6, 8)
    _, weights = attention(query, key, value)
    _, other_query = attention(query + 1, key, value)
    _, other_keys = attention(query, key * torch.linspace(-1, 1, 6)[:, None], value)
    assert not torch.allclose(weights, other_query, atol=1e-6), "other queries gave the same weights"
    assert not torch.allclose(weights, other_keys, atol=1e-6), "other keys gave the same weights"


def test_hidden_keys_count_for_nothing():
    """The mask works here as it did above, and a query that may look nowhere gets zeros."""
    attention = AdditiveAttention(3, 5, 7)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    context, weights = attention(torch.randn(2, 3), torch.randn(3, 5), torch.randn(3, 8), mask)
    assert (weights[0, :2] > 0).all(), f"a key that may be seen got no weight: {weights[0].tolist()}"
    assert weights[0, 2] == 0, f"the last key is hidden, but got weight {weights[0, 2].item():.3f}"
    assert (weights[1] == 0).all(), "a query that may look nowhere should get zero weights"
    assert (context[1] == 0).all(), "a query that may look nowhere should get a zero context"


def test_every_weight_can_learn():
    """A gradient arrives at each of the three weights."""
    attention = AdditiveAttention(3, 5, 7)
    context, _ = attention(torch.randn(4, 3), torch.randn(6, 5), torch.randn(6, 8))
    context.square().sum().backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), f"no gradient arrives at {name}"

# %% [markdown]
# ### Watch it learn where to look
#
# Dot-product attention can only find what is *similar*. The additive kind has to be told nothing about
# similarity: here its queries are the numbers one to eight in German, its keys the digits, and both are
# arbitrary codes that have nothing in common. Nobody says which belongs to which. The only thing it hears
# is whether the **context**, the mixture of values that it handed out, was the right one; where to look is
# left to the gradient.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    torch.manual_seed(1)
    german = "eins zwei drei vier fünf sechs sieben acht".split()
    digits = [str(number) for number in range(1, 9)]
    words, codes, meaning = torch.randn(8, 12), torch.randn(8, 6), torch.eye(8)
    attention = AdditiveAttention(query_size=12, key_size=6, hidden_size=24)
    optimizer = torch.optim.Adam(attention.parameters(), lr=0.02)

    stages = {"Before the first step": attention(words, codes, meaning)[1].detach()}
    losses = []
    for _ in range(150):
        order = torch.randperm(8)  # the digits come in another order each time, as words in a sentence do
        context, _ = attention(words, codes[order], meaning[order])
        loss = (context - meaning).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    stages["After 150 steps"] = attention(words, codes, meaning)[1].detach()

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained", width_ratios=(1, 1, 1.15))
    for axis, (title, weights) in zip(axes, stages.items()):
        axis.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        axis.set_title(title, fontsize=13, pad=10)
        axis.set_xticks(range(8), digits, fontsize=11)
        axis.set_yticks(range(8), german, fontsize=11)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    axes[2].semilogy(losses, color="#2a6fbb", lw=2)
    axes[2].set_title("Loss", fontsize=13, pad=10)
    axes[2].set_xlabel("step")
    axes[2].spines[["top", "right"]].set_visible(False)
    plt.show()

# %% [markdown]
# ## What to take along
#
# * Attention is a soft lookup: scores, shares, mixture. Only the score differs between the two kinds.
# * The dot product has no weights at all and is a single matrix product, so it is fast and small in memory.
#   Additive attention learns $(q + k + 1) \cdot \text{hidden}$ numbers, copes with different widths, and
#   holds a hidden vector for each of the $L \cdot S$ pairs. Transformers took the first, and put learnt
#   projections in front of it.
# * Attention sees its keys as a **set**: bring them into another order, along with their values, and every
#   context stays the same. Where order matters, something must tell it. That is assignment 3.
#
# ## What the hidden tests look at
#
# Both kinds apart, so that either earns its points without the other: values with any leading dimensions in
# float32 and float64; the size of the scores; masks of every shape that broadcasts; hidden keys; rows that
# may look nowhere, in value and gradient; gradients against numerical ones; large scores; half precision;
# order of keys, queries and items; sizes of 1; views; untouched arguments; speed; and your two numbers.
#
# ## Where to read on
#
# * D. Bahdanau, K. Cho, Y. Bengio: *Neural Machine Translation by Jointly Learning to Align and Translate*,
#   ICLR 2015, [arXiv:1409.0473](https://arxiv.org/abs/1409.0473). Section 3 is step 4; Figure 3 shows the
#   weight matrices of whole sentences.
# * A. Vaswani et al.: *Attention Is All You Need*, NeurIPS 2017,
#   [arXiv:1706.03762](https://arxiv.org/abs/1706.03762). Section 3.2.1 is step 2, with the argument of step
#   3 in a footnote.
