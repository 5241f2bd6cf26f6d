"""The public tests of 'Sequence to sequence': run `pytest` in this folder."""

import math

import torch
from torch import nn

from a2_seq2seq import (
    AttentionDecoder,
    BOS,
    Decoder,
    EOS,
    Encoder,
    Guesser,
    PAD,
    Seq2Seq,
    alignment,
    backwards,
    fit,
    translation_loss,
)


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
