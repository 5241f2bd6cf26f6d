# %% [markdown]
# # Sequence to sequence
#
# **Needs assignment 1, and to have met a recurrent network before.**
#
# A translator reads a sentence of one length and writes a sentence of another. For a few years around 2014 this
# was done by two recurrent networks: an **encoder** reads the source word by word, and a **decoder** writes the
# translation word by word. The first of these machines handed the decoder a single vector, everything that the
# encoder remembered at the end. It worked for short sentences. You will build it, and measure where it breaks.
# Then you will add the part that mended it, attention, and look at what it has learnt:
#
# 1. `Encoder` reads the source in both directions;
# 2. `Decoder.step` writes one word, without attention;
# 3. `Seq2Seq.forward` and `translation_loss` compare a whole sentence with the right one;
# 4. `Seq2Seq.translate` writes with nobody at hand who knows the answer;
# 5. `fit` trains, and an experiment shows what becomes of long sentences;
# 6. `AttentionDecoder.step` looks back at the source before each word;
# 7. `alignment` draws where it looked, the most famous picture of the paper.
#
# Do the steps in order; each needs the ones before. They are graded apart all the same: where one is missing or wrong,
# the grader puts a right one in its place and judges the next.

# %%
import math
import random

import torch
from torch import nn

PAD, BOS, EOS = 0, 1, 2

# %% [markdown]
# ## The shape of things
#
# Words are numbers, their **ids**. Three ids have a meaning of their own: `PAD` fills up short sentences, `BOS` is
# what the decoder is given before the first word, `EOS` ends a sentence. A batch of $B$ pairs of sentences is
#
# | variable | shape | what it holds |
# |---|---|---|
# | `source` | `(B, S)` | the words to read, then `EOS`, then pads |
# | `target` | `(B, T)` | `BOS`, the right translation, `EOS`, then pads |
# | `memory` | `(B, S, m)` | what the encoder has to say of each source word, $h_1, \dots, h_S$ in the paper |
# | `mask` | `(B, S)` | boolean, **true where the decoder may look**: at every token that is not a pad |
# | `state` | `(B, n)` | what the decoder remembers, $s_i$ in the paper |
# | `logits` | `(B, V)` | a score for each of the $V$ words of the target language, before any softmax |
#
# ## The rules, once and for all
#
# They hold for everything below, and the hidden tests hold you to them.
#
# * **Pads** stand only at the end of a row, and every row of `source` has at least one token that is none. Pads are
#   not words: how many there are must not change any result at a real word. What a result holds at a padded
#   *target* position does not matter.
# * **Items** of a batch do not know of each other. A batch may have one item, a sentence one word.
# * **Weights** are set by the tests, by the names that stand in each class's docstring. All constructors are given.
#   (Should you wish to store the weights in another way, give the class a method `load_named(self, weights)` that
#   takes a dictionary with these names.)
# * **Numbers.** Results have the dtype of the model's weights, float32 or float64, and lie on the device of what
#   went in. Gradients flow from every result to every weight that had a part in it.
# * **Manners.** Arguments are never changed in place.
# * `nn.GRU`, `nn.GRUCell` and everything else in PyTorch are welcome.

# %% [markdown]
# ## Step 1. The encoder (25 minutes)
#
# A **gated recurrent unit** reads a sentence from left to right and keeps a vector, its hidden state, that it
# rewrites at each word. So after word $j$ the state knows of words 1 to $j$, and nothing of what follows. A second
# one reads from right to left, and knows of words $j$ to $S$. Side by side, the two states are the **annotation**
# of word $j$: a summary of the whole sentence, seen from there.
#
# $$\overrightarrow{h}_j = \operatorname{GRU}\big(E x_j,\ \overrightarrow{h}_{j-1}\big), \qquad
# \overleftarrow{h}_j = \operatorname{GRU}'\big(E x_j,\ \overleftarrow{h}_{j+1}\big), \qquad
# h_j = \big[\,\overrightarrow{h}_j\,;\ \overleftarrow{h}_j\,\big], \qquad
# s_0 = \tanh\big(W_s \overleftarrow{h}_1 + b_s\big)$$
#
# All annotations together are the **memory**. The last formula is the **bridge**, which gives the decoder its first
# state. It is made of the backward state at the first word, because that one has read the whole sentence.
#
# `nn.GRU(..., bidirectional=True)` does both directions at once, and returns forward and backward state side by
# side, in this order. The one difficulty is the padding. A backward GRU that begins at the end of the row reads
# pads first, and arrives at the last word with a state that depends on how many there were. It has to **start at
# the last real token**, from a zero state. And the **memory at pads is zero**.
#
# Two ways: `nn.utils.rnn.pack_padded_sequence` and its inverse do it (read about `enforce_sorted` and
# `total_length`, and that lengths have to be on the CPU); or you take the GRU's weights and loop yourself.

# %%
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
        # BEGIN SOLUTION NO PROMPT
        lengths = (source != PAD).sum(dim=1).cpu()  # (B,)
        words = self.embedding(source)  # (B, S, embedding)
        packed = nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        states, _ = self.gru(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=source.size(1))
        backward_at_first = memory[:, 0, self.gru.hidden_size :]  # (B, hidden)
        return memory, torch.tanh(self.bridge(backward_at_first))  # (B, S, 2 hidden), (B, state)
        # END SOLUTION
        raise NotImplementedError("Encoder.forward")


# %%
def test_the_encoder_returns_memory_and_start():
    """The answer is the pair (memory, start), of the right shapes."""
    answer = Encoder(20, 5, 4, 6)(torch.tensor([[7, 8, 9, EOS], [7, EOS, PAD, PAD]]))
    assert isinstance(answer, tuple) and len(answer) == 2, "expected a pair, the memory and the start state"
    memory, start = (tuple(tensor.shape) for tensor in answer)
    assert memory == (2, 4, 8), f"2 sentences, 4 tokens, hidden_size 4: the memory is (2, 4, 8), not {memory}"
    assert start == (2, 6), f"2 sentences, state_size 6: the start state is (2, 6), not {start}"


def test_the_encoder_reads_both_ways():
    """Every word leaves a trace in the annotation of every other."""
    encoder = Encoder(20, 5, 4, 6)
    memory, _ = encoder(torch.tensor([[7, 8, 9, EOS]]))
    first, _ = encoder(torch.tensor([[10, 8, 9, EOS]]))
    last, _ = encoder(torch.tensor([[7, 8, 9, 10]]))
    assert not torch.allclose(memory[:, 3], first[:, 3]), "the first word leaves no trace in the last annotation"
    assert not torch.allclose(memory[:, 0], last[:, 0]), "the last word leaves no trace in the first annotation"
    same = torch.allclose(memory[:, 0, :4], last[:, 0, :4])
    assert same, "the first half of an annotation comes from the forward GRU, which has not seen later words"


def test_padding_makes_no_difference():
    """A sentence is read in the same way with pads behind it, and its memory there is zero."""
    encoder = Encoder(20, 5, 4, 6)
    short = torch.tensor([[7, 8, EOS]])
    memory, start = encoder(short)
    padded = torch.tensor([[7, 8, EOS, PAD, PAD]])
    padded_memory, padded_start = encoder(padded)
    shape = tuple(padded_memory.shape)
    assert shape == (1, 5, 8), f"a row of 5 with 2 pads has a memory of shape (1, 5, 8), not {shape}"
    assert (padded_memory[:, 3:] == 0).all(), "the memory at the pads is not zero"
    forward = torch.allclose(memory[..., :4], padded_memory[:, :3, :4], atol=1e-6)
    assert forward, "the forward half changes with the number of pads"
    backward = torch.allclose(memory[..., 4:], padded_memory[:, :3, 4:], atol=1e-6)
    assert backward, "the backward half changes with the number of pads: where does the backward GRU start?"
    assert torch.allclose(start, padded_start, atol=1e-6), "the start state changes with the number of pads"


def test_reading_backwards_mirrors_the_memory():
    """With the same weights for both directions, a sentence read backwards has the mirrored memory."""
    encoder = Encoder(20, 5, 4, 6)
    for name, weight in list(encoder.gru.named_parameters()):
        if name.endswith("_reverse"):
            weight.data.copy_(getattr(encoder.gru, name.removesuffix("_reverse")).data)
    memory, _ = encoder(torch.tensor([[7, 8, 9, 10, PAD]]))
    mirrored, _ = encoder(torch.tensor([[10, 9, 8, 7, PAD]]))
    expected = torch.cat([mirrored[..., 4:], mirrored[..., :4]], dim=-1)[:, [3, 2, 1, 0]]
    assert torch.allclose(memory[:, :4], expected, atol=1e-6), "the two directions are not treated alike"


def test_the_start_is_the_bridge():
    """The start state is tanh(bridge(backward state at position 0))."""
    encoder = Encoder(20, 5, 4, 6)
    memory, start = encoder(torch.tensor([[7, 8, EOS, PAD], [7, 8, 9, EOS]]))
    expected = torch.tanh(encoder.bridge(memory[:, 0, 4:]))
    assert torch.allclose(start, expected, atol=1e-6), "it should be made of the backward half of memory[:, 0]"


# %% [markdown]
# ## Step 2. A decoder without attention (10 minutes)
#
# The decoder is a GRU, too, and one **step** of it writes one word. It is given the word before (at first `BOS`)
# and its own state, updates the state, and scores every word of the language:
#
# $$s_i = \operatorname{GRU}\big(E y_{i-1},\ s_{i-1}\big), \qquad \text{logits}_i = W_o s_i + b_o .$$
#
# The state is all that it has of the source. `step` is given the memory, but this decoder makes no use of it: the
# signature is the one of the decoder with attention, so that the two can be exchanged later. Where that one returns
# the weights of its attention, this one returns `None`.
#
# `nn.GRUCell` is one step of a GRU. Logits are plain scores: no softmax here.

# %%
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
        # BEGIN SOLUTION NO PROMPT
        state = self.cell(self.embedding(token), state)  # (B, state)
        return self.output(state), state, None
        # END SOLUTION
        raise NotImplementedError("Decoder.step")


# %%
def test_a_step_returns_three_things():
    """The answer is (logits, state, None)."""
    decoder = Decoder(20, 5, 6)
    answer = decoder.step(torch.tensor([BOS, 7]), torch.randn(2, 6), torch.randn(2, 4, 8), torch.ones(2, 4).bool())
    assert isinstance(answer, tuple) and len(answer) == 3, "expected three things: logits, the new state, None"
    logits, state, weights = answer
    assert logits.shape == (2, 20), f"2 sentences, 20 words: the logits are (2, 20), not {tuple(logits.shape)}"
    assert state.shape == (2, 6), f"2 sentences, state_size 6: the state is (2, 6), not {tuple(state.shape)}"
    assert weights is None, "without attention there are no weights: None"


def test_the_logits_come_from_the_new_state():
    """The logits are `output` of the state that is returned."""
    decoder = Decoder(20, 5, 6)
    old = torch.randn(2, 6)
    logits, state, _ = decoder.step(torch.tensor([BOS, 7]), old, torch.randn(2, 4, 8), torch.ones(2, 4).bool())
    assert not torch.allclose(state, old), "the state came back as it was"
    assert torch.allclose(logits, decoder.output(state), atol=1e-6), "the logits are not those of the new state"


def test_word_and_state_both_count():
    """The new state depends on the word before and on the old state."""
    decoder = Decoder(20, 5, 6)
    old, memory, mask = torch.randn(2, 6), torch.randn(2, 4, 8), torch.ones(2, 4).bool()
    _, state, _ = decoder.step(torch.tensor([7, 7]), old, memory, mask)
    _, other_word, _ = decoder.step(torch.tensor([8, 8]), old, memory, mask)
    _, other_state, _ = decoder.step(torch.tensor([7, 7]), old + 1, memory, mask)
    assert not torch.allclose(state, other_word), "another word gave the same state"
    assert not torch.allclose(state, other_state), "another state before gave the same state after"


# %% [markdown]
# ## Step 3. A whole sentence, with a teacher (25 minutes)
#
# To train, we need the decoder's opinion at every place of the target, and a number that says how bad it was.
#
# While it learns, the decoder makes mistakes. Were it given its own words, one mistake at the start would make the
# rest of the sentence a lesson about nothing. So in training each step is given the **right** word before, whatever
# the decoder would have written. That is called **teacher forcing**:
#
# | step | is given | should say |
# |---|---|---|
# | 0 | `target[:, 0]`, which is `BOS` | `target[:, 1]`, the first word |
# | 1 | `target[:, 1]` | `target[:, 2]` |
# | $T-2$ | `target[:, T-2]` | `target[:, T-1]`, in the longest sentence `EOS` |
#
# So $T$ tokens make $T-1$ steps: `logits[:, t]` is about `target[:, t + 1]`. The state goes from step to step, the
# first is the encoder's start state, and the mask is true where `source` is not `PAD`.
#
# The loss is the mean negative log-probability of the right tokens, in nats. The mean is over all tokens of the
# batch that should have been said and are not pads, each counting the same, whichever sentence it is in:
#
# $$L = -\frac{1}{N} \sum_{b,\,t\,:\ y_{b,t+1} \ne \text{pad}}
# \log \operatorname{softmax}(\text{logits}_{b,t})_{y_{b,t+1}},
# \qquad N = \text{number of terms in the sum.}$$
#
# `EOS` counts: a decoder has to learn when to stop.
#
# `Seq2Seq` has two methods, `forward` for now and `translate` for step 4.

# %%
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
        # BEGIN SOLUTION NO PROMPT
        memory, state = self.encoder(source)
        mask = source != PAD  # (B, S)
        scores = []
        for t in range(target.size(1) - 1):
            logits, state, _ = self.decoder.step(target[:, t], state, memory, mask)
            scores.append(logits)  # (B, V)
        return torch.stack(scores, dim=1)  # (B, T - 1, V)
        # END SOLUTION
        raise NotImplementedError("Seq2Seq.forward")

    def translate(self, source, max_length):
        """Write word by word, each time the word of the highest logit, the lowest id of several; step 4.

        source: (B, S) ids
        returns ids (B, max_length), without bos; the first eos, if there is one, and after it only pads
        """
        # BEGIN SOLUTION NO PROMPT
        with torch.no_grad():
            memory, state = self.encoder(source)
            mask = source != PAD  # (B, S)
            token = torch.full_like(source[:, 0], BOS)  # (B,)
            finished = torch.zeros_like(token, dtype=torch.bool)
            written = []
            for _ in range(max_length):
                logits, state, _ = self.decoder.step(token, state, memory, mask)
                token = logits.argmax(dim=-1).masked_fill(finished, PAD)  # (B,)
                finished = finished | (token == EOS)
                written.append(token)
        return torch.stack(written, dim=1)  # (B, max_length)
        # END SOLUTION
        raise NotImplementedError("Seq2Seq.translate")


def translation_loss(logits, target):
    """The mean negative log-probability of the right tokens, pads left out.

    logits: (B, T - 1, V)  target: (B, T) ids; logits[:, t] are for target[:, t + 1]
    returns a tensor with one number; gradients flow to the logits
    """
    # BEGIN SOLUTION NO PROMPT
    right = target[:, 1:]  # (B, T - 1)
    return nn.functional.cross_entropy(logits.flatten(0, 1), right.flatten(), ignore_index=PAD)
    # END SOLUTION
    raise NotImplementedError("translation_loss")


# %%
class Scripted(nn.Module):
    """For the tests: a decoder that says of each word which one follows, by a table. Its state counts the steps."""

    def __init__(self, follows, vocab_size=10):
        super().__init__()
        self.register_buffer("table", torch.full((vocab_size, vocab_size), -5.0))
        for word, following in follows.items():
            self.table[word, following] = 5.0

    def step(self, token, state, memory, mask):
        weights = mask / mask.sum(dim=1, keepdim=True)
        return self.table[token] + state[:, :1], state + 1, weights


class Silent(nn.Module):
    """For the tests: an encoder that has nothing to say."""

    def forward(self, source):
        return torch.zeros(*source.shape, 1), torch.zeros(len(source), 1)


def test_there_are_logits_for_every_word_but_the_first():
    """T target tokens give T - 1 rows of logits, each about the token that follows."""
    logits = Seq2Seq(Silent(), Scripted({BOS: 5, 5: 6, 6: EOS}))(
        torch.tensor([[7, EOS], [8, EOS]]), torch.tensor([[BOS, 5, 6, EOS], [BOS, 6, EOS, PAD]])
    )
    shape = tuple(logits.shape)
    assert shape == (2, 3, 10), f"2 targets of 4 tokens, 10 words: expected (2, 3, 10), got {shape}"
    said = logits.argmax(dim=-1).tolist()
    assert said[0] == [5, 6, EOS], f"by the decoder's table 5 follows bos, 6 follows 5, eos follows 6; got {said[0]}"
    assert said[1][:2] == [5, EOS], f"the target is bos, 6, eos, so step 1 is given 6, not what step 0 said; {said[1]}"


def test_the_state_goes_from_step_to_step():
    """Each step is given the state that the step before returned."""
    decoder = Scripted({})  # adds its state, the number of steps so far, to all logits
    logits = Seq2Seq(Silent(), decoder)(torch.tensor([[7, EOS]]), torch.tensor([[BOS, 5, 6, EOS]]))
    states = (logits[0, :, 0] + 5).tolist()
    assert states == [0, 1, 2], f"the three steps should be given the states 0, 1 and 2, but were given {states}"


def test_no_step_sees_what_it_should_say():
    """logits[:, t] depend on target[:, :t + 1] and on nothing later."""
    model = Seq2Seq(Encoder(20, 5, 4, 6), Decoder(20, 5, 6))
    source, target = torch.tensor([[7, 8, EOS]]), torch.tensor([[BOS, 9, 10, 11, EOS]])
    other = torch.tensor([[BOS, 9, 12, 13, EOS]])
    before, after = model(source, target), model(source, other)
    assert torch.allclose(before[:, :2], after[:, :2], atol=1e-6), "a word has influence before it was there"
    assert not torch.allclose(before[:, 2], after[:, 2]), "step 2 was given another word and said the same"


def test_the_source_counts():
    """Another source gives other logits, more padding does not."""
    model = Seq2Seq(Encoder(20, 5, 4, 6), Decoder(20, 5, 6))
    target = torch.tensor([[BOS, 9, EOS]])
    logits = model(torch.tensor([[7, 8, EOS]]), target)
    other = model(torch.tensor([[7, 9, EOS]]), target)
    padded = model(torch.tensor([[7, 8, EOS, PAD, PAD]]), target)
    assert not torch.allclose(logits, other), "another source, the same logits: is the start state used?"
    assert torch.allclose(logits, padded, atol=1e-6), "two pads behind the source change the logits"


def test_the_loss_of_knowing_nothing():
    """Equal logits for 7 words have the loss log 7, about 1.95."""
    loss = translation_loss(torch.zeros(2, 3, 7), torch.tensor([[BOS, 5, 6, EOS], [BOS, 6, EOS, PAD]]))
    assert isinstance(loss, torch.Tensor) and loss.shape == (), "expected a tensor with one number"
    assert abs(loss.item() - math.log(7)) < 1e-5, f"expected {math.log(7):.4f}, got {loss.item():.4f}"


def test_the_loss_of_knowing_everything():
    """Logits that are sure of the token that follows have a loss of nearly nothing."""
    target = torch.tensor([[BOS, 5, 6, EOS], [BOS, 6, EOS, PAD]])
    logits = 30 * nn.functional.one_hot(target[:, 1:], 7).float()
    loss = translation_loss(logits, target).item()
    assert loss < 1e-3, f"logits[:, t] were right about target[:, t + 1] everywhere, but the loss is {loss:.3f}"


def test_pads_cost_nothing():
    """Pads in the target neither add to the loss nor dilute it."""
    logits, target = torch.randn(1, 3, 7), torch.tensor([[BOS, 5, 6, EOS]])
    loss = translation_loss(logits, target)
    longer, padded = torch.cat([logits, torch.randn(1, 2, 7)], dim=1), torch.tensor([[BOS, 5, 6, EOS, PAD, PAD]])
    same = translation_loss(longer, padded)
    assert torch.allclose(loss, same), f"{loss.item():.4f} became {same.item():.4f} with two pads behind the target"


# %% [markdown]
# ## Step 4. A whole sentence, without a teacher (20 minutes)
#
# Once trained, the decoder has to do without the right answer: each step is given the word that the step before
# has written. Which word is that? The **greedy** answer is the one with the highest logit. (Of several equally high
# ones take the lowest id, as `argmax` does.)
#
# The sentences of a batch end at different times. One that has written `EOS` is finished, and gets `PAD` from then
# on, while the others go on. After `max_length` steps we stop, with or without an `EOS`. So the answer always has
# `max_length` columns, holds no `BOS` at its start, the `EOS` if it was reached, and pads after it. It consists of ids,
# int64 like the source, through which no gradient can flow.
#
# Write `translate` in the class above, and run that cell again.

# %%
def test_it_writes_until_the_end():
    """The words up to eos, then pads, max_length columns."""
    model = Seq2Seq(Silent(), Scripted({BOS: 5, 5: 6, 6: EOS, EOS: 7, PAD: 8}))
    written = model.translate(torch.tensor([[7, EOS], [8, EOS]]), 6)
    assert isinstance(written, torch.Tensor), f"expected a tensor of ids, got {type(written).__name__}"
    assert written.dtype == torch.int64, f"ids are int64, not {written.dtype}"
    assert tuple(written.shape) == (2, 6), f"2 sentences, max_length 6: expected (2, 6), got {tuple(written.shape)}"
    row = written[0].tolist()
    assert row == [5, 6, EOS, PAD, PAD, PAD], f"expected [5, 6, {EOS}, {PAD}, {PAD}, {PAD}], got {row}"


def test_it_stops_at_the_limit():
    """Without an eos there are max_length words."""
    written = Seq2Seq(Silent(), Scripted({BOS: 5, 5: 6, 6: 5})).translate(torch.tensor([[7, EOS]]), 4)
    assert written.tolist() == [[5, 6, 5, 6]], f"expected [[5, 6, 5, 6]], got {written.tolist()}"


def test_of_equals_it_takes_the_first():
    """Of several words with the highest logit it takes the lowest id."""
    decoder = Scripted({BOS: 8, 4: EOS})
    decoder.table[BOS, [4, 6]] = 5.0
    written = Seq2Seq(Silent(), decoder).translate(torch.tensor([[7, EOS]]), 2)
    assert written.tolist() == [[4, EOS]], f"4, 6 and 8 are equally likely at first; got {written.tolist()}"


# %% [markdown]
# ## Something to translate
#
# Real translation takes days of training. Three tiny languages will do for us, and they have an advantage over
# French and German: we know exactly **which source word each target word comes from**. Each function below draws
# `count` pairs and returns `source`, `target` and `links`; `links[b, t]` is the position of the source word that
# `target[b, t + 1]` translates, and -1 where there is none.
#
# * `backwards`: letters, to be written from the last to the first. Easily said, but all of them have to be kept in
#   mind.
# * `dates`: English dates in six word orders, to be written in French, which has one.
# * `number_words`: "two thousand one hundred and oh five" becomes 2 1 0 5. (A number says "oh" where nobody would,
#   so that each digit has its word.)

# %%
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


# %%
if __name__ == "__main__":
    random.seed(0)
    languages = (backwards, LETTERS, LETTERS), (dates, ENGLISH, FRENCH), (number_words, NUMBER_WORDS, DIGITS)
    for draw, source_words, target_words in languages:
        for source, target in zip(*draw(2)[:2]):
            print(f"{in_words(source, source_words):>50}  →  {in_words(target, target_words)}")

# %% [markdown]
# ## Step 5. Training, and what becomes of long sentences (25 minutes)
#
# `fit` takes a model that is called as `model(source, target)` and gives logits, and a list of batches. For each
# batch, in the order of the list, it makes **one step of Adam** (`torch.optim.Adam` with the given learning rate and
# its other settings as they are; one optimiser for the whole list):
#
# * the loss of the batch, and its gradient, which owes nothing to earlier batches;
# * the gradient **clipped**: if its norm, over all parameters together, is above 1, it is scaled down to 1
#   (`nn.utils.clip_grad_norm_` with its other settings as they are). A recurrent network is a function applied to
#   itself dozens of times, and now and then its gradient is enormous; Bahdanau and colleagues used the same limit;
# * the step.
#
# It returns the losses, one Python float for each batch, measured before the batch's own step.
#
# For the tests, and to have something to compare with, here is the simplest model that can be trained in this way.
# It does not read the source at all.

# %%
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
    # BEGIN SOLUTION NO PROMPT
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for source, target in batches:
        loss = translation_loss(model(source, target), target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses
    # END SOLUTION
    raise NotImplementedError("fit")


# %%
def test_training_returns_a_loss_for_each_batch():
    """There is a float for each batch, and the first is the loss of the model as it came."""
    model, batches = Guesser(13), [backwards(8)[:2] for _ in range(3)]
    first = translation_loss(model(*batches[0]), batches[0][1]).item()
    losses = fit(model, batches, lr=0.1)
    assert isinstance(losses, list) and len(losses) == 3, f"3 batches should give a list of 3 losses, not {losses}"
    assert all(type(loss) is float for loss in losses), f"plain floats, please, not {type(losses[0]).__name__}"
    assert abs(losses[0] - first) < 1e-5, f"the first loss should be {first:.4f}, measured before any step"


def test_the_first_step_of_adam():
    """The first step of Adam moves each weight that has a gradient by the learning rate."""
    model, batch = Guesser(13), backwards(8)[:2]
    before = model.table.weight.detach().clone()
    fit(model, [batch], lr=0.1)
    moved = (model.table.weight.detach() - before).abs()
    assert moved.max() > 0, "no weight has changed"
    assert abs(moved.max().item() - 0.1) < 1e-3, f"lr is 0.1, the largest move {moved.max().item():.3f}"


def test_what_can_be_guessed_is_learnt():
    """A language in which each word follows from the one before is learnt within 100 steps."""
    batch = torch.tensor([[7, EOS]]), torch.tensor([[BOS, 5, 6, 7, EOS]])
    losses = fit(Guesser(13), [batch] * 100, lr=0.1)
    assert losses[-1] < 0.1, f"the loss went from {losses[0]:.2f} to {losses[-1]:.2f} only"


# %% [markdown]
# ### The experiment
#
# How much of a sentence fits into one vector? We train the model without attention to write letters backwards,
# sentences of 1 to 12 letters, 400 batches, and then look at sentences of each length apart: how many of the words
# that it should say (the letters and `<eos>`) does it say, each at its place?
#
# Guess first: from the 10 letters alone, with nothing read, one would get about every tenth right.

# %%
def accuracy(model, source, target):
    """The share of target tokens, eos included, that `translate` puts in their place. Given."""
    right = target[:, 1:]
    written = model.translate(source, right.size(1))
    return (written == right)[right != PAD].double().mean().item()


# %%
if __name__ == "__main__":
    random.seed(2)
    torch.manual_seed(2)
    model_without = Seq2Seq(Encoder(13, 16, 32, 32), Decoder(13, 16, 32))
    batches = [backwards(32)[:2] for _ in range(400)]
    losses_without = fit(model_without, batches, lr=0.01)
    lengths = range(1, 13)
    without = [accuracy(model_without, *backwards(500, length, length)[:2]) for length in lengths]
    for length, share in zip(lengths, without):
        print(f"{length:2d} letters: {share:.2f}  {'█' * round(40 * share)}")

# %% [markdown]
# Report what you measured at 12 letters: a number between 0 and 1, with two decimals. It is graded: the grader trains
# such a model again, with other random numbers, and allows for chance.

# %%
accuracy_without_attention = None
# BEGIN SOLUTION NO PROMPT
accuracy_without_attention = 0.23
# END SOLUTION

# %% [markdown]
# ## Step 6. A decoder with attention (25 minutes)
#
# The sentence was read word by word, and there is an annotation of each word. It is only that nobody looks at them.
# Bahdanau, Cho and Bengio let the decoder look, before each word that it writes, with the state that it has **then**,
# $s_{i-1}$. Attention as in assignment 1 gives each annotation a weight $\alpha_{ij}$, and
#
# $$c_i = \sum_j \alpha_{ij} h_j, \qquad
# s_i = \operatorname{GRU}\big([\,E y_{i-1}\,;\ c_i\,],\ s_{i-1}\big), \qquad
# \text{logits}_i = W_o\,[\,s_i\,;\ c_i\,;\ E y_{i-1}\,] + b_o .$$
#
# So the **context** $c_i$, what was found in the source for this word, enters twice: it updates the state, and it
# has a say in the word itself. Three things are easily mixed up, so once more in words:
#
# * the query is the state **before** the update;
# * the cell is given the embedding **and then** the context;
# * the output is given the **new** state, then the context, then the embedding.
#
# (The paper has one more layer before the output, and gives it the old state. We keep to a simpler form.)
#
# The attention itself is given. It is the additive one, with one query per sentence. Its hidden layer has a single
# matrix for query and memory, one above the other, which makes no difference: $W[q\,;\,k] = W_a q + U_a k$. For each
# sentence it returns the **weights**, zero where the mask is false; where the mask leaves nothing to look at, all of
# them are zero, and so is the context. Mixing the memory is left to you.

# %%
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
        # BEGIN SOLUTION NO PROMPT
        word = self.embedding(token)  # (B, embedding)
        weights = self.attention(state, memory, mask)  # (B, S)
        context = torch.einsum("bs,bsm->bm", weights, memory)  # (B, memory)
        state = self.cell(torch.cat([word, context], dim=-1), state)  # (B, state)
        logits = self.output(torch.cat([state, context, word], dim=-1))  # (B, V)
        return logits, state, weights
        # END SOLUTION
        raise NotImplementedError("AttentionDecoder.step")


# %%
def test_a_step_with_attention_returns_three_things():
    """The answer is (logits, state, weights), of the right shapes, also for one sentence of one word."""
    decoder = AttentionDecoder(20, 5, 6, 8, 7)
    for count, length in ((2, 4), (1, 1)):
        mask = torch.ones(count, length, dtype=torch.bool)
        given = torch.full((count,), 9), torch.randn(count, 6), torch.randn(count, length, 8), mask
        answer = decoder.step(*given)
        assert isinstance(answer, tuple) and len(answer) == 3, "expected three things: logits, new state, weights"
        shapes = [tuple(tensor.shape) for tensor in answer]
        expected = [(count, 20), (count, 6), (count, length)]
        assert shapes == expected, f"batch of {count}, {length} words: expected the shapes {expected}, got {shapes}"


def test_the_query_is_the_state_before():
    """Where it looks depends on the state before, not on the word that is given now."""
    decoder = AttentionDecoder(20, 5, 6, 8, 7)
    state, memory, mask = torch.randn(2, 6), torch.randn(2, 4, 8), torch.ones(2, 4).bool()
    _, _, weights = decoder.step(torch.tensor([7, 8]), state, memory, mask)
    _, _, other_word = decoder.step(torch.tensor([9, 10]), state, memory, mask)
    _, _, other_state = decoder.step(torch.tensor([7, 8]), state + 1, memory, mask)
    assert torch.allclose(weights, other_word, atol=1e-6), (
        "another word gave other weights; it can only have come in by the update, which is too early"
    )
    assert not torch.allclose(weights, other_state, atol=1e-6), "another state gave the same weights"


def test_what_is_hidden_has_no_part():
    """A hidden place has no weight, and its memory no influence."""
    decoder = AttentionDecoder(20, 5, 6, 8, 7)
    token, state, memory = torch.tensor([7]), torch.randn(1, 6), torch.randn(1, 4, 8)
    mask = torch.tensor([[True, True, False, False]])
    logits, new, weights = decoder.step(token, state, memory, mask)
    assert (weights[0, :2] > 0).all() and (weights[0, 2:] == 0).all(), (
        f"the first two places may be seen and the others not; the weights are {weights[0].tolist()}"
    )
    memory[:, 2:] += 100
    others = decoder.step(token, state, memory, mask)
    same = torch.allclose(logits, others[0], atol=1e-5) and torch.allclose(new, others[1], atol=1e-5)
    assert same, "the memory at hidden places has changed, and the answer with it"


def test_the_context_enters_twice():
    """The context updates the state, and has a say in the word as well; so does the embedding."""
    decoder = AttentionDecoder(20, 5, 6, 8, 7)
    token, state = torch.tensor([7]), torch.randn(1, 6)
    memory = torch.randn(1, 1, 8)  # one place, so this is the context
    logits, new, _ = decoder.step(token, state, memory, torch.tensor([[True]]))
    expected = decoder.cell(torch.cat([decoder.embedding(token), memory[:, 0]], dim=1), state)
    assert torch.allclose(new, expected, atol=1e-6), "the new state is not cell([embedding; context], old state)"
    expected = decoder.output(torch.cat([new, memory[:, 0], decoder.embedding(token)], dim=1))
    assert torch.allclose(logits, expected, atol=1e-6), "the logits are not output([new state; context; embedding])"


# %% [markdown]
# ### The experiment, continued
#
# The same encoder, the same letters, the same number of steps; only the decoder is another. It takes about half a
# minute.

# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    random.seed(2)
    torch.manual_seed(2)
    model_with = Seq2Seq(Encoder(13, 16, 32, 32), AttentionDecoder(13, 16, 32, 64, 32))
    losses_with = fit(model_with, batches, lr=0.01)
    losses_guessing = fit(Guesser(13), batches, lr=0.01)
    attended = [accuracy(model_with, *backwards(500, length, length)[:2]) for length in lengths]
    more = sum(p.numel() for p in model_with.parameters()) - sum(p.numel() for p in model_without.parameters())
    print(f"12 letters without attention: {without[-1]:.2f}, with: {attended[-1]:.2f}")
    print(f"Attention adds {more} weights.")

    blue, red = "#2a6fbb", "#c44e52"
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    left.plot(lengths, attended, "o-", color=blue, lw=2)
    left.plot(lengths, without, "o-", color=red, lw=2)
    left.text(12, attended[-1] - 0.05, "with attention", color=blue, ha="right", va="top")
    left.text(12, without[-1] + 0.07, "without", color=red, ha="right", va="bottom")
    left.set(ylim=(0, 1.04), xticks=lengths, xlabel="letters in the sentence")
    left.set_title("Share of tokens in their place")
    curves = {"guesser": (losses_guessing, "0.6"), "without": (losses_without, red), "with": (losses_with, blue)}
    for name, (losses, colour) in curves.items():
        smooth = torch.tensor(losses).unfold(0, 10, 1).mean(dim=1)
        right.plot(range(10, len(losses) + 1), smooth, color=colour, lw=2)
        right.text(len(losses) + 5, smooth[-1], name, color=colour, va="center")
    right.set(xlim=(0, 480), ylim=(0, 3), xlabel="step", title="Loss while learning, nats per token")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    plt.show()

# %% [markdown]
# Without attention the accuracy falls from length to length: the state is as large for twelve letters as for one.
# With attention the decoder need not keep them in mind; it keeps track of *where it is*, and looks the letter up.
# Figure 2 of the paper shows the same for real sentences of up to 60 words.
#
# ## Step 7. Where did it look? (20 minutes)
#
# The weights of all steps, one row for each word that was written, make a matrix. Nobody has told the model which
# word of the source belongs to which of the target. It has found out, and the matrix shows it: this is Figure 3 of
# the paper, and the reason why attention became famous so fast.
#
# `alignment` collects it while the decoder is led by the teacher, as in `forward`: row $t$ holds the weights of the
# step that is given `target[:, t]` and should say `target[:, t + 1]`.

# %%
def alignment(model, source, target):
    """Where the decoder of `model` looks at each step, each step being given the right word before.

    model:   a Seq2Seq whose decoder has attention: model.encoder(...) and model.decoder.step(...)
    source:  (B, S) ids  target: (B, T) ids, bos ... eos
    returns  weights (B, T - 1, S)
    """
    # BEGIN SOLUTION NO PROMPT
    memory, state = model.encoder(source)
    mask = source != PAD  # (B, S)
    rows = []
    for t in range(target.size(1) - 1):
        _, state, weights = model.decoder.step(target[:, t], state, memory, mask)
        rows.append(weights)  # (B, S)
    return torch.stack(rows, dim=1)  # (B, T - 1, S)
    # END SOLUTION
    raise NotImplementedError("alignment")


# %%
def test_the_alignment_has_a_row_for_each_step():
    """T target tokens and S source tokens make T - 1 rows of S weights, each row summing to 1, none on pads."""
    model = Seq2Seq(Encoder(20, 5, 4, 6), AttentionDecoder(20, 5, 6, 8, 7))
    source = torch.tensor([[7, 8, 9, 10, EOS], [7, EOS, PAD, PAD, PAD]])
    target = torch.tensor([[BOS, 9, 10, EOS], [BOS, 9, EOS, PAD]])
    weights = alignment(model, source, target)
    assert tuple(weights.shape) == (2, 3, 5), f"expected the shape (2, 3, 5), got {tuple(weights.shape)}"
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 3), atol=1e-5), "a row does not sum to 1"
    assert (weights[1, :, 2:] == 0).all(), "there is some weight on a pad"


def test_the_first_rows_do_not_know_what_comes():
    """Row t knows of target[:, :t], and of nothing later."""
    model = Seq2Seq(Encoder(20, 5, 4, 6), AttentionDecoder(20, 5, 6, 8, 7))
    source = torch.tensor([[7, 8, 9, 10, EOS]])
    weights = alignment(model, source, torch.tensor([[BOS, 9, 10, 11, EOS]]))
    others = alignment(model, source, torch.tensor([[BOS, 9, 12, 11, EOS]]))
    assert torch.allclose(weights[:, :3], others[:, :3], atol=1e-6), "a row has changed with a word that comes later"
    assert not torch.allclose(weights[:, 3], others[:, 3], atol=1e-7), "a row has not changed with the word before it"


# %% [markdown]
# ### An encoder for the picture
#
# With the encoder of step 1 the picture is sometimes off by one word, although the translation is perfect. Why should
# it not be? An annotation holds the whole sentence, so the neighbour of the right word may tell as much. If the
# alignment is to *mean* something, each place of the memory must know of its own word only, and nothing must reach
# the decoder on another way. So here is an encoder that is not recurrent at all, the embedding of the word plus one of
# its position, and a start state of zero. Then the right word cannot be said without looking at the right place.
#
# Your `Seq2Seq`, your decoder and your `fit` work with it as they are.

# %%
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


# %%
if __name__ == "__main__":
    import matplotlib.pyplot as plt

    random.seed(3)
    torch.manual_seed(3)
    languages = {dates: (ENGLISH, FRENCH), number_words: (NUMBER_WORDS, DIGITS), backwards: (LETTERS, LETTERS)}
    models = {backwards: model_with}  # from the experiment, with the recurrent encoder
    for draw in (dates, number_words):
        source_words, target_words = languages[draw]
        decoder = AttentionDecoder(len(target_words), 32, 64, 64, 32)
        models[draw] = Seq2Seq(WordEncoder(len(source_words), 12, 64, 64), decoder)
        fit(models[draw], [draw(64)[:2] for _ in range(300)], lr=0.005)

    panels = (dates, 5), (dates, 24), (number_words, 8), (backwards, 4)
    figure, axes = plt.subplots(1, 4, figsize=(14, 4.6), layout="constrained")
    for axis, (draw, seed) in zip(axes, panels):
        random.seed(seed)
        source, target, _ = draw(1, 7, 7) if draw is backwards else draw(1)
        with torch.no_grad():
            weights = alignment(models[draw], source, target)[0]
        written = models[draw].translate(source, target.size(1) - 1)[0]
        source_words, target_words = languages[draw]
        axis.imshow(weights, cmap="gray", vmin=0, vmax=1)
        axis.xaxis.tick_top()
        axis.set_xticks(range(source.size(1)), [source_words[i] for i in source[0]], rotation=90, fontsize=12)
        axis.set_yticks(range(len(written)), [target_words[i] for i in written], fontsize=12)
        axis.tick_params(length=0)
    plt.show()

# %% [markdown]
# Each row is a word that was written, each column a word that was read, and white is a weight of 1, as in the paper.
# Follow a row from left to right to see where its word was found. The French dates begin with the day, wherever the
# English ones have it; the number words skip "hundred" and "and"; the letters run backwards, and there, with the
# recurrent encoder, you may see a bright square stray by one.
#
# Because we know the right links, we can also count: how often is the brightest place the right one, and how much of
# the weight lies there?

# %%
if __name__ == "__main__":
    for draw, model in models.items():
        source, target, links = draw(500)
        with torch.no_grad():
            weights = alignment(model, source, target)
        known = links >= 0
        exact = (model.translate(source, target.size(1) - 1) == target[:, 1:]).all(dim=1).double().mean().item()
        right = (weights.argmax(dim=-1) == links)[known].double().mean().item()
        mass = weights.gather(2, links.clamp(min=0).unsqueeze(2)).squeeze(2)[known].mean().item()
        print(f"{draw.__name__:>12}: {exact:6.1%} of the sentences right, "
              f"{right:6.1%} looked up in the right place, {mass:.0%} of the weight there")

# %% [markdown]
# ## What to take along
#
# * An encoder turns a sentence into a memory, a decoder writes from it, one word after the other. Teacher forcing in
#   training and greedy search in use differ only in which word is fed to the next step.
# * A single vector between the two is a bottleneck, and long sentences suffer from it. Attention does away with it:
#   the decoder looks at all annotations, before each word anew.
# * The weights of attention are an alignment, found without having been taught. They show where the decoder *looked*,
#   which need not be where the information *came from*: that is only certain if there is no other way.
# * One thing remains slow. State follows state, so a sentence of $S$ words takes $S$ steps that cannot be done at
#   once, in training too. If attention can look anywhere, what is the recurrent network good for? That question leads
#   to the Transformer, in assignment 5.
#
# ## What the hidden tests look at
#
# Every step apart: values in float32 and float64; gradients; padding, in the source and in the target; items of a batch
# that know nothing of each other; sentences of one word and batches of one; the teacher's words, and no later ones;
# sentences that end at different times; the weights of your model after `fit`, on a few batches; your number. Then two
# models of yours are trained, on dates and on number words drawn for you, and it is counted how many sentences they get
# right and how often they look at the right word.
#
# ## Where to read on
#
# * D. Bahdanau, K. Cho, Y. Bengio: *Neural Machine Translation by Jointly Learning to Align and Translate*, ICLR 2015,
#   [arXiv:1409.0473](https://arxiv.org/abs/1409.0473). Section 3 and Appendix A.2 are this assignment; Figure 2 is your
#   experiment, Figure 3 your picture.
# * K. Cho et al.: *Learning Phrase Representations using RNN Encoder–Decoder for Statistical Machine Translation*,
#   EMNLP 2014, [arXiv:1406.1078](https://arxiv.org/abs/1406.1078). The machine without attention, and the GRU.
# * I. Sutskever, O. Vinyals, Q. V. Le: *Sequence to Sequence Learning with Neural Networks*, NeurIPS 2014,
#   [arXiv:1409.3215](https://arxiv.org/abs/1409.3215). The same with LSTMs; it read the source backwards. Can you say
#   why that helped?
