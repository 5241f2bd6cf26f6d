# %% [markdown]
# # Positional encoding
#
# **About 90 minutes · gentle · needs PyTorch and the idea of attention (assignment 1), none of its code.**
#
# Attention sees a set. "The dog bites the man" and "the man bites the dog" hold the same words, so to attention
# they are the same, and everything that order means is lost. The remedy is as simple as it is surprising: **add
# to each word a vector that says where it stands.** You will build the two kinds of vector that are in use, and
# find out what makes the first one special:
#
# 1. `sinusoidal_encoding` writes the table of sines and cosines of Vaswani et al. (2017);
# 2. `SinusoidalPositionalEncoding` adds it to whatever comes, however long, and leaves nothing to save;
# 3. `shift_matrix` moves any position on by $k$ steps, with one matrix for all of them;
# 4. `LearnedPositionalEmbedding` learns the table instead, as BERT and GPT-2 do, and pays a price;
# 5. an experiment: can attention tell who bites whom?
#
# After each step a cell of public tests tells you within a second where you stand. Run the cells from top
# to bottom.

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## The trouble: attention can't count
#
# Attention mixes the values of all places in shares that depend on how well *what stands there* fits. Where it
# stands is nowhere in the formula. So if you shuffle a sentence, each word gets exactly what it got before, and
# the results are shuffled in the same way. One says that attention is **permutation-equivariant**: with $P$
# for any reordering of the rows,
#
# $$\operatorname{Attention}(PX) = P \operatorname{Attention}(X).$$
#
# Attention itself is given here: `F.scaled_dot_product_attention` does what you wrote in assignment 1. Look:

# %%
if __name__ == "__main__":
    sentence = torch.randn(1, 7, 16)  # seven words, each a vector of width 16
    order = torch.randperm(7)
    shuffled = sentence[:, order]
    before = F.scaled_dot_product_attention(sentence, sentence, sentence)
    after = F.scaled_dot_product_attention(shuffled, shuffled, shuffled)
    print("new order:", order.tolist())
    difference = (before[:, order] - after).abs().max()
    print(f"what a word gets before and after shuffling differs by at most {difference:.1e}")

# %% [markdown]
# Nothing but rounding. A model made of such layers can count how often a word occurs, and never know where.
#
# ## The rules, once and for all
#
# They hold for everything below, and the hidden tests hold you to them.
#
# * **Shapes.** Batch first: `x` is `(B, T, d_model)`, that is `B` sentences of `T` words, each a vector. Every
#   size is at least 1. Positions count from 0.
# * **Width.** `d_model` is even, because sines and cosines come in pairs. `sinusoidal_encoding` and `shift_matrix`
#   raise a `ValueError` for an odd one, and so does `SinusoidalPositionalEncoding`, when it is built. (A learnt
#   table has no pairs, but its given constructor refuses odd widths too, so that one kind can replace the other.)
# * **Numbers.** `sinusoidal_encoding` and `shift_matrix` are given no tensor, so their results have PyTorch's
#   default dtype and stand on its default device: float32 on the CPU, unless somebody changed that. The two
#   modules are given `x`, and their result has the **dtype and device of `x`**: float64, float32, float16 or
#   bfloat16, on the CPU or elsewhere.
# * **Precision.** A float32 has about seven digits, and the sine of a large angle loses some of them. So a table
#   of length $T$ may be off by $10^{-5} + 2 \cdot 10^{-7}\, T$, in float64 as well: computing it in float32 is
#   always good enough. In `x`, however, no digit may be lost, so the sum is made in the dtype of `x` or in a wider
#   one. In float16 and bfloat16 the result may be off by what rounding to that dtype costs, and no more. (float16
#   can't count beyond 2048, bfloat16 not beyond 256: positions are no business of theirs.)
# * **Just a sum.** The modules return `x` plus the rows: no factor, no dropout, no normalisation. So
#   `train()` and `eval()` make no difference, and neither does what was asked in an earlier call.
# * **Manners.** Arguments are never changed in place, and may be views: transposed, sliced, expanded. Gradients
#   flow to `x`, and to what is learnt. Parameters keep the names they have in the stubs: some tests use them.
#
# Nothing in PyTorch is forbidden in this assignment.

# %% [markdown]
# ## Step 1. The table (25 minutes)
#
# How would you tell somebody where a word stands, with numbers between $-1$ and $1$ only, for texts of any
# length? The position itself grows without bound. The position divided by the length means something else in
# each sentence. But think of the digits of a counter: the last one changes at each step, the next one more
# slowly, the first one hardly ever, and together they name any number. The paper takes the smooth form of that:
# waves, fast ones and slow ones. For position $pos$ and the pair of columns $2i$ and $2i + 1$,
#
# $$PE_{(pos,\,2i)} = \sin\!\left(\frac{pos}{10000^{2i/d}}\right), \qquad
# PE_{(pos,\,2i+1)} = \cos\!\left(\frac{pos}{10000^{2i/d}}\right),
# \qquad i = 0, 1, \dots, \tfrac{d}{2} - 1 .$$
#
# | symbol | in the code | meaning |
# |---|---|---|
# | $pos$ | a row, 0 to `length - 1` | where a word stands |
# | $d$ | `d_model` | the width of a word vector, and of a row |
# | $i$ | a *pair* of columns, 0 to `d_model // 2 - 1` | which wave |
# | $\omega_i = 10000^{-2i/d}$ | | its frequency: the angle by which it moves on in one step |
#
# Sine and cosine **take turns** from column to column, and the two of a pair share one frequency. The first pair
# makes a full turn in $2\pi \approx 6.3$ steps, and the wavelengths grow from pair to pair by the same factor; in a
# wide table the last one comes near $2\pi \cdot 10000$. With $d = 4$ there are two frequencies, $1$ and $0.01$:
#
# | position | column 0: $\sin pos$ | column 1: $\cos pos$ | column 2: $\sin 0.01\,pos$ | column 3: $\cos 0.01\,pos$ |
# |---|---|---|---|---|
# | 0 | 0 | 1 | 0 | 1 |
# | 1 | 0.84147 | 0.54030 | 0.01000 | 0.99995 |
# | 2 | 0.90930 | −0.41615 | 0.02000 | 0.99980 |
#
# Loops are fine; a table of 100,000 rows must be done within a few seconds.

# %%
def sinusoidal_encoding(length, d_model):
    """The table of positions, sines and cosines taking turns (Vaswani et al. 2017, section 3.5).

    length:  how many positions, from 0 on
    d_model: how many columns; ValueError if odd
    returns  (length, d_model), in PyTorch's default dtype
    """
    # BEGIN SOLUTION NO PROMPT
    if d_model % 2:
        raise ValueError(f"d_model must be even, for sines and cosines come in pairs; got {d_model}")
    position = torch.arange(length).unsqueeze(1)  # (length, 1)
    frequency = 10000.0 ** (-torch.arange(0, d_model, 2) / d_model)  # (d_model / 2)
    angle = position * frequency  # (length, d_model / 2)
    pairs = torch.stack([angle.sin(), angle.cos()], dim=-1)  # (length, d_model / 2, 2)
    return pairs.flatten(start_dim=1)  # (length, d_model)
    # END SOLUTION
    raise NotImplementedError("sinusoidal_encoding")


# %%
def test_a_row_for_each_position():
    """The table has a row for each position and a column for each component, in float32."""
    for length, d_model in [(5, 8), (1, 2), (9, 6)]:
        table = sinusoidal_encoding(length, d_model)
        shape = tuple(table.shape)
        assert shape == (length, d_model), f"expected the shape ({length}, {d_model}), got {shape}"
        assert table.dtype == torch.float32, f"the table should be float32, not {table.dtype}"


def test_position_zero():
    """At position 0 every sine is 0 and every cosine is 1."""
    row = sinusoidal_encoding(3, 6)[0]
    assert torch.allclose(row, torch.tensor([0.0, 1.0] * 3), atol=1e-5), (
        f"the first row should be 0, 1, 0, 1, 0, 1; yours is {row.tolist()}"
    )


def test_rows_by_hand():
    """Rows 1 and 2 of width 4 are those of the small table above."""
    table = sinusoidal_encoding(3, 4)
    by_hand = {1: [0.84147, 0.54030, 0.01000, 0.99995], 2: [0.90930, -0.41615, 0.02000, 0.99980]}
    for position, wanted in by_hand.items():
        row = [round(number, 5) for number in table[position].tolist()]
        right = torch.allclose(table[position], torch.tensor(wanted), atol=1e-4)
        assert right, f"row {position} should be {wanted}, but yours is {row}"


def test_each_pair_is_a_point_on_a_circle():
    """The two columns of a pair share their frequency, so their squares add up to one."""
    squares = sinusoidal_encoding(50, 16).square().reshape(50, 8, 2).sum(dim=-1)
    worst = (squares - 1).abs().max()
    assert worst < 1e-4, f"sin² + cos² should be 1 in columns 2i and 2i + 1; yours is off by up to {worst:.2f}"


def test_the_waves_get_longer():
    """Each pair is slower than the one before, by the same factor."""
    table = sinusoidal_encoding(2, 8)
    angles = torch.atan2(table[1, 0::2], table[1, 1::2]).tolist()
    expected = [1.0, 0.1, 0.01, 0.001]
    assert all(abs(got - wanted) < 1e-3 * wanted for got, wanted in zip(angles, expected)), (
        f"with width 8, the four pairs turn by 1, 0.1, 0.01 and 0.001 at each step; yours by {angles}"
    )


def test_odd_widths_are_refused():
    """An odd width raises a ValueError."""
    try:
        table = sinusoidal_encoding(4, 5)
    except ValueError:
        return
    raise AssertionError(f"width 5 should raise a ValueError, but gave the shape {tuple(table.shape)}")

# %% [markdown]
# ### Have a look at it
#
# Each row is one position, as a model gets to see it. On the left the fast waves, which tell neighbours apart;
# to the right ever slower ones, which tell the beginning from the end. The curves below are four of its columns.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    table = sinusoidal_encoding(100, 64)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(12, 7.5), layout="constrained", height_ratios=(1.6, 1))
    picture = top.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    top.set(xlabel="column", ylabel="position", title="The table: 100 positions, 64 columns")
    figure.colorbar(picture, ax=top, pad=0.01)
    colours = plt.get_cmap("viridis")(torch.linspace(0, 0.85, 4).tolist())
    for column, colour in zip((0, 8, 16, 24), colours):
        wavelength = 2 * math.pi * 10000 ** (column / 64)
        label = f"column {column}: a turn in {wavelength:.0f} steps"
        bottom.plot(table[:, column], color=colour, lw=2, label=label)
    bottom.set(xlabel="position", xlim=(0, 99), title="Four of its sines")
    bottom.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    for axis in (top, bottom):
        axis.spines[:].set_visible(False)
    plt.show()

# %% [markdown]
# ## Step 2. Add it (20 minutes)
#
# The table becomes the first layer of a model: $x_{pos} + PE_{pos}$ for each word of each sentence. *Added*, not
# appended. The width stays what it was, and in a space of many dimensions there is room for both.
#
# One line of arithmetic, then. What makes it a step of its own is everything around that line, and here published
# code goes wrong more often than in the formula:
#
# * **There is no longest sentence.** If you keep a table, one day a longer sentence comes along. Whatever `T` is,
#   the answer is `x` plus the first `T` rows.
# * **There is nothing to learn and nothing to save.** `parameters()` and `state_dict()` stay empty, before and
#   after any call. A table that gets into the state_dict makes it impossible to load a checkpoint into a model
#   with a table of another length.
# * **It goes where `x` goes.** A tensor that is a plain attribute of a module stays behind when the module is
#   moved with `.to("cuda")` and keeps its dtype when the module is turned to `.half()`.
#
# You may compute the table anew in each call, or keep it. To keep a tensor that belongs to a module and is no
# parameter, PyTorch has `self.register_buffer(name, tensor, persistent=False)`: it moves with the module, and
# `persistent=False` keeps it out of the state_dict. (If you keep something and the module is turned to
# `.half()`, it is rounded too. A table survives that with the precision of float16, which is all that is asked
# from then on. Frequencies that are rounded before they are multiplied by a position do not.)

# %%
class SinusoidalPositionalEncoding(nn.Module):
    """Adds the sinusoidal table to a batch of sentences of any length.

    Has no parameters, and nothing in its state_dict. ValueError if `d_model` is odd.
    """

    def __init__(self, d_model):
        super().__init__()
        # Refuse odd widths here, and make what you want to keep.
        # BEGIN SOLUTION NO PROMPT
        self.register_buffer("table", sinusoidal_encoding(128, d_model), persistent=False)
        # END SOLUTION

    def forward(self, x):
        """x: (B, T, d_model); returns x plus the first T rows, in the dtype and on the device of x."""
        # BEGIN SOLUTION NO PROMPT
        length = x.size(1)
        if length > len(self.table):  # longer than any sentence before: a longer table
            self.table = sinusoidal_encoding(2 * length, x.size(2)).to(x.device)
        return x + self.table[:length].to(x)  # (B, T, d_model) + (T, d_model)
        # END SOLUTION
        raise NotImplementedError("SinusoidalPositionalEncoding.forward")


# %%
def test_each_sentence_gets_the_same_rows():
    """Each word gets the row of its place, in each sentence of the batch."""
    x = torch.randn(3, 5, 8)
    result = SinusoidalPositionalEncoding(8)(x)
    assert result.shape == x.shape, f"shape (3, 5, 8) should stay as it is, but became {tuple(result.shape)}"
    added = result - x
    same = torch.allclose(added[0], added[1], atol=1e-5)
    assert same, "the same rows should be added to each sentence of a batch"
    row = [round(number, 3) for number in added[0, 0].tolist()]
    assert torch.allclose(added[0, 0], torch.tensor([0.0, 1.0] * 4), atol=1e-5), (
        f"to the first word, 0, 1, 0, 1, ... should be added; yours adds {row}"
    )
    got = added[0, 4, 1].item()
    right = abs(got - math.cos(4)) < 1e-4
    assert right, f"to column 1 of the fifth word, cos 4 = -0.654 should be added, not {got:.3f}"


def test_no_sentence_is_too_long():
    """A sentence may be as long as it likes, and the next one short again."""
    encode = SinusoidalPositionalEncoding(4)
    for length in (3, 7000, 1):
        rows = encode(torch.zeros(2, length, 4))
        assert rows.shape == (2, length, 4), f"length {length} came back as {tuple(rows.shape)}"
        right = abs(rows[0, -1, 0].item() - math.sin(length - 1)) < 2e-3
        assert right, f"to column 0 of the last of {length} words, sin {length - 1} should be added"


def test_the_dtype_of_x_is_kept():
    """The result has the dtype of x, whatever the dtype of the table."""
    encode = SinusoidalPositionalEncoding(6)
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.float32):
        result = encode(torch.randn(2, 4, 6, dtype=dtype))
        assert result.dtype == dtype, f"{dtype} went in and {result.dtype} came out"


def test_there_is_nothing_to_save():
    """No parameters, and an empty state_dict, before a call and after."""
    encode = SinusoidalPositionalEncoding(6)
    encode(torch.zeros(1, 600, 6))
    found = [name for name, _ in encode.named_parameters()]
    assert not found, f"there is nothing to learn in this table, but it has parameters: {found}"
    found = list(encode.state_dict())
    assert not found, f"there is nothing to save, but the state_dict holds {found}"


def test_it_is_just_a_sum():
    """The argument is left alone, and training mode changes nothing."""
    encode = SinusoidalPositionalEncoding(6)
    x = torch.randn(2, 4, 6)
    kept = x.clone()
    first = encode.train()(x)
    assert torch.equal(x, kept), "x itself was changed; return a new tensor"
    same = torch.allclose(first, encode.eval()(x), atol=1e-5)
    assert same, "train() and eval() should give the same: there is no dropout here"

# %% [markdown]
# ## Step 3. Why waves? (20 minutes)
#
# Any table whose rows differ would tell positions apart. The paper chose this one because of a law. Look at one
# pair: $(\sin \omega\, pos, \cos \omega\, pos)$ is the tip of a clock hand of length one. One step later the hand
# has turned by the angle $\omega$, and $k$ steps later by $k\omega$, **whatever time it was**. Turning is linear.
# So for each $k$ there is a single matrix that moves *every* position on by $k$:
#
# $$M_k \; PE_{pos} = PE_{pos + k} \qquad\text{for all } pos .$$
#
# A layer that wants to look three words back needs to learn one matrix, not one for each place. The addition
# theorems tell what it looks like for one pair:
#
# $$\begin{pmatrix} \sin \omega (pos + k) \\ \cos \omega (pos + k) \end{pmatrix} =
# \begin{pmatrix} \cos \omega k & \sin \omega k \\ -\sin \omega k & \cos \omega k \end{pmatrix}
# \begin{pmatrix} \sin \omega\, pos \\ \cos \omega\, pos \end{pmatrix},$$
#
# and since the pairs do not meet, $M_k$ has $d/2$ such blocks along its diagonal, one for each $\omega_i$, and is
# zero everywhere else. Here $PE_{pos}$ is a column, so the matrix stands on the left. $k$ is any whole number:
# 0 moves nothing, and a negative one moves back. The table begins at position 0, but the law does not care.

# %%
def shift_matrix(k, d_model):
    """The matrix that moves each position on by k steps: shift_matrix(k, d) @ PE[t] = PE[t + k].

    k:       any whole number, negative ones move back
    d_model: the width of the table; ValueError if odd
    returns  (d_model, d_model), in PyTorch's default dtype; may be off by 1e-5 + 2e-7 |k|
    """
    # BEGIN SOLUTION NO PROMPT
    if d_model % 2:
        raise ValueError(f"d_model must be even, for sines and cosines come in pairs; got {d_model}")
    blocks = []
    for i in range(d_model // 2):
        angle = k / 10000 ** (2 * i / d_model)
        sin, cos = math.sin(angle), math.cos(angle)
        blocks.append(torch.tensor([[cos, sin], [-sin, cos]]))
    return torch.block_diag(*blocks)  # (d_model, d_model)
    # END SOLUTION
    raise NotImplementedError("shift_matrix")


# %%
def test_one_block_by_hand():
    """With width 2 there is one block, with cos k and sin k."""
    matrix = shift_matrix(1, 2)
    shape = tuple(matrix.shape)
    assert shape == (2, 2), f"with width 2 the matrix should have shape (2, 2), not {shape}"
    assert matrix.dtype == torch.float32, f"the matrix should be float32, not {matrix.dtype}"
    expected = torch.tensor([[0.5403, 0.8415], [-0.8415, 0.5403]])
    assert torch.allclose(matrix, expected, atol=1e-3), f"expected {expected.tolist()}, got {matrix.tolist()}"


def test_pairs_do_not_meet():
    """With width 4 there are two blocks, each with its own frequency, and zeros around them."""
    matrix = shift_matrix(30, 4)
    between = torch.stack([matrix[:2, 2:], matrix[2:, :2]])
    assert between.abs().max() < 1e-4, (
        f"columns 0 and 1 are a pair, and 2 and 3; between the pairs there should be zeros, not {between.tolist()}"
    )
    for block, angle in ((matrix[:2, :2], 30.0), (matrix[2:, 2:], 0.3)):
        wanted, got = [math.cos(angle), math.sin(angle)], block[0].tolist()
        right = torch.allclose(block[0], torch.tensor(wanted), atol=1e-3)
        assert right, f"the block for the angle {angle} should begin with {wanted}, yours begins with {got}"


def test_one_matrix_moves_every_position():
    """The same matrix takes row 0 to row 5, row 1 to row 6, and so on."""
    place = torch.arange(20.0)[:, None] / torch.tensor([1.0, 10.0, 100.0, 1000.0])
    table = torch.stack([place.sin(), place.cos()], dim=-1).flatten(1)  # step 1, for this one width
    moved = table[:15] @ shift_matrix(5, 8).T
    back = torch.allclose(moved[5:], table[:10], atol=1e-3)
    assert not back, "this matrix moves back by 5, it should move on by 5"
    worst = (moved - table[5:]).abs().max().item()
    assert worst < 1e-3, f"shift_matrix(5, 8) @ PE[t] should be PE[t + 5]; it is off by up to {worst:.3f}"


def test_there_and_back():
    """Zero steps change nothing, and -k steps undo k steps."""
    eye = torch.eye(6)
    assert torch.allclose(shift_matrix(0, 6), eye, atol=1e-6), "zero steps should be the identity matrix"
    both = shift_matrix(-7, 6) @ shift_matrix(7, 6)
    assert torch.allclose(both, eye, atol=1e-4), "seven steps on and seven back should be the identity matrix"


def test_odd_widths_have_no_pairs():
    """An odd width raises a ValueError."""
    try:
        matrix = shift_matrix(1, 7)
    except ValueError:
        return
    raise AssertionError(f"width 7 should raise a ValueError, but gave the shape {tuple(matrix.shape)}")

# %% [markdown]
# ### What follows from the law: nearness
#
# Turning both hands of a clock leaves the angle between them as it was. So the dot product of two rows depends on
# their **distance alone**, $PE_a \cdot PE_b = \sum_i \cos \omega_i (a - b)$, and dot products are what attention
# compares with. The left picture shows all of them: nothing but diagonals. On the right is one row of it: near
# places are similar, far ones less so, and before and after count the same. (It does not fall to zero, because the
# slow waves have hardly moved.) A random table has no idea of nearness. The last two lines of the cell try your
# matrix on your table.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    table = sinusoidal_encoding(101, 128)
    products = table @ table.T
    chance = torch.randn(101, 128) / math.sqrt(2)  # rows of the same length
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.8), layout="constrained", width_ratios=(1, 1.5))
    picture = left.imshow(products, cmap="viridis")
    left.set(xlabel="position b", ylabel="position a", title=r"$PE_a \cdot PE_b$, width 128")
    figure.colorbar(picture, ax=left, shrink=0.85)
    distance = torch.arange(-50, 51)
    right.plot(distance, products[50], color="#2a6fbb", lw=2, label="sinusoidal")
    right.plot(distance, chance @ chance[50], color="0.7", lw=1.2, label="random rows of the same length")
    right.axhline(0, color="0.85", lw=1, zorder=0)
    right.set(xlabel="distance b - a", xlim=(-50, 50), title="Similarity of position 50 to its surroundings")
    right.legend(frameon=False)
    for axis in (left, right):
        axis.spines[:].set_visible(False)
    plt.show()

    moved = table[:-20] @ shift_matrix(20, 128).T
    print(f"81 positions, each moved on by 20: off by at most {(moved - table[20:]).abs().max():.1e}")

# %% [markdown]
# ## Step 4. Or learn it (10 minutes)
#
# BERT and GPT-2 do without waves. They take a matrix `weight` of random numbers, add its first rows to a sentence
# as you did, and leave the rest to the gradient. It works as well, and is easier to write. But a row that never
# occurred in training never got a gradient, and behind the last row there is nothing at all: the longest sentence
# is settled when the model is built. Silence would be the worst answer to a longer one, so it raises a
# `ValueError`.
#
# The constructor is given; you write `forward`. `x` and `weight` have the same dtype and device. The tests load
# `weight` by its name. (Should you wish to store it in another way, give the class a method
# `load_named(self, weights)` that takes a dictionary with this name.)

# %%
class LearnedPositionalEmbedding(nn.Module):
    """Adds a learnt vector for each position, up to a longest sentence.

    weight: (max_length, d_model), row t belongs to position t
    """

    def __init__(self, max_length, d_model):
        super().__init__()
        if d_model % 2:
            raise ValueError(f"d_model must be even, got {d_model}")
        self.weight = nn.Parameter(0.02 * torch.randn(max_length, d_model))

    def forward(self, x):
        """x: (B, T, d_model); returns x plus the first T rows of weight. ValueError if T > max_length."""
        # BEGIN SOLUTION NO PROMPT
        length, longest = x.size(1), len(self.weight)
        if length > longest:
            raise ValueError(f"a sentence of {length} words, where only {longest} positions were learnt")
        return x + self.weight[:length]  # (B, T, d_model) + (T, d_model)
        # END SOLUTION
        raise NotImplementedError("LearnedPositionalEmbedding.forward")


# %%
def test_a_learnt_row_for_each_place():
    """Each word gets the learnt row of its place, in each sentence of the batch."""
    embed = LearnedPositionalEmbedding(5, 4)
    weight = torch.randn(5, 4)
    getattr(embed, "load_named", embed.load_state_dict)({"weight": weight})
    for length in (1, 3, 5):
        x = torch.randn(2, length, 4)
        result = embed(x)
        assert result.shape == x.shape, f"the shape {tuple(x.shape)} became {tuple(result.shape)}"
        right = torch.allclose(result - x, weight[:length].expand_as(x), atol=1e-5)
        assert right, f"to each sentence of {length} words, the first {length} rows should be added, in order"


def test_longer_than_learnt():
    """A sentence with more words than rows raises a ValueError."""
    embed = LearnedPositionalEmbedding(5, 4)
    try:
        embed(torch.zeros(1, 6, 4))
    except ValueError:
        return
    except NotImplementedError:
        raise
    except Exception as error:
        raise AssertionError(f"6 words and 5 rows should raise a ValueError, not {error!r}") from None
    raise AssertionError("6 words and 5 rows should raise a ValueError, but something came back")


def test_only_rows_that_were_used_learn():
    """A gradient reaches the rows that were used, and no other."""
    embed = LearnedPositionalEmbedding(5, 4)
    embed(torch.zeros(2, 3, 4)).sum().backward()
    gradients = [p.grad for p in embed.parameters() if p.grad is not None]
    assert gradients, "no gradient reaches the weight"
    touched = sum((gradient != 0).sum().item() for gradient in gradients)
    assert touched == 3 * 4, f"3 rows of 4 numbers were used, but {touched} numbers got a gradient"

# %% [markdown]
# ## Step 5. Who bites whom? An experiment (15 minutes)
#
# The claim of the whole assignment is that attention without positions can't know the order, and with them it
# can. Put it to the test. Each sentence has six words: *dog*, *man* and four others out of ten, shuffled. The
# question is which of the two comes first. What we have to answer it with is deliberately poor:
#
# * the words are random vectors of width 32;
# * one layer of attention, eight lookups side by side, whose queries, keys and values are `x` times matrices
#   **drawn at random and never trained**;
# * the mean of what the six words got, so that nothing behind the attention can see an order;
# * a linear readout of that mean, fitted by least squares to 400 sentences and tested on 200 others.
#
# Guessing is right half of the time. Write down what you expect for three cases: the words as they are; with
# your table added; and with your table added to words that were **multiplied by $\sqrt{32}$** before, as the
# paper does with its word vectors. Then run the cell. It averages 40 draws of everything and takes a few seconds.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    def share_of_right_answers(add_positions):
        dictionary = torch.randn(12, 32)  # word 0 is "dog", word 1 is "man"
        others = 2 + torch.rand(600, 10).argsort(dim=1)[:, :4]
        words = torch.cat([torch.tensor([0, 1]).expand(600, 2), others], dim=1)
        words = words.gather(1, torch.rand(600, 6).argsort(dim=1))  # (600, 6), shuffled
        place_of_dog, place_of_man = ((words == word).int().argmax(dim=1) for word in (0, 1))
        answer = torch.where(place_of_dog < place_of_man, 1.0, -1.0)

        x = add_positions(dictionary[words]).unsqueeze(1)  # (600, 1, 6, 32)
        query, key, value = (x @ (torch.randn(8, 32, 8) / math.sqrt(32)) for _ in range(3))  # (600, 8, 6, 8)
        context = F.scaled_dot_product_attention(query, key, value)  # (600, 8, 6, 8)
        features = context.mean(dim=2).flatten(1)  # (600, 64)
        known, new = features[:400], features[400:]
        readout = torch.linalg.solve(known.T @ known + 1e-3 * torch.eye(64), known.T @ answer[:400])
        return ((new @ readout).sign() == answer[400:]).float().mean().item()

    encode = SinusoidalPositionalEncoding(32)
    cases = {
        "without positions": lambda x: x,
        "with positions": encode,
        "with positions, words × √32": lambda x: encode(math.sqrt(32) * x),
    }
    right = {}
    for name, add_positions in cases.items():
        right[name] = torch.tensor([share_of_right_answers(add_positions) for _ in range(40)])
        print(f"{right[name].mean():.2f}  {name}")

    figure, axis = plt.subplots(figsize=(9, 3), layout="constrained")
    for row, (shares, colour) in enumerate(zip(right.values(), ("#c44e52", "#2a6fbb", "#8aa9cc"))):
        axis.barh(row, shares.mean(), color=colour, height=0.6)
        axis.plot(shares, row + 0.5 * (torch.rand(40) - 0.5), ".", color="0.2", ms=4, alpha=0.5)
    axis.axvline(0.5, color="0.5", ls=":")
    axis.text(0.505, 0.5, "guessing", color="0.4", fontsize=9, va="center")
    axis.set(xlim=(0.3, 1), title="Share of right answers: which of the two words came first?")
    axis.set_yticks(range(3), list(right), fontsize=11)
    axis.invert_yaxis()
    axis.tick_params(left=False)
    axis.spines[["top", "right", "left"]].set_visible(False)
    plt.show()

# %% [markdown]
# Not even trained, and it can tell! The third case is a warning. Every row of the table has the length
# $\sqrt{d/2}$, and a random word is about $\sqrt{d}$ long. Multiply the words by $\sqrt{d}$ once more, and they
# drown the rows. Models that multiply start with word vectors that are smaller by as much. (If yours ever learns
# nothing about order, compare the two lengths.)
#
# Report what you measured **without** and **with** positions, in the first two cases: two numbers between 0 and 1,
# with two decimals. They are graded: the grader runs the same experiment again, with other random numbers, and
# allows for chance.

# %%
right_without_positions = None
right_with_positions = None
# BEGIN SOLUTION NO PROMPT
right_without_positions = 0.50
right_with_positions = 0.90
# END SOLUTION

# %% [markdown]
# ## What to take along
#
# * Attention sees a set. What it knows of order is what you add to its input.
# * The sinusoidal table needs no training, has no end, and makes "$k$ places further" the same turn everywhere.
#   The learnt one is free to be anything, within the lengths it has seen.
# * That the table has no end does not mean that a model copes with any length: positions it never saw in training
#   are new to it, even if their rows exist. Much work since then has gone into that. One answer, rotary embeddings,
#   takes your `shift_matrix` and turns queries and keys with it, instead of adding anything.
#
# ## What the hidden tests look at
#
# The four parts apart, so that each earns its points without the others. The table: values, first row, pairs,
# wavelengths, rows far out, shape and dtype, odd widths. Adding it: values, every item and every call alike, any
# length, each dtype, an empty state, gradients, views and untouched arguments, another device. The matrix: positive,
# zero and negative steps, one after another, odd widths. The learnt table: values, gradients, too long sentences,
# dtype, saving and loading. Whether attention sees the order once positions are added; and your two numbers.
#
# ## Where to read on
#
# * A. Vaswani et al.: *Attention Is All You Need*, NeurIPS 2017,
#   [arXiv:1706.03762](https://arxiv.org/abs/1706.03762). Section 3.5 holds steps 1 to 4, on less than a page.
# * J. Gehring et al.: *Convolutional Sequence to Sequence Learning*, ICML 2017,
#   [arXiv:1705.03122](https://arxiv.org/abs/1705.03122). Learnt positions, before the Transformer.
# * J. Su et al.: *RoFormer: Enhanced Transformer with Rotary Position Embedding*, 2021,
#   [arXiv:2104.09864](https://arxiv.org/abs/2104.09864). The shift matrix at work.
