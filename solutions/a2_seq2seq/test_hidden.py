"""What an encoder, two decoders and what makes a translator of them must do, step by step.

Each step is judged by itself: the steps it builds on may be lent, so nothing is lost twice. A few checks compare with
the reference; the others compare the student's answers with one another, or with answers that were worked out by hand
for weights that were chosen for it. Two models are trained, on data that was drawn for this submission.
"""

import functools
import random

import pytest
import torch
from torch import nn
from torch.testing import assert_close

PAD, BOS, EOS = 0, 1, 2
SINGLE, DOUBLE = torch.float32, torch.float64
ROUNDING = {SINGLE: (1e-4, 1e-5), DOUBLE: (1e-9, 1e-9)}


def draw(device, *shape, dtype=SINGLE):
    """Normal numbers, the same on every device."""
    return torch.randn(shape, dtype=DOUBLE).to(device, dtype)


def sentences(device, lengths, vocab_size, width=0):
    """Rows of so many tokens, random words and an eos, pads behind them; at least `width` columns."""
    rows = [torch.tensor([*torch.randint(3, vocab_size, (length - 1,)), EOS]) for length in lengths]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
    return nn.functional.pad(ids, (0, max(width - ids.size(1), 0)), value=PAD).to(device)


def targets(device, lengths, vocab_size):
    """The same as targets: bos, so many words, eos, pads."""
    ids = sentences("cpu", [length + 1 for length in lengths], vocab_size)
    return nn.functional.pad(ids, (1, 0), value=BOS).to(device)


def draw_weights(module):
    """For a module of the reference: weights with which gates are half open and no softmax is flat or saturated.

    Embeddings are of size 1, matrices keep the size of what they are given, biases are not forgotten.
    """
    weights = {}
    for name, tensor in module.state_dict().items():
        if "embedding" in name or "words" in name or "places" in name or "table" in name:
            size = 1.0
        elif tensor.dim() == 1:
            size = 0.5
        else:
            size = 2.5 if "score" in name else 1.2 / tensor.size(1) ** 0.5
        weights[name] = size * torch.randn(tensor.shape, dtype=DOUBLE)
    if "output.bias" in weights:
        weights["output.bias"][[PAD, BOS, EOS]] -= 20  # never written: where sentences end is another check
    return weights


class Pair:
    """A module of the student's and the reference's, with the same weights."""

    def __init__(self, student, reference, device, name, *sizes, dtype=SINGLE, weights=None):
        twin = getattr(reference, name)(*sizes)
        self.weights = weights or draw_weights(twin)
        self.right = twin.to(device, dtype)
        self.right.load_state_dict(self.weights)
        self.mine = getattr(student, name)(*sizes).to(device)
        if dtype != SINGLE:
            self.mine.to(dtype)
        self.mine.load_weights({key: tensor.to(device, dtype) for key, tensor in self.weights.items()})


def encoder_of(student, reference, device, dtype=SINGLE):
    """20 words, embedding 5, hidden 4, state 6."""
    return Pair(student, reference, device, "Encoder", 20, 5, 4, 6, dtype=dtype)


def plain_of(student, reference, device, dtype=SINGLE):
    """13 words, embedding 7, state 6."""
    return Pair(student, reference, device, "Decoder", 13, 7, 6, dtype=dtype)


def attentive_of(student, reference, device, dtype=SINGLE):
    """13 words, embedding 7, state 6, memory 8, hidden 9."""
    return Pair(student, reference, device, "AttentionDecoder", 13, 7, 6, 8, 9, dtype=dtype)


class Translators:
    """The student's Seq2Seq and the reference's, of the same parts."""

    def __init__(self, student, reference, encoder, decoder):
        self.mine = student.Seq2Seq(encoder.mine, decoder.mine)
        self.right = reference.Seq2Seq(encoder.right, decoder.right)


def translators(student, reference, device, dtype=SINGLE, attention=True):
    encoder = encoder_of(student, reference, device, dtype)
    decoder = (attentive_of if attention else plain_of)(student, reference, device, dtype)
    return Translators(student, reference, encoder, decoder)


def several(answer, count, what):
    """The results, if that many came back."""
    assert isinstance(answer, (tuple, list)), f"expected {what}, got {type(answer).__name__}"
    assert len(answer) == count, f"expected {what}, got {len(answer)} results"
    return answer


def read(encoder, source):
    """Memory and start state."""
    memory, start = several(encoder(source), 2, "(memory, start state)")
    assert isinstance(memory, torch.Tensor) and isinstance(start, torch.Tensor), "expected two tensors"
    return memory, start


def plain_step(decoder, *given):
    logits, state, weights = several(decoder.step(*given), 3, "(logits, state, None)")
    assert isinstance(logits, torch.Tensor) and isinstance(state, torch.Tensor), "expected two tensors and None"
    assert weights is None, f"a decoder without attention returned weights: {type(weights).__name__}"
    return logits, state


def attentive_step(decoder, *given):
    answer = several(decoder.step(*given), 3, "(logits, state, weights)")
    assert all(isinstance(part, torch.Tensor) for part in answer), "expected three tensors"
    return answer


def tensor(answer, what):
    assert isinstance(answer, torch.Tensor), f"expected {what}, got {type(answer).__name__}"
    return answer


def close(answer, expected, rounding=None):
    """Same shape, dtype and device, and the same values within rounding."""
    rtol, atol = rounding or ROUNDING[expected.dtype]
    assert_close(answer, expected, rtol=rtol, atol=atol)


def agree(answer, expected, rounding=None):
    for part, wanted in zip(answer, expected, strict=True):
        close(part, wanted, rounding)


def differ(one, other, what):
    assert (one - other).abs().max() > 1e-3, what


def slopes_are_right(run, tensors):
    """The gradients of `tensors` promise how far small steps move a mixture of the results. Changes them; float64."""
    results = run()
    assert all(result.requires_grad for result in results), "a result is cut off from what it is made of"
    factors = [draw(result.device, *result.shape, dtype=DOUBLE) for result in results]

    def mixture(results):
        return sum((result * factor).sum() for result, factor in zip(results, factors, strict=True))

    found = torch.autograd.grad(mixture(results), tensors, allow_unused=True)
    missing = sum(gradient is None or not (gradient != 0).any() for gradient in found)
    assert not missing, f"no gradient arrives at {missing} of {len(tensors)} tensors"
    assert all(gradient.isfinite().all() for gradient in found), "NaN or inf in a gradient"
    steps = [1e-6 * draw(tensor.device, *tensor.shape, dtype=DOUBLE) for tensor in tensors]
    promised = sum((gradient * step).sum() for gradient, step in zip(found, steps, strict=True))
    with torch.no_grad():
        moved = []
        for factor in (1, -2):
            for tensor, step in zip(tensors, steps, strict=True):
                tensor.add_(factor * step)
            moved.append(mixture(run()))
    close(1e6 * promised, 1e6 * (moved[0] - moved[1]) / 2, rounding=(1e-5, 1e-5))


# Step 1: the encoder


@pytest.mark.points(2)
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@torch.no_grad()
def test_encoder_agrees_with_the_reference(student, reference, device, dtype):
    """Encoder: memory and start state are right for given weights, in float32 and float64."""
    encoder = encoder_of(student, reference, device, dtype)
    source = sentences(device, (4, 7, 2, 5), 20)
    agree(read(encoder.mine, source), encoder.right(source))


@pytest.mark.points(1)
@torch.no_grad()
def test_encoder_does_not_read_pads(student, reference, device):
    """Encoder: a sentence has the same memory and start state whatever stands below it and however many pads behind."""
    encoder = encoder_of(student, reference, device)
    source = sentences(device, (3, 6, 1, 5), 20, width=8)
    memory, start = read(encoder.mine, source)
    assert (memory.shape, start.shape) == ((4, 8, 8), (4, 6))
    differ(memory[0], memory[1], "every sentence has the same memory")
    for row, length in enumerate((3, 6, 1, 5)):
        alone = read(encoder.mine, source[row : row + 1, :length])
        agree(alone, (memory[row : row + 1, :length], start[row : row + 1]))


@pytest.mark.points(0.5)
@torch.no_grad()
def test_encoder_has_no_memory_of_pads(student, reference, device):
    """Encoder: there is a place of memory for each pad, and it is zero."""
    source = sentences(device, (3, 6, 1), 20, width=9)
    memory, _ = read(encoder_of(student, reference, device).mine, source)
    assert memory.shape == (3, 9, 8)
    assert (memory[source == PAD] == 0).all(), "the memory at a pad is not zero"
    assert (memory[source != PAD] != 0).all(), "the memory at a word is zero"


@pytest.mark.points(1)
@torch.no_grad()
def test_encoder_starts_the_decoder(student, reference, device):
    """Encoder: the start state is tanh(bridge(backward state at position 0))."""
    encoder = encoder_of(student, reference, device)
    memory, start = read(encoder.mine, sentences(device, (3, 6, 1), 20))
    assert memory.shape == (3, 6, 8)
    differ(memory[0, 0], memory[1, 0], "every sentence has the same memory")
    weight, bias = (encoder.weights[f"bridge.{name}"].to(device, SINGLE) for name in ("weight", "bias"))
    close(start, torch.tanh(memory[:, 0, 4:] @ weight.T + bias))


@pytest.mark.points(0.5)
def test_encoder_learns(student, reference, device):
    """Encoder: the gradients of all weights agree with finite differences."""
    encoder, source = encoder_of(student, reference, device, DOUBLE).mine, sentences(device, (2, 5, 3), 20)
    slopes_are_right(lambda: read(encoder, source), list(encoder.parameters()))


@pytest.mark.points(0.5)
@torch.no_grad()
def test_encoder_takes_one_of_each(student, reference, device, changed_arguments):
    """Encoder: a batch of one, a sentence of one word, rows cut from a larger tensor; nothing is changed in place."""
    encoder = encoder_of(student, reference, device).mine
    source = sentences(device, (7, 4, 7), 20)
    for cut in (source[:1, 6:], source[::2, 5:], source[::2, ::2], source[1:, ::3]):
        answer = read(encoder, cut)
        assert [part.shape for part in answer] == [(*cut.shape, 8), (len(cut), 6)]
        agree(read(encoder, cut.clone()), answer)
    assert not changed_arguments, changed_arguments


# Step 2: the decoder without attention


def given_to_step(device, dtype=SINGLE, batch=3, width=5):
    """Tokens, a state of 6, a memory of 8 (both of them views), a mask: all see the first place, none the last."""
    token = (3 + torch.randperm(10)[:batch]).to(device)
    mask = torch.rand(batch, width) < 0.5
    mask[::2, 1:2], mask[1::2, 1:2], mask[:, 2:3] = True, False, True
    mask[:, -1], mask[:, 0] = False, True
    state, memory = 0.6 * draw(device, batch, 12, dtype=dtype)[:, ::2], draw(device, width, batch, 8, dtype=dtype)
    return token, state, memory.transpose(0, 1), mask.to(device)


@pytest.mark.points(1.5)
@pytest.mark.parametrize(("dtype", "batch"), [(DOUBLE, 3), (SINGLE, 1)], ids=str)
@torch.no_grad()
def test_decoder_agrees_with_the_reference(student, reference, device, dtype, batch):
    """Decoder: logits and new state of one step are right for given weights, in float32 and float64."""
    decoder = plain_of(student, reference, device, dtype)
    given = given_to_step(device, dtype, batch)
    agree(plain_step(decoder.mine, *given), decoder.right.step(*given)[:2])


@pytest.mark.points(0.5)
@torch.no_grad()
def test_decoder_does_not_look_at_the_source(student, reference, device, changed_arguments):
    """Decoder: memory and mask, of whatever width, have no influence; and nothing is changed in place."""
    decoder = plain_of(student, reference, device)
    token, state, memory, mask = given_to_step(device)
    answer = plain_step(decoder.mine, token, state, memory, mask)
    differ(answer[0][0], answer[0][1], "every item has the same logits")
    agree(plain_step(decoder.mine, token, state, draw(device, 3, 2, 11), ~mask[:, :2]), answer)
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
def test_decoder_learns(student, reference, device):
    """Decoder: the gradients of all weights and of the state agree with finite differences, through two steps."""
    decoder = plain_of(student, reference, device, DOUBLE).mine
    token, state, memory, mask = given_to_step(device, DOUBLE)
    state = state.clone().requires_grad_()

    def two_steps():
        first, between = plain_step(decoder, token, state, memory, mask)
        return first, *plain_step(decoder, token.flip(0), between, memory, mask)

    slopes_are_right(two_steps, [*decoder.parameters(), state])


# Step 6: the decoder with attention


@pytest.mark.points(2)
@pytest.mark.parametrize(("dtype", "batch"), [(DOUBLE, 3), (SINGLE, 4)], ids=str)
@torch.no_grad()
def test_attention_agrees_with_the_reference(student, reference, device, dtype, batch):
    """AttentionDecoder: logits, new state and weights of one step are right, in float32 and float64."""
    decoder = attentive_of(student, reference, device, dtype)
    given = given_to_step(device, dtype, batch)
    agree(attentive_step(decoder.mine, *given), decoder.right.step(*given))


@pytest.mark.points(1)
@torch.no_grad()
def test_attention_asks_with_the_state_before(student, reference, device):
    """AttentionDecoder: where it looks depends on the state before the update, not on the word that is given."""
    decoder = attentive_of(student, reference, device)
    token, state, memory, mask = given_to_step(device)
    logits, _, weights = attentive_step(decoder.mine, token, state, memory, mask)
    assert weights.shape == (3, 5)
    other, _, same = attentive_step(decoder.mine, token % 10 + 3, state, memory, mask)
    differ(logits, other, "another word gave the same logits")
    close(same, weights)
    mask[:, 1:4] = True
    _, _, weights = attentive_step(decoder.mine, token, state, memory, mask)
    _, _, moved = attentive_step(decoder.mine, token, -state, memory, mask)
    differ(weights, moved, "another state gave the same weights")


@pytest.mark.points(1)
@torch.no_grad()
def test_attention_hides_what_is_masked(student, reference, device):
    """AttentionDecoder: weights are shares of what may be seen; what is hidden has none, and no influence."""
    decoder = attentive_of(student, reference, device)
    token, state, memory, mask = given_to_step(device)
    answer = attentive_step(decoder.mine, token, state, memory, mask)
    weights = answer[2]
    assert weights.shape == (3, 5)
    assert (weights[~mask] == 0).all(), "a hidden place has some weight"
    assert (weights[mask] > 0).all(), "a place that may be seen has none"
    close(weights.sum(dim=1), torch.ones(3, device=device))
    other = torch.where(mask.unsqueeze(-1), memory, 30 * draw(device, 3, 5, 8))
    agree(attentive_step(decoder.mine, token, state, other, mask), answer)
    agree(attentive_step(decoder.mine, token, state, memory[:, :4], mask[:, :4])[:2], answer[:2])
    everywhere = torch.ones_like(mask)
    assert (attentive_step(decoder.mine, token, state, memory, everywhere)[2] > 0).all(), "nothing is hidden"


@pytest.mark.points(0.5)
@torch.no_grad()
def test_attention_mixes_the_memory(student, reference, device):
    """AttentionDecoder: logits and state depend on the memory through its mixture by the weights alone."""
    decoder = attentive_of(student, reference, device)
    token, state, memory, mask = given_to_step(device)
    logits, new, weights = attentive_step(decoder.mine, token, state, memory, mask)
    assert weights.shape == (3, 5)
    order = torch.randperm(5).to(device)
    answer = attentive_step(decoder.mine, token, state, memory[:, order], mask[:, order])
    agree(answer, (logits, new, weights[:, order]))
    mixed = (weights.unsqueeze(-1) * memory).sum(dim=1, keepdim=True)
    alone = attentive_step(decoder.mine, token, state, mixed, mask[:, :1])  # one place only: all the weight is there
    agree(alone, (logits, new, torch.ones(3, 1, device=device)))


@pytest.mark.points(0.5)
@torch.no_grad()
def test_attention_answers_each_item_alone(student, reference, device, changed_arguments):
    """AttentionDecoder: the same alone as among others, for sentences of one word too; nothing is changed in place."""
    decoder = attentive_of(student, reference, device)
    for width in (4, 1):
        token, state, memory, mask = given_to_step(device, width=width)
        mask[:, 0] = True
        answer = attentive_step(decoder.mine, token, state, memory, mask)
        assert [part.shape for part in answer] == [(3, 13), (3, 6), (3, width)]
        differ(answer[0][0], answer[0][1], "every item has the same logits")
        for row in range(3):
            item = slice(row, row + 1)
            alone = attentive_step(decoder.mine, token[item], state[item], memory[item], mask[item])
            agree(alone, [part[item] for part in answer])
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
def test_attention_survives_an_empty_row(student, reference, device):
    """AttentionDecoder: where nothing may be seen, weights and context are zero, and no gradient is NaN."""
    decoder = attentive_of(student, reference, device, DOUBLE).mine
    parameters = list(decoder.parameters())
    token, state, memory, mask = given_to_step(device, DOUBLE)
    mask[1] = False
    logits, new, weights = attentive_step(decoder, token, state, memory, mask)
    assert weights.shape == (3, 5) and (weights[1] == 0).all(), "there are weights where nothing may be seen"
    nothing = attentive_step(decoder, token, state, torch.zeros_like(memory), torch.ones_like(mask))
    close(logits[1], nothing[0][1])
    close(new[1], nothing[1][1])
    mixture = (logits * draw(device, 3, 13)).sum() + (new * draw(device, 3, 6)).sum() + (weights**2).sum()
    for gradient in torch.autograd.grad(mixture, parameters, allow_unused=True):
        assert gradient is None or gradient.isfinite().all(), "NaN or inf in a gradient"


@pytest.mark.points(1)
def test_attention_learns(student, reference, device):
    """AttentionDecoder: the gradients of weights, state and memory agree with finite differences, through two steps."""
    decoder = attentive_of(student, reference, device, DOUBLE).mine
    token, state, memory, mask = given_to_step(device, DOUBLE)
    mask[:, 1:4] = True
    state, memory = state.clone().requires_grad_(), memory.clone().requires_grad_()

    def two_steps():
        logits, between, weights = attentive_step(decoder, token, state, memory, mask)
        return logits, weights, *attentive_step(decoder, token.flip(0), between, memory, mask)

    slopes_are_right(two_steps, [*decoder.parameters(), state, memory])


# Step 3: a whole sentence, and its loss


def words_of(target):
    """Where a target has something to say, for logits (B, T - 1, V)."""
    return target[:, 1:] != PAD


@pytest.mark.points(2)
@pytest.mark.stand_in("Encoder", "Decoder", "AttentionDecoder")
@pytest.mark.parametrize(("attention", "dtype"), [(False, DOUBLE), (True, SINGLE)], ids=["without", "with attention"])
@torch.no_grad()
def test_forward_agrees_with_the_reference(student, reference, device, attention, dtype):
    """Seq2Seq.forward: the logits are right for given weights, with either decoder."""
    both = translators(student, reference, device, dtype, attention)
    source, target = sentences(device, (4, 2, 6), 20), targets(device, (3, 5, 1), 13)
    logits = tensor(both.mine(source, target), "logits")
    expected = both.right(source, target)
    assert logits.shape == expected.shape
    close(logits[words_of(target)], expected[words_of(target)])


@pytest.mark.points(1)
@pytest.mark.stand_in("Encoder", "Decoder")
@torch.no_grad()
def test_forward_follows_the_teacher(student, reference, device):
    """Seq2Seq.forward: logits[:, t] depend on target[:, :t + 1], all of it, and on no later word."""
    model = translators(student, reference, device, attention=False).mine
    source, target = sentences(device, (4, 3), 20), targets(device, (6, 6), 13)
    logits = tensor(model(source, target), "logits")
    assert logits.shape == (2, 7, 13)
    for place in (2, 4):
        changed = target.clone()
        changed[:, place] = 3 + (changed[:, place] - 3 + torch.randint(1, 10, (2,)).to(device)) % 10
        others = tensor(model(source, changed), "logits")
        close(others[:, :place], logits[:, :place])
        for t in range(place, place + 2):
            moved = (others[:, t] - logits[:, t]).abs().amax(dim=-1)
            assert (moved > 1e-5).all(), "a word has no influence on what follows"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("Encoder", "AttentionDecoder")
@torch.no_grad()
def test_forward_takes_items_one_by_one(student, reference, device):
    """Seq2Seq.forward: neither the other items nor the pads behind source and target have any influence."""
    model = translators(student, reference, device).mine
    source, target = sentences(device, (1, 6, 4), 20, width=8), targets(device, (4, 0, 2), 13)
    logits = tensor(model(source, target), "logits")
    assert logits.shape == (3, 5, 13)
    differ(logits[0, 0], logits[1, 0], "every item has the same logits")
    for row, (read, said) in enumerate(((1, 4), (6, 0), (4, 2))):
        alone = tensor(model(source[row : row + 1, :read], target[row : row + 1, : said + 2]), "logits")
        close(alone, logits[row : row + 1, : said + 1])


@pytest.mark.points(0.5)
@pytest.mark.stand_in("Encoder", "AttentionDecoder")
def test_forward_learns(student, reference, device):
    """Seq2Seq.forward: the gradients of all weights, the encoder's too, agree with finite differences."""
    source, target = sentences(device, (2, 4), 20), targets(device, (3, 3), 13)
    model = translators(student, reference, device, DOUBLE).mine
    slopes_are_right(lambda: [tensor(model(source, target), "logits")], list(model.parameters()))


@pytest.mark.points(1)
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
def test_loss_agrees_with_the_formula(student, device, dtype):
    """translation_loss: the mean over all tokens that should be said, sentences of different lengths among them."""
    logits, target = 2 * draw(device, 3, 6, 9, dtype=dtype), targets(device, (5, 2, 0), 9)
    loss = tensor(student.translation_loss(logits, target), "a tensor")
    chances = logits.double().softmax(dim=-1)
    places = [(row, t) for row, said in enumerate((5, 2, 0)) for t in range(said + 1)]
    terms = torch.stack([-chances[row, t, target[row, t + 1]].log() for row, t in places])
    close(loss, terms.mean().to(dtype))


@pytest.mark.points(0.5)
def test_loss_leaves_pads_out(student, device):
    """translation_loss: logits where a pad would have to be said change nothing, and a pad more does not either."""
    logits, target = draw(device, 2, 5, 9), targets(device, (4, 1), 9)
    loss = tensor(student.translation_loss(logits, target), "a tensor")
    assert loss.shape == ()
    other = logits.clone()
    other[1, 2:] = 5 * draw(device, 3, 9)
    close(student.translation_loss(other, target), loss)
    longer = torch.cat([logits, draw(device, 2, 2, 9)], dim=1)
    close(student.translation_loss(longer, nn.functional.pad(target, (0, 2), value=PAD)), loss)
    said = logits.clone()
    said[1, 1, EOS] += 3
    differ(student.translation_loss(said, target), loss, "what is thought of eos makes no difference")


@pytest.mark.points(0.5)
def test_loss_can_be_learnt_from(student, device, changed_arguments):
    """translation_loss: its gradient agrees with finite differences; transposed logits will do; nothing is changed."""
    logits, target = draw(device, 4, 3, 7, dtype=DOUBLE).transpose(0, 1), targets(device, (3, 1, 2), 7)
    close(student.translation_loss(logits, target), student.translation_loss(logits.clone(), target))
    logits = logits.clone().requires_grad_()
    slopes_are_right(lambda: [tensor(student.translation_loss(logits, target), "a tensor")], [logits])
    assert not changed_arguments, changed_arguments


# Step 4: writing alone


@pytest.mark.points(1.5)
@pytest.mark.stand_in("Encoder", "Decoder", "AttentionDecoder")
@pytest.mark.parametrize("attention", [False, True], ids=["without", "with attention"])
@torch.no_grad()
def test_translate_is_greedy(student, reference, device, attention):
    """Seq2Seq.translate: each word is the best one after the words before it, with either decoder."""
    both = translators(student, reference, device, DOUBLE, attention)
    source = sentences(device, [4] * 40, 20)
    written = tensor(both.mine.translate(source, 6), "ids")
    assert written.shape == (40, 6), f"40 sentences, 6 columns: {tuple(written.shape)}"
    assert written.dtype == torch.int64 and written.device.type == device.type, f"{written.dtype}, {written.device}"
    assert (written >= 0).all() and (written < 13).all(), "ids that are no words"
    best = both.right(source, nn.functional.pad(written, (1, 0), value=BOS)).argmax(dim=-1)
    assert torch.equal(best, written), "a word is not the best one after those before it"
    if not attention:
        written = tensor(alternator(student, reference, device).translate(source[:2], 5), "ids")
        assert written.tolist() == 2 * [[4, 3, 4, 3, 4]], "the state of one step is not given to the next"


def alternator(student, reference, device):
    """A translator without attention whose state changes its sign at each step: words 4, 3, 4, 3, ..."""
    weights = {
        "embedding.weight": torch.zeros(5, 1),
        "cell.weight_ih": torch.zeros(3, 1),
        "cell.weight_hh": torch.tensor([[0.0], [0.0], [-8.0]]),  # the new state is tanh(2 - 8 old)
        "cell.bias_ih": torch.tensor([30.0, -30.0, 2.0]),
        "cell.bias_hh": torch.zeros(3),
        "output.weight": torch.tensor([[0.0], [0.0], [0.0], [-9.0], [9.0]]),
        "output.bias": torch.tensor([-5.0, -5.0, -5.0, 0.0, 0.0]),
    }
    decoder = Pair(student, reference, device, "Decoder", 5, 1, 1, weights=weights)
    places = {"words.weight": torch.zeros(20, 1), "places.weight": torch.zeros(8, 1)}
    encoder = Pair(student, reference, device, "WordEncoder", 20, 8, 1, 1, weights=places)
    return student.Seq2Seq(encoder.mine, decoder.mine)


def counter(student, reference, device, ties=()):
    """A translator that counts: given 3 + n and eos it writes 3, 4, 5, ... n words, then eos; given 11, without end.

    Worked out by hand. Its encoder is WordEncoder, and the context is the mean of word and eos; the state plays no
    part. ties: words that are as likely as 3 at the first place.
    """
    words, memory, state = 12, 12, 2
    sizes = (words, words, state, memory, 2)
    shapes = {name: weight.shape for name, weight in reference.AttentionDecoder(*sizes).state_dict().items()}
    weights = {name: torch.zeros(shape, dtype=DOUBLE) for name, shape in shapes.items()}
    weights["embedding.weight"] = torch.eye(words, dtype=DOUBLE)
    by_context, by_word = weights["output.weight"][:, state:].split([memory, words], dim=1)
    by_word[3, BOS] = by_word[list(ties), BOS] = 10.0
    by_word[EOS, BOS] = 0.0
    by_word[5, EOS] = 40.0  # who reads its own eos goes on with words
    for word in range(3, words):
        by_word[3 + (word - 2) % (words - 3), word] = 10.0
        by_word[EOS, word] = word - 2  # so many words have been written
        by_context[EOS, word] = 2 * (10.5 - (word - 3))
    by_context[EOS, words - 1] = -40.0  # the last word asks for counting without end
    weights["output.bias"][[PAD, BOS]] = -30.0
    decoder = Pair(student, reference, device, "AttentionDecoder", *sizes, dtype=DOUBLE, weights=weights)
    places = {"words.weight": torch.eye(words, dtype=DOUBLE), "places.weight": torch.zeros(4, memory, dtype=DOUBLE)}
    encoder = Pair(student, reference, device, "WordEncoder", words, 4, memory, state, dtype=DOUBLE, weights=places)
    return student.Seq2Seq(encoder.mine, decoder.mine)


def numbers(device, *values):
    """What the counter is given, with two pads behind."""
    return torch.tensor([[3 + value, EOS, PAD, PAD] for value in values], device=device)


def count_to(number, width, last=11):
    """What the counter should write."""
    words = [3 + i % 9 for i in range(width)] if number == last - 3 else [*range(3, 3 + number), EOS]
    return (words + [PAD] * width)[:width]


@pytest.mark.points(1)
@pytest.mark.stand_in("AttentionDecoder")
@torch.no_grad()
def test_translate_ends_each_sentence(student, reference, device):
    """Seq2Seq.translate: each sentence ends with its own eos, then pads; pads in the source make no difference."""
    model = counter(student, reference, device)
    wanted = [3, 1, 6, 0, 8, 4]
    random.shuffle(wanted)
    for width in (5, 9):
        written = tensor(model.translate(numbers(device, *wanted), width), "ids")
        assert written.tolist() == [count_to(number, width) for number in wanted]
    short = tensor(model.translate(numbers(device, 0, 2), 7), "ids")  # all end before the limit
    assert short.tolist() == [count_to(0, 7), count_to(2, 7)]


@pytest.mark.points(0.5)
@pytest.mark.stand_in("AttentionDecoder")
@torch.no_grad()
def test_translate_takes_the_lowest_of_equals(student, reference, device):
    """Seq2Seq.translate: of several words with the highest logit it takes the lowest id."""
    for ties in ((7, 5), (4, 11)):
        model = counter(student, reference, device, ties=ties)
        written = tensor(model.translate(numbers(device, 4)[:, :2], 5), "ids")
        assert written.tolist() == [count_to(4, 5)]


@pytest.mark.points(0.5)
@pytest.mark.stand_in("Encoder", "Decoder")
def test_translate_takes_one_of_each(student, reference, device, changed_arguments):
    """Seq2Seq.translate: one sentence, one word, one step, the same alone as among others; nothing is changed."""
    model = translators(student, reference, device, DOUBLE, attention=False).mine
    source = sentences(device, (1, 5, 3), 20)
    together = tensor(model.translate(source, 4), "ids")
    assert together.shape == (3, 4) and not together.requires_grad
    assert tensor(model.translate(source[:1, :1], 4), "ids").tolist() == together[:1].tolist()
    assert tensor(model.translate(source[2:, :3], 1), "ids").tolist() == together[2:, :1].tolist()
    assert not changed_arguments, changed_arguments


# Step 7: where it looked


@pytest.mark.points(1)
@pytest.mark.stand_in("Encoder", "AttentionDecoder")
@torch.no_grad()
def test_alignment_agrees_with_the_reference(student, reference, device):
    """alignment: a row of weights for each step, led by the teacher, zero on pads."""
    both = translators(student, reference, device)
    source, target = sentences(device, (4, 2, 6), 20), targets(device, (3, 5, 1), 13)
    weights = tensor(student.alignment(both.mine, source, target), "a tensor")
    expected = reference.alignment(both.right, source, target)
    assert weights.shape == expected.shape
    close(weights[words_of(target)], expected[words_of(target)])


# Step 5: training, and the experiment


def guessing(student, reference, device):
    """A pair of guessers of 9 words, and ten batches. The third one's gradient has a norm above 1."""
    table = 2 * draw("cpu", 9, 9, dtype=DOUBLE)
    batches = [targets("cpu", lengths, 9) for lengths in ((4, 6, 2), (5, 3), *[(6, 6, 3, 1)] * 7)]
    batches.insert(2, surprise(table[BOS]))
    pairs = [(sentences(device, [3] * len(target), 9), target.to(device)) for target in batches]
    return Pair(student, reference, device, "Guesser", 9, dtype=DOUBLE, weights={"table.weight": table}), pairs


def surprise(logits):
    """A target of one word, the last that is expected first."""
    return torch.tensor([[BOS, 3 + int(logits[3:].argmin())]])


def deeper(student, reference, device, batches):
    """A pair of guessers with two layers in place of the table, and the batches with a loud one before them.

    That one's gradient has a norm above 1, and single numbers above 1.
    """
    guesser = Pair(student, reference, device, "Guesser", 9, dtype=DOUBLE)
    kinds = student.torch.nn
    mine = kinds.Sequential(kinds.Embedding(9, 9), kinds.Linear(9, 9))
    right = nn.Sequential(nn.Embedding(9, 9), nn.Linear(9, 9)).double()
    weights = {name: 0.5 * draw("cpu", *weight.shape, dtype=DOUBLE) for name, weight in right.state_dict().items()}
    weights["0.weight"][BOS] *= 6 / weights["0.weight"][BOS].norm()
    right.load_state_dict(weights)
    loud = surprise(right(torch.tensor(BOS)).detach()).to(device)
    guesser.right.table = right.to(device)
    guesser.mine.add_module("table", mine.to(device).double())
    mine.load_state_dict(weights)
    return guesser, [(batches[0][0][:1], loud), *batches]


@pytest.mark.points(1.5)
@pytest.mark.stand_in("translation_loss")
def test_fit_takes_the_right_steps(student, reference, device):
    """fit: after some batches the weights of the model are where the prescribed steps lead."""
    guesser, batches = guessing(student, reference, device)
    runs = [(guesser, batches)]
    if hasattr(student, "torch"):  # else imported by another name
        runs.append(deeper(student, reference, device, batches[:3]))
    for guesser, batches in runs:
        student.fit(guesser.mine, batches, 0.05)
    for guesser, batches in runs:
        reference.fit(guesser.right, batches, 0.05)
        weights = guesser.mine.state_dict()
        for name, weight in guesser.right.state_dict().items():
            close(weights[name], weight, rounding=(1e-6, 1e-6))


def loss_of(logits, target):
    return nn.functional.cross_entropy(logits.transpose(1, 2), target[:, 1:], ignore_index=PAD).item()


@pytest.mark.points(0.5)
@pytest.mark.stand_in("translation_loss")
def test_fit_reports_the_losses(student, reference, device, changed_arguments, suspect):
    """fit: it returns a list of plain floats, the loss of each batch before its step; no batch is changed."""
    guesser, batches = guessing(student, reference, device)
    losses = student.fit(guesser.mine, batches, 0.05)
    assert isinstance(losses, (list, tuple)), f"expected a list of losses, got {type(losses).__name__}"
    assert len(losses) == len(batches), f"{len(batches)} batches, {len(losses)} losses"
    assert all(type(loss) is float for loss in losses), "the losses are no plain floats"
    at_first = [loss_of(guesser.right(source, target), target) for source, target in batches]
    if any(abs(losses[0] - loss) < 1e-6 for loss in at_first[1:]):
        suspect("draws-the-batches")
    assert abs(losses[0] - at_first[0]) < 1e-6, f"the first loss is {at_first[0]}, reported was {losses[0]}"
    for count in (1, 4, 9):
        fresh = Pair(student, reference, device, "Guesser", 9, dtype=DOUBLE, weights=guesser.weights).mine
        student.fit(fresh, batches[:count], 0.05)
        source, target = batches[count]
        with torch.no_grad():
            right = loss_of(tensor(fresh(source, target), "logits"), target)
        assert abs(losses[count] - right) < 1e-6, f"loss {count + 1} is {right}, reported was {losses[count]}"
    assert not changed_arguments, changed_arguments


@functools.cache
def accuracy_at_twelve(reference):
    """The experiment once more, by the reference: 0.265 on average, 0.024 its standard deviation over 24 seeds."""
    kept = random.getstate()
    with torch.random.fork_rng(devices=[]):
        random.seed(20)
        torch.default_generator.manual_seed(20)
        model = reference.Seq2Seq(reference.Encoder(13, 16, 32, 32), reference.Decoder(13, 16, 32))
        reference.fit(model, [reference.backwards(32)[:2] for _ in range(400)], 0.01)
        measured = reference.accuracy(model, *reference.backwards(500, 12, 12)[:2])
    random.setstate(kept)
    return measured


@pytest.mark.points(1)
def test_the_reported_number_is_measured(student, reference):
    """The experiment: the reported accuracy at 12 letters is what a measurement gives."""
    reported = student.accuracy_without_attention
    assert isinstance(reported, (int, float, torch.Tensor)), f"no number: {reported}"
    measured = accuracy_at_twelve(reference)
    assert abs(float(reported) - measured) < 0.13, f"{float(reported)} was reported, {measured:.3f} measured"


# All of it


@pytest.mark.points(0.5)
@torch.no_grad()
def test_a_model_can_be_saved(student, reference, device):
    """Both decoders and the encoder: what state_dict() gives makes another model of the same kind the same."""
    source, given = sentences(device, (4, 2), 20), given_to_step(device, batch=2)
    encoder = encoder_of(student, reference, device)
    other = student.Encoder(20, 5, 4, 6).to(device)
    other.load_state_dict(encoder.mine.state_dict())
    agree(read(other, source), read(encoder.mine, source))
    decoder = attentive_of(student, reference, device)
    other = student.AttentionDecoder(13, 7, 6, 8, 9).to(device)
    other.load_state_dict(decoder.mine.state_dict())
    agree(attentive_step(other, *given), attentive_step(decoder.mine, *given))


@pytest.mark.points(0.5)
@pytest.mark.last
@pytest.mark.stand_in("AttentionDecoder")
def test_nothing_is_tied_to_the_cpu(student, reference, device):
    """On another device no tensor of the CPU is mixed in: the loss, a whole sentence, a translation, an alignment."""
    logits, target = draw(device, 2, 4, 9), targets(device, (3, 1), 9)
    tensor(student.translation_loss(logits, target), "a tensor")
    assert not student.translation_loss.on_another_device(logits, target), "translation_loss"
    model, source = counter(student, reference, device), numbers(device, 2, 4)
    tensor(model(source, target), "logits")
    assert not model.on_another_device(source, target), "forward"
    tensor(student.alignment(model, source, target), "weights")
    assert not student.alignment.on_another_device(model, source, target), "alignment"
    tensor(model.translate(source, 2), "ids")
    assert not student.accuracy.on_another_device(model, source, target), "translate, called by accuracy"


def knows(model, decoder_state, source, target, links, suspect):
    """Of a trained model, the shares of sentences it gets right and of words it looks up in the right place; the mass.

    Uses nothing of the student's but her decoder: the encoder was given, and its start state is zero.
    """
    with torch.no_grad():
        mask = source != PAD
        memory, _ = model.encoder(source)
        known = links >= 0
        right, places, mass = torch.ones(len(source), dtype=torch.bool, device=source.device), [], []
        state = memory.new_zeros(len(source), decoder_state)
        for t in range(target.size(1) - 1):
            logits, state, weights = attentive_step(model.decoder, target[:, t], state, memory, mask)
            assert weights.shape == mask.shape
            best, wanted = logits.argmax(dim=-1), target[:, t + 1]
            right &= (best == wanted) | (wanted == PAD)  # as long as it is right, the teacher's words are its own
            places.append(weights.argmax(dim=-1))
            mass.append(weights.gather(1, links[:, t : t + 1].clamp(min=0)).squeeze(1))
    places, mass = torch.stack(places, dim=1), torch.stack(mass, dim=1)[known]
    looked = (places == links)[known]
    ahead = (places[:, :-1] == links[:, 1:])[known[:, 1:]]
    if ahead.double().mean() > 0.8:  # it looks where the next word comes from
        suspect("looks-with-the-new-state")
    return right.double().mean().item(), looked.double().mean().item(), mass.mean().item()


def trained(student, reference, device, suspect, task, source_words, target_words):
    """What the student's model knows after 200 batches of 64 pairs that were drawn for her."""
    sizes = (len(source_words), 12, 64, 64), (len(target_words), 32, 64, 64, 32)
    encoder, decoder = (
        Pair(student, reference, device, name, *size, weights=getattr(reference, name)(*size).state_dict())
        for name, size in zip(("WordEncoder", "AttentionDecoder"), sizes, strict=True)
    )
    model = student.Seq2Seq(encoder.mine, decoder.mine)
    batches = [[part.to(device) for part in task(64)[:2]] for _ in range(200)]
    student.fit(model, [tuple(batch) for batch in batches], 0.005)
    return knows(model, 64, *(part.to(device) for part in task(400)), suspect)


@pytest.mark.points(2)
@pytest.mark.training
@pytest.mark.stand_in("translation_loss")
@pytest.mark.cpu(90)  # a loop over rows and places takes ten times what a batch does
def test_dates_are_learnt(student, reference, device, suspect):
    """Trained on 200 batches of dates, your model translates 98 % of new ones and looks at the right words."""
    task = reference.dates, reference.ENGLISH, reference.FRENCH
    exact, looked, mass = trained(student, reference, device, suspect, *task)
    assert exact >= 0.98, f"{exact:.1%} of the sentences are right"
    assert looked >= 0.95, f"{looked:.1%} of the words were looked up in the right place"
    assert mass >= 0.75, f"{mass:.2f} of the weight lies there"


@pytest.mark.points(1)
@pytest.mark.training
@pytest.mark.stand_in("translation_loss")
@pytest.mark.cpu(90)  # a loop over rows and places takes ten times what a batch does
def test_number_words_are_learnt(student, reference, device, suspect):
    """Trained on 200 batches of number words, your model writes 98 % of new ones and looks at the right words."""
    task = reference.number_words, reference.NUMBER_WORDS, reference.DIGITS
    exact, looked, mass = trained(student, reference, device, suspect, *task)
    assert exact >= 0.98, f"{exact:.1%} of the sentences are right"
    assert looked >= 0.95, f"{looked:.1%} of the words were looked up in the right place"
    assert mass >= 0.75, f"{mass:.2f} of the weight lies there"
