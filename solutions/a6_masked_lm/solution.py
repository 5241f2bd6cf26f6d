# %% [markdown]
# # Masked language modelling
#
# **About 120 minutes · demanding · needs attention (a4) and the Transformer layer (a5).**
#
# A Transformer that has read nothing knows nothing. In this assignment you let one read. You hide some words
# of each sentence, ask the network for them, and improve it by what it got wrong: no labels, no teacher,
# nothing but text. That is **pretraining**, and the model that made it famous is BERT (Devlin et al., 2019):
#
# 1. `mask_tokens` hides words, in BERT's own way;
# 2. `mlm_loss` asks for those words and for no others;
# 3. `BertEmbeddings` says of each place which word stands there, where, and in which segment;
# 4. `MaskedLMHead` turns what the network thinks of a place back into words;
# 5. `BertEncoder` puts layers between the two;
# 6. `pretrain` lets it read, and you compare it with **the best that anybody could do**;
# 7. an experiment: how many parameters has BERT?
#
# The last comparison is something that you can't do with English. Nobody knows how well the next word of a
# novel can be guessed. So we use a small language of our own, in which it is known exactly.
#
# Each step can be solved, checked and graded without the others.

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## A language of sixteen words
#
# Its sentences are made like this. First a **topic** is drawn, sea or farm. Then word follows word: each
# belongs to one of four **classes** (determiner, adjective, noun, verb), the class of the next word depends
# on the class of this one, and which word of its class is taken depends on the topic. Nobody who reads the
# sentences is told topic or classes; they have to be worked out from the words, from *both sides* of the gap.
#
# Every sentence has 16 words and begins with `[CLS]`, as in BERT. Three ids are **special**: `[PAD]` fills
# up short sentences, `[CLS]` opens each, `[MASK]` stands for a hidden word. All other ids are **ordinary**.
#
# The cell is given, and you need not understand every line. Run it and the next one.

# %%
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

# %%
if __name__ == "__main__":
    for sentence in sample_sentences(5):
        print(*(WORDS[token] for token in sentence))

# %% [markdown]
# ## The rules
#
# They hold for everything below, and the hidden tests hold you to them.
#
# * Batch first. Ids are int64 tensors `(B, T)`, positions start at 0. Every sentence holds at least one token
#   that is not `[PAD]`.
# * Arguments are never changed in place, and may be views. Results have the dtype and device of what went
#   in: nothing is tied to float32 or to the CPU.
# * Dropout is active in training mode only.
# * Tests create your modules, load weights by the names in the docstrings, and look at values and gradients.
#   (Should you store weights in another way, give the class a method `load_named(self, weights)` that takes a
#   dictionary with these names. The grader will use it; the public tests know the prescribed names only.)
# * What you know from earlier assignments is given as torch has it: `nn.TransformerEncoderLayer` is the
#   encoder layer of a5. All of PyTorch is welcome.

# %% [markdown]
# ## Step 1. Hide some words (25 minutes)
#
# Which words does the network have to guess? Each ordinary token is **selected** with probability $p = 0.15$.
# Selected tokens are what the network is asked for. But what does it *see* in their place?
#
# If that were always `[MASK]`, the network could rely on it: a word that is visible is never asked for, so
# there is no need to understand it. Later, in use, there is no `[MASK]`. So BERT disturbs the pattern. For
# each selected token the dice are thrown once:
#
# | with probability | the input shows | the network learns |
# |---|---|---|
# | 0.8 | `[MASK]` | to fill a gap |
# | 0.1 | a random word | not to trust every word that it sees |
# | 0.1 | the word itself | to have an opinion on words that it sees, too |
#
# The three exclude each other. Whatever the input shows, the **label** is the word that was there before.
# Tokens that were not selected keep their place in the input and have the label $-100$, which stands for
# "not asked".
#
# To be precise:
#
# * **Special tokens** are never selected, so they are never changed and never asked for. `special_ids` holds
#   the ids of all of them, `mask_id` among them.
# * **A random word** is any of the ids below `vocab_size` that are not special, all with the same
#   probability. It may happen to be the word itself.
# * **Selection**: each ordinary token by itself, so that a batch may happen to have none selected; or, if you
#   prefer, exactly `p` times the number of ordinary tokens of each row, rounded, at random places.
# * **New every time.** Each call draws anew, each row for itself. A network that reads a sentence again gets
#   other gaps. With a `generator` (a `torch.Generator` on the device of `ids`), every random number comes from
#   it, so that equal generators give equal results.
# * **New tensors** come back, both int64. `ids` stays as it was.

# %%
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
    # BEGIN SOLUTION NO PROMPT
    ordinary = torch.ones(vocab_size, device=ids.device)  # 1 for every id that may be selected and drawn
    for token in special_ids:
        ordinary[token] = 0

    def uniform():
        return torch.rand(ids.shape, generator=generator, device=ids.device)  # (B, T)

    selected = (uniform() < p) & (ordinary[ids] == 1)
    labels = torch.where(selected, ids, -100)
    fate = uniform()  # one throw decides: below 0.8, up to 0.9, above
    words = torch.multinomial(ordinary, ids.numel(), replacement=True, generator=generator).view(ids.shape)
    inputs = torch.where(selected & (fate < 0.8), mask_id, ids)
    inputs = torch.where(selected & (fate >= 0.8) & (fate < 0.9), words, inputs)
    return inputs, labels
    # END SOLUTION
    raise NotImplementedError("mask_tokens")


# %%
def test_two_tensors_come_back():
    """Inputs and labels come back as two new int64 tensors of the shape of the ids."""
    ids = sample_sentences(8)
    before = ids.clone()
    answer = mask_tokens(ids, MASK, len(WORDS), SPECIAL)
    assert isinstance(answer, tuple) and len(answer) == 2, "expected a pair, the inputs and the labels"
    for name, tensor in zip(("inputs", "labels"), answer):
        shape, dtype = tuple(tensor.shape), tensor.dtype
        assert shape == (8, 17), f"ids of shape (8, 17) should give {name} of the same shape, not {shape}"
        assert dtype == torch.int64, f"the {name} should be int64 like the ids, not {dtype}"
    assert torch.equal(ids, before), "the ids that were passed in have changed: make new tensors"


def test_labels_tell_what_was_there():
    """A label is -100 or the word that was there, and a token without a label stays as it is."""
    ids = sample_sentences(200)
    inputs, labels = mask_tokens(ids, MASK, len(WORDS), SPECIAL)
    selected = labels != -100
    assert selected.any(), "nothing was selected among 3200 words"
    assert torch.equal(labels[selected], ids[selected]), "a label should be the id that stood there before"
    same = inputs[~selected] == ids[~selected]
    assert same.all(), f"{(~same).sum().item()} tokens were changed that have no label"


def test_special_tokens_are_spared():
    """[CLS] and [PAD] are neither changed nor asked for."""
    ids = sample_sentences(200)
    ids[::2, 9:] = PAD
    inputs, labels = mask_tokens(ids, MASK, len(WORDS), SPECIAL, p=0.9)
    special = ids <= MASK
    assert torch.equal(inputs[special], ids[special]), "a [CLS] or [PAD] was changed in the input"
    assert (labels[special] == -100).all(), "a [CLS] or [PAD] has a label other than -100"


def test_shares():
    """15 % of the words are selected; of these, 80 % show [MASK], 10 % another word, 10 % themselves."""
    ids = sample_sentences(2000)[:, 1:].reshape(-1, 40)  # rows of 40 words, of which 15 % is a whole number
    inputs, labels = mask_tokens(ids, MASK, len(WORDS), SPECIAL)
    selected = labels != -100
    share = selected.double().mean().item()
    assert 0.135 < share < 0.165, f"{share:.3f} of the words were selected, not 0.15"
    masked = (inputs[selected] == MASK).double().mean().item()
    kept = (inputs[selected] == ids[selected]).double().mean().item()
    assert 0.77 < masked < 0.83, f"{masked:.2f} of the selected words show [MASK], not 0.8"
    # a random word is the word itself once in 16 times
    assert 0.08 < kept < 0.135, f"{kept:.2f} of the selected words show themselves, not 0.1 (and a little by chance)"


def test_random_words_are_ordinary():
    """A random word is an ordinary word, and each of them is drawn."""
    ids = torch.full((200, 50), 3)
    inputs, _ = mask_tokens(ids, MASK, len(WORDS), SPECIAL, p=1.0)
    drawn = set(inputs[inputs != MASK].tolist())
    wrong = [WORDS[word] if word < len(WORDS) else word for word in sorted(drawn - set(range(3, 19)))]
    assert not wrong, f"among the random words are {wrong}"
    missing = [WORDS[word] for word in sorted(set(range(3, 19)) - drawn)]
    assert not missing, f"a thousand random words were drawn, and never {missing}"


def test_new_every_time():
    """Each call draws anew; equal generators give equal results."""
    ids = sample_sentences(20)
    first, second = (mask_tokens(ids, MASK, len(WORDS), SPECIAL)[0] for _ in range(2))
    assert not torch.equal(first, second), "two calls hid the same words"
    seeded = [
        mask_tokens(ids, MASK, len(WORDS), SPECIAL, generator=torch.Generator().manual_seed(seed))[0]
        for seed in (5, 5, 6)
    ]
    assert torch.equal(seeded[0], seeded[1]), "two generators with the same seed gave different results"
    assert not torch.equal(seeded[0], seeded[2]), "generators with different seeds gave the same result"

# %% [markdown]
# ### Look at it
#
# One sentence, read twelve times. Each row shows what the network would see. Where a cell has a colour, it is
# asked for the word above; where it has none, it isn't, however easy the answer would be.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    sentence = sample_sentences(1)[:, :13]
    inputs, labels = mask_tokens(sentence.repeat(12, 1), MASK, len(WORDS), SPECIAL)
    figure, axis = plt.subplots(figsize=(12, 5.4), layout="constrained")
    for i in range(12):
        for j in range(13):
            shown, label = inputs[i, j].item(), labels[i, j].item()
            colour = "#2a6fbb" if shown == MASK else "#55a868" if shown == label else "#c44e52"
            colour = "white" if label == -100 else colour
            axis.add_patch(plt.Rectangle((j, i), 1, 1, fc=colour, ec="0.85", lw=0.8))
            ink = "0.45" if label == -100 else "white"
            axis.text(j + 0.5, i + 0.5, WORDS[shown], ha="center", va="center", fontsize=9.5, color=ink)
    axis.set(xlim=(0, 13), ylim=(12, 0), yticks=[])
    axis.set_xticks([j + 0.5 for j in range(13)], [WORDS[token] for token in sentence[0]], fontsize=11, weight="bold")
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    for colour, what in (("#2a6fbb", "[MASK]"), ("#c44e52", "a random word"), ("#55a868", "the word itself")):
        axis.scatter([], [], marker="s", s=90, color=colour, label=what)
    axis.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.01), frameon=False, fontsize=11)
    plt.show()

# %% [markdown]
# ## Step 2. Ask for them, and for nothing else (10 minutes)
#
# For each place $t$ the network gives a score for each word of the vocabulary, the **logits**
# $z_{t} \in \mathbb{R}^{V}$. The loss of one selected place is the surprise at the right word $x_t$, and the
# loss of a batch is the mean over the set $M$ of **all selected places of the batch**:
#
# $$\mathcal{L} = \frac{1}{|M|} \sum_{t \in M} -\log \frac{e^{z_{t, x_t}}}{\sum_{v=1}^{V} e^{z_{t, v}}} .$$
#
# * Places with the label $-100$ have no influence on the loss, and get a gradient of exactly zero.
# * If nothing was selected, the loss is 0, and `backward()` works and gives zero gradients. Never NaN.
# * Logits may be large, in the thousands. The loss has the dtype of the logits.

# %%
def mlm_loss(logits, labels):
    """Mean surprise, in nats, at the words that were asked for.

    logits:  (B, T, V)
    labels:  (B, T), int64, -100 where nothing is asked
    returns  a tensor without dimensions; 0 with zero gradients if nothing is asked at all
    """
    # BEGIN SOLUTION NO PROMPT
    total = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum")
    return total / (labels != -100).sum().clamp(min=1)
    # END SOLUTION
    raise NotImplementedError("mlm_loss")


# %%
def test_a_loss_by_hand():
    """Two places are asked for, with probabilities 1/2 and 1/4 for the right word: the loss is the mean surprise."""
    logits = torch.tensor([[[2.0, 1.0, 1.0], [9.0, 0.0, 5.0], [0.0, 0.0, 0.0]]]).log()
    logits[0, 1] = torch.tensor([9.0, 0.0, 5.0])
    logits[0, 2] = torch.tensor([1.0, 2.0, 1.0]).log()
    loss = mlm_loss(logits, torch.tensor([[0, -100, 2]]))
    assert loss.dim() == 0, f"the loss should be a single number without dimensions, but has shape {tuple(loss.shape)}"
    expected = (math.log(2) + math.log(4)) / 2
    assert abs(loss.item() - expected) < 1e-5, f"(log 2 + log 4) / 2 is {expected:.4f}; your loss is {loss.item():.4f}"


def test_only_what_is_asked_counts():
    """Places with the label -100 have no influence and no gradient."""
    logits, labels = torch.randn(2, 5, 7), torch.full((2, 5), -100)
    labels[0, 1], labels[1, 3], labels[1, 4] = 6, 0, 2
    other = torch.where((labels == -100)[..., None], 9 * torch.randn(2, 5, 7), logits)
    logits.requires_grad_()
    loss = mlm_loss(logits, labels)
    assert torch.allclose(loss, mlm_loss(other, labels)), "other logits at places without a label changed the loss"
    loss.backward()
    assert (logits.grad[labels == -100] == 0).all(), "there is a gradient at a place that was not asked for"
    assert (logits.grad[labels != -100] != 0).all(), "there is no gradient at a place that was asked for"


def test_nothing_asked():
    """If nothing is asked for, the loss is 0 and its gradient zero, not NaN."""
    logits = torch.randn(2, 5, 7, requires_grad=True)
    loss = mlm_loss(logits, torch.full((2, 5), -100))
    assert loss.item() == 0, f"nothing is asked for, so the loss should be 0; it is {loss.item()}"
    assert loss.requires_grad, "the loss of a batch without labels is cut off from the logits, so backward() would fail"
    loss.backward()
    assert logits.grad is not None and (logits.grad == 0).all(), "the gradient should be zero everywhere"


def test_large_logits():
    """Large logits are no problem."""
    logits = torch.tensor([[[5000.0, -5000.0], [-5000.0, 4990.0]]])
    loss = mlm_loss(logits, torch.tensor([[0, 0]]))
    assert torch.allclose(loss, torch.tensor(9990 / 2)), f"the loss should be (0 + 9990) / 2 = 4995, not {loss.item()}"

# %% [markdown]
# ## Step 3. What stands where (15 minutes)
#
# Attention sees a set. So each place must carry with it which word stands there, at which position, and, as
# BERT is also given *pairs* of sentences, in which of the two. BERT learns a table for each and adds them up:
#
# $$h_t = \operatorname{Dropout}\left(\operatorname{LayerNorm}\left(E^{\text{token}}_{x_t} + E^{\text{position}}_{t}
# + E^{\text{segment}}_{s_t}\right)\right), \qquad t = 0, 1, \dots$$
#
# There is no $\sqrt{d}$ here, the LayerNorm sets the size. Its $\varepsilon$ is $10^{-12}$, as in all of
# BERT. If no segments are given, every token belongs to segment 0.
#
# The constructor is given. Mind the device: whatever you create must be where `ids` is.

# %%
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
        # BEGIN SOLUTION NO PROMPT
        positions = torch.arange(ids.size(1), device=ids.device)  # (T,)
        if segments is None:
            segments = torch.zeros_like(ids)
        total = self.token(ids) + self.position(positions) + self.segment(segments)  # (B, T, d)
        return self.dropout(self.norm(total))
        # END SOLUTION
        raise NotImplementedError("BertEmbeddings.forward")


# %%
def test_embeddings_are_added():
    """Each place is the normalised sum of its token, its position and its segment."""
    embeddings = BertEmbeddings(10, 6, 8)
    ids, segments = torch.tensor([[4, 7, 4], [9, 0, 1]]), torch.tensor([[0, 0, 1], [0, 1, 1]])
    got = embeddings(ids, segments)
    assert got.shape == (2, 3, 6), f"ids of shape (2, 3) and width 6 give (2, 3, 6), not {tuple(got.shape)}"
    tables = embeddings.token.weight, embeddings.position.weight, embeddings.segment.weight
    for i in range(2):
        for t in range(3):
            total = tables[0][ids[i, t]] + tables[1][t] + tables[2][segments[i, t]]
            expected = (total - total.mean()) / total.var(unbiased=False).sqrt()
            assert torch.allclose(got[i, t], expected, atol=1e-4), f"sentence {i}, position {t}: another sum than expected"


def test_segments_may_be_left_out():
    """Without segments, all tokens belong to segment 0."""
    embeddings = BertEmbeddings(10, 6, 8)
    ids = torch.tensor([[4, 7, 4]])
    same = torch.allclose(embeddings(ids), embeddings(ids, torch.zeros_like(ids)))
    assert same, "leaving out the segments should mean segment 0 everywhere"


def test_position_counts():
    """The same word at two positions gives two vectors."""
    first, second = BertEmbeddings(10, 6, 8)(torch.tensor([[4, 4]]))[0]
    assert not torch.allclose(first, second), "the position has no influence"

# %% [markdown]
# ## Step 4. Back to words (15 minutes)
#
# After the last layer there is a vector $h_t$ of width $d$ for each place. The **head** makes logits of it:
#
# $$z_t = E^{\text{token}}\, \operatorname{LayerNorm}\left(\operatorname{GELU}(W h_t + b)\right) + c ,
# \qquad \operatorname{GELU}(x) = \tfrac{x}{2}\left(1 + \operatorname{erf}\tfrac{x}{\sqrt 2}\right) .$$
#
# Look at the matrix in front: it is the token table of step 3, *the same parameter*, not a copy. A word's
# score is the dot product of its own embedding with what the network has in mind. The head is **tied** to the
# embeddings. That saves $V \cdot d$ parameters (in BERT-base 23 million), and what is learnt about a word as
# an answer is learnt about it as an input. So `forward` is *given* the table; the head's own parameters are
# $W$, $b$, those of the LayerNorm, and the bias $c$, one number for each word.
#
# The GELU is the exact one, with `erf`.

# %%
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
        # BEGIN SOLUTION NO PROMPT
        thought = self.norm(F.gelu(self.dense(hidden)))  # (B, T, d)
        return thought @ table.T + self.bias  # (B, T, V)
        # END SOLUTION
        raise NotImplementedError("MaskedLMHead.forward")


# %%
def test_logits_have_the_width_of_the_vocabulary():
    """There is one score for each word at each place."""
    logits = MaskedLMHead(10, 6)(torch.randn(2, 3, 6), torch.randn(10, 6))
    assert logits.shape == (2, 3, 10), f"expected logits of shape (2, 3, 10), got {tuple(logits.shape)}"


def test_the_head_uses_the_table():
    """A word's score is the dot product with its own row of the table, plus its bias."""
    head, hidden, table = MaskedLMHead(10, 6), torch.randn(2, 3, 6), torch.randn(10, 6)
    logits, doubled = head(hidden, table), head(hidden, 2 * table)
    assert torch.allclose(doubled, 2 * logits, atol=1e-5), "a table twice as large should double the scores (the bias is 0)"
    with torch.no_grad():
        head.bias[4] = 3.0
    shift = (head(hidden, table) - logits).mean(dim=(0, 1))
    assert torch.allclose(shift, torch.tensor([0.0, 0, 0, 0, 3, 0, 0, 0, 0, 0]), atol=1e-5), (
        f"a bias of 3 for word 4 should raise its score by 3 and no other; the scores rose by {shift.tolist()}"
    )


def test_the_order_in_the_head():
    """First dense, then GELU, then LayerNorm."""
    head, hidden = MaskedLMHead(6, 6), torch.randn(4, 1, 6)
    thought = head.dense(hidden)
    thought = 0.5 * thought * (1 + torch.erf(thought / math.sqrt(2)))
    centred = thought - thought.mean(dim=-1, keepdim=True)
    expected = centred / centred.square().mean(dim=-1, keepdim=True).sqrt()
    assert torch.allclose(head(hidden, torch.eye(6)), expected, atol=1e-4), (
        "with the identity as table, the logits should be LayerNorm(GELU(dense(hidden)))"
    )

# %% [markdown]
# ## Step 5. Layers in between (15 minutes)
#
# The encoder of a5, as torch has it, in BERT's setting: `norm_first=False` (the norm follows each sum),
# GELU, $\varepsilon = 10^{-12}$. Nothing is causal: **every place may look at every other**, to the left and to
# the right. That is the B in BERT, for *bidirectional*, and it is why words must be hidden: a network that may
# look everywhere would just read the answer.
#
# Only `[PAD]` must not be looked at. `nn.TransformerEncoderLayer` takes a `src_key_padding_mask` of shape
# `(B, T)`, and mind the trap: unlike the masks of this course it is **true where a key is hidden**. (What
# comes out *at* a `[PAD]` is nobody's concern.)
#
# You write `encode`, which gives the hidden states after the last layer, and `forward`, which gives logits.
# The head is called with the token table itself, `self.embeddings.token.weight`. That is all there is to
# tying.

# %%
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
        # BEGIN SOLUTION NO PROMPT
        hidden = self.embeddings(ids, segments)  # (B, T, d)
        padding = ids == self.pad_id  # (B, T), true where hidden
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=padding)
        return hidden
        # END SOLUTION
        raise NotImplementedError("BertEncoder.encode")

    def forward(self, ids, segments=None):
        """ids, segments: (B, T)  returns logits (B, T, vocab_size)"""
        # BEGIN SOLUTION NO PROMPT
        return self.head(self.encode(ids, segments), self.embeddings.token.weight)
        # END SOLUTION
        raise NotImplementedError("BertEncoder.forward")


# %%
def small_encoder():
    """A small encoder in evaluation mode, for the tests of this step."""
    return BertEncoder(vocab_size=19, d_model=16, num_heads=4, num_layers=2, d_hidden=32, max_length=20).eval()


def test_shapes():
    """Hidden states are (B, T, d_model), logits (B, T, vocab_size)."""
    model, ids = small_encoder(), sample_sentences(3)
    hidden, logits = model.encode(ids), model(ids)
    assert hidden.shape == (3, 17, 16), f"expected hidden states of shape (3, 17, 16), got {tuple(hidden.shape)}"
    assert logits.shape == (3, 17, 19), f"expected logits of shape (3, 17, 19), got {tuple(logits.shape)}"


def test_it_looks_both_ways():
    """A word has influence on what stands before it and on what comes after it."""
    model, ids = small_encoder(), sample_sentences(1)
    other = ids.clone()
    other[0, 8] = 3 + (ids[0, 8] - 2) % 16
    change = (model.encode(other) - model.encode(ids)).abs().amax(dim=-1)[0]
    assert (change[9:] > 1e-6).all(), "another word at position 8 changed nothing to its right"
    assert (change[:8] > 1e-6).all(), "another word at position 8 changed nothing to its left"


def test_padding_changes_nothing():
    """A sentence that is filled up with [PAD] gives the same as without."""
    model, ids = small_encoder(), sample_sentences(2)[:, :12]
    filled = torch.cat([ids, torch.full((2, 5), PAD)], dim=1)
    with torch.no_grad():
        alone, beside = model.encode(ids), model.encode(filled)[:, :12]
    assert torch.allclose(alone, beside, atol=1e-4), (
        f"five [PAD] behind the sentence changed its hidden states by up to {(alone - beside).abs().max():.2f}"
    )


def test_items_are_independent():
    """Each sentence of a batch is read by itself."""
    model, ids = small_encoder(), sample_sentences(3)
    with torch.no_grad():
        together, alone = model(ids)[1:2], model(ids[1:2])
    assert torch.allclose(together, alone, atol=1e-4), "the other sentences of the batch have an influence"


def test_the_head_is_tied():
    """The token table is input and output at once."""
    model = small_encoder()
    names = sorted(name for name, weight in model.named_parameters() if 19 in weight.shape)
    assert names == ["embeddings.token.weight", "head.bias"], f"these parameters have a row for each word: {names}"
    model(torch.tensor([[5, 6]])).square().sum().backward()
    reached = (model.embeddings.token.weight.grad != 0).any(dim=1)
    assert reached.all(), "words that are not in the sentence get no gradient: does the head use the token table?"

# %% [markdown]
# ## Step 6. Let it read (25 minutes)
#
# One step of pretraining:
#
# 1. take `batch_size` of the sequences, at random (with replacement, or epoch by epoch in random order);
# 2. hide words, **anew** in every step;
# 3. let the model guess: it sees the *inputs*, never the originals;
# 4. take the loss, its gradients, and make one step of the optimizer.
#
# What has to do with optimization is prescribed, so that your model can be compared with others:
#
# * AdamW with betas (0.9, 0.98) and weight decay 0.01 (whether biases and norms decay, too, is up to you);
# * in step $1, 2, \dots$ the learning rate that `learning_rate` gives, which rises for a tenth of the steps and
#   then falls along a cosine;
# * before the optimizer's step, the norm of all gradients together is clipped to 1;
# * the model is in training mode while it learns, and in evaluation mode when you hand it back.
#
# `pretrain` trains the model that it is given and returns the losses, one **plain number** for each step: the
# loss of the batch before the weights were changed. There are at least `batch_size` sequences.

# %%
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
    # BEGIN SOLUTION NO PROMPT
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    losses = []
    model.train()
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        rows = torch.randint(len(sequences), (batch_size,), device=sequences.device)
        originals = sequences[rows]  # (batch_size, T)
        inputs, labels = mask_tokens(originals, mask_id, vocab_size, special_ids)
        loss = mlm_loss(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses
    # END SOLUTION
    raise NotImplementedError("pretrain")


# %%
def test_losses_come_back():
    """One loss for each step comes back, as plain numbers."""
    losses = pretrain(small_encoder(), sample_sentences(40), MASK, len(WORDS), SPECIAL, steps=5, batch_size=32)
    assert isinstance(losses, list) and len(losses) == 5, f"expected a list of 5 losses, got {losses}"
    kinds = {type(loss).__name__ for loss in losses}
    assert kinds == {"float"}, f"the losses should be of type float, not {kinds}: see `item()`"


def test_it_learns_one_sentence_by_heart():
    """If it reads one sentence again and again, it can fill every gap in it."""
    torch.manual_seed(0)
    model, sentence = small_encoder(), torch.arange(1, 18).clamp(min=3)[None]
    sentence[0, 0] = CLS
    pretrain(model, sentence.repeat(32, 1), MASK, len(WORDS), SPECIAL, steps=120, batch_size=32, peak=0.02)
    assert not model.training, "after pretraining, the model should be in evaluation mode"
    right = 0
    for t in range(1, 17):
        gap = sentence.clone()
        gap[0, t] = MASK
        right += int(model(gap)[0, t].argmax() == sentence[0, t])
    assert right >= 14, f"it fills only {right} of 16 gaps"


def test_the_learning_rate_is_kept():
    """After one step no weight has moved further than the learning rate allows."""
    model = small_encoder()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    pretrain(model, sample_sentences(40), MASK, len(WORDS), SPECIAL, steps=1, batch_size=32, peak=1e-3)
    moved = {name: (weight - before[name]).abs().max().item() for name, weight in model.state_dict().items()}
    furthest = max(moved, key=moved.get)
    assert moved[furthest] > 5e-4, "no weight has moved: is there a step of the optimizer?"
    assert moved[furthest] < 1.1e-3, f"{furthest} moved by {moved[furthest]:.4f} in a step with learning rate 0.001"

# %% [markdown]
# ### The best that anybody could do
#
# How good can it get? In our language that can be worked out. Sentences and masking are random in a known
# way, so for each gap the probability of each word, given everything that can be seen, follows from Bayes'
# rule. Two sweeps over the sentence collect what each class and topic could have produced, one from the left,
# one from the right (the forward–backward algorithm). No model can have a lower loss on average than these
# probabilities. We call it the **Bayes loss**, and it gives your model a mark to reach that has nothing to do
# with other models.
#
# The same sweeps tell what could be reached at best with less: by a model that looks only to the **left**, as
# one does that writes word by word; or by one that looks at **no other word** at all.
#
# The cell is given.

# %%
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

# %% [markdown]
# Now let your model read. The cell takes about a quarter of a minute. A loss that stays near the highest line
# means that the words do not look at one another; one near the middle line, that they look only one way.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    torch.manual_seed(1)
    model = BertEncoder(
        vocab_size=len(WORDS), d_model=64, num_heads=4, num_layers=2, d_hidden=128, max_length=17, pad_id=PAD
    )
    losses = pretrain(model, sample_sentences(20_000), MASK, len(WORDS), SPECIAL, steps=800)

    unread = sample_sentences(2000)
    inputs, labels = mask_tokens(unread, MASK, len(WORDS), SPECIAL)
    with torch.no_grad():
        guesses = model(inputs).double().softmax(dim=-1)
    best = {sides: best_predictions(inputs, sides) for sides in ("both", "left", "none")}
    marks = {sides: loss_of(best[sides], labels) for sides in best}
    reached = loss_of(guesses, labels)
    closed = (marks["none"] - reached) / (marks["none"] - marks["both"])
    print(f"on sentences that it has not read: {reached:.3f} nats; the best possible: {marks['both']:.3f}")
    print(f"your model has learnt {closed:.0%} of what the other words tell")

    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained", width_ratios=(1.7, 1))
    smooth = torch.tensor(losses).unfold(0, 20, 1).mean(dim=1)
    left.plot(losses, color="#2a6fbb", lw=0.6, alpha=0.35)
    left.plot(range(19, len(losses)), smooth, color="#2a6fbb", lw=2, label="your model")
    names = {"none": "no other word", "left": "left side only", "both": "both sides (Bayes)"}
    for (sides, name), colour in zip(names.items(), ("#c44e52", "#dd8452", "#55a868")):
        left.axhline(marks[sides], color=colour, ls="--", lw=1.4)
        below = sides == "both"
        left.text(
            len(losses), marks[sides] + (-0.03 if below else 0.02), name,
            color=colour, ha="right", va="top" if below else "bottom", fontsize=10,
        )
    left.set(xlabel="step", ylabel="loss (nats)", title="What it has learnt", ylim=(marks["both"] - 0.25, 3.2))
    left.legend(frameon=False, loc="upper center")

    slots = {"all": None, "[MASK]": inputs == MASK, "visible": inputs != MASK}
    bars = {"no other word": (best["none"], "#c44e52"), "your model": (guesses, "#2a6fbb"), "Bayes": (best["both"], "#55a868")}
    for k, (name, (probabilities, colour)) in enumerate(bars.items()):
        heights = [loss_of(probabilities, labels, where) for where in slots.values()]
        right.bar([i + 0.27 * (k - 1) for i in range(3)], heights, 0.25, color=colour, label=name)
    right.set_xticks(range(3), [f"{name} places" for name in slots])
    right.set(title="Where: loss by what the input shows", ylim=(0, None))
    right.legend(frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    plt.show()

# %% [markdown]
# Look at the right-hand picture, too. *Visible* places are those where the input shows a word, the right one
# or a random one, and the network has to say how far it trusts it. A network that was trained with `[MASK]`
# alone is fine on the left and lost on the right: nobody ever asked it about a word that it could see.
#
# And here is what it thinks. Two words are hidden; the bars show your model's probabilities beside the exact
# ones.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    sentence = unread[3:4].clone()
    gaps = (5, 11)
    shown = sentence.clone()
    shown[0, list(gaps)] = MASK
    print(*(WORDS[token] for token in shown[0]))
    with torch.no_grad():
        thinks = model(shown).double().softmax(dim=-1)[0]
    exact = best_predictions(shown)[0]
    figure, axes = plt.subplots(1, 2, figsize=(13, 3.6), layout="constrained", sharey=True)
    for axis, t in zip(axes, gaps):
        places = torch.arange(16)
        axis.bar(places - 0.2, thinks[t, 3:], 0.4, color="#2a6fbb", label="your model")
        axis.bar(places + 0.2, exact[t, 3:], 0.4, color="#55a868", label="Bayes")
        axis.set_xticks(places, WORDS[3:], rotation=50, ha="right", fontsize=10)
        axis.get_xticklabels()[sentence[0, t] - 3].set_weight("bold")
        before = " ".join(WORDS[token] for token in sentence[0, t - 2 : t])
        after = " ".join(WORDS[token] for token in sentence[0, t + 1 : t + 3])
        axis.set_title(f"… {before} ____ {after} …", fontsize=12)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("probability")
    axes[0].legend(frameon=False)
    plt.show()

# %% [markdown]
# ## Step 7. How large is BERT? An experiment (5 minutes)
#
# BERT-base is said to have about 110 million parameters. You have just built BERT; only the sizes were
# smaller. Those of BERT-base: 30,522 words, width 768, 12 heads, 12 layers, 3,072 hidden units in each layer,
# 512 positions.
#
# How many parameters has **your** `BertEncoder` at that size, each counted once? Write down a guess of what an
# untied head would add. Then run the cell. On the device `meta` tensors have shapes, and no memory.

# %%
if __name__ == "__main__":
    with torch.device("meta"):
        base = BertEncoder(30_522, d_model=768, num_heads=12, num_layers=12, d_hidden=3072, max_length=512)
    count = sum(parameter.numel() for parameter in base.parameters())
    print(f"{count:,} parameters; the token table alone has {base.embeddings.token.weight.numel():,}")

# %% [markdown]
# Report the number as the cell printed it, to the last digit. It is graded: the grader counts again.

# %%
parameters_of_bert_base = None
# BEGIN SOLUTION NO PROMPT
parameters_of_bert_base = 109_514_298
# END SOLUTION

# %% [markdown]
# ## What to take along
#
# * Text is its own teacher: hide some of it, and ask for it.
# * The loss knows only the selected places. What the network learns about all the others comes from *using*
#   them. That is why 10 % of the selected words stay as they are, and 10 % are wrong.
# * Looking both ways is worth a lot: you have seen by how much, in nats. The price is that such a model does
#   not write; it fills gaps.
# * Low loss is not the end. The hidden states are what one pretrains for, and in a7 they are put to use.
#
# ## What the hidden tests look at
#
# Each step by itself; where a step builds on another of yours that fails, a correct one takes its place.
# Masking: labels, special tokens, every share (with so many tokens that chance can't fool it), random words,
# freshness, generator. The loss: values, gradients, empty batches, large logits, half precision. Embeddings,
# head and encoder: values and gradients with weights of the test, padding, both directions, tying, dropout,
# sizes of 1, another device. Pretraining: schedule, fresh masks, what is asked and what is not; and your
# model, trained by your `pretrain` on a language drawn for you alone, must close most of the gap between what
# one can guess without other words and the Bayes loss, on `[MASK]` places, on visible ones and on all. And
# your number.
#
# ## Where to read on
#
# * J. Devlin, M.-W. Chang, K. Lee, K. Toutanova: *BERT: Pre-training of Deep Bidirectional Transformers for
#   Language Understanding*, NAACL 2019, [arXiv:1810.04805](https://arxiv.org/abs/1810.04805). Section 3.1 is
#   this assignment; appendix C.2 tries other shares than 80/10/10.
# * Y. Liu et al.: *RoBERTa*, 2019, [arXiv:1907.11692](https://arxiv.org/abs/1907.11692), section 4.1, on
#   fresh masks against the same masks in every epoch.
# * O. Press, L. Wolf: *Using the Output Embedding to Improve Language Models*, EACL 2017,
#   [arXiv:1608.05859](https://arxiv.org/abs/1608.05859), on tied tables.
