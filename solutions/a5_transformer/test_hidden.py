"""What the parts of the Transformer and the whole must do: laws first, values second.

Each part is compared with the reference once, with weights that the test sets, and then held to laws that need no
reference. Parts that a check builds on are lent where a student's own don't work, so each mistake costs its own step.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

SINGLE, DOUBLE = torch.float32, torch.float64
ROUNDING = {SINGLE: (1e-4, 3e-5), DOUBLE: (1e-7, 1e-7)}
PAD, BOS, EOS = 0, 1, 2
SIZES = 12, 3, 20  # d_model, num_heads, d_ff


def draw(device, *shape, dtype=SINGLE):
    """Normal numbers, the same on every device."""
    return torch.randn(shape, dtype=DOUBLE).to(device, dtype)


def draw_words(device, *shape, vocab=11, first=3):
    return torch.randint(first, vocab, shape).to(device)


def draw_mask(device, *shape):
    """A random mask in which the first may be seen by all and another one by none."""
    mask = torch.rand(shape) < 0.6
    mask[..., 0] = True
    mask[..., int(torch.randint(1, shape[-1], ()))] = False
    return mask.to(device)


def draw_weights(module):
    """Weights, by name, with which attention is neither flat nor saturated and no two parts are alike."""
    weights = {}
    for name, tensor in module.state_dict().items():
        noise = torch.randn(tensor.shape, dtype=DOUBLE)
        if tensor.dim() == 1:
            weights[name] = 0.3 * noise + float("norm" in name and name.endswith("weight"))
        else:
            weights[name] = (1.3 if "in_proj" in name else 1.0) * noise / tensor.size(1) ** 0.5
    return weights


def zero_weights(module, **given):
    """All zero, the norms' weights 1, and what is given, with __ for the dots."""
    state = module.state_dict()
    weights = {name: torch.full_like(state[name], float("norm" in name and name.endswith("weight"))) for name in state}
    named = {name.replace("__", "."): tensor for name, tensor in given.items()}
    assert named.keys() <= weights.keys()
    return weights | named


def loaded(module, device, weights, dtype=SINGLE):
    """A student's module, or the reference's, with these weights."""
    module.to(device)
    if dtype != SINGLE:
        module.to(dtype)
    weights = {name: weight.to(device, dtype) for name, weight in weights.items()}
    if isinstance(module, nn.Module):
        module.load_state_dict(weights)
    else:
        module.load_weights(weights)
    return module


def twins(student, reference, device, kind, *sizes, dtype=SINGLE, **options):
    """The student's module and the reference's, with the same random weights. No dropout unless asked for."""
    options = {"dropout": 0.0} | options
    theirs, ours = getattr(student, kind)(*sizes, **options), getattr(reference, kind)(*sizes, **options)
    weights = draw_weights(ours)
    return loaded(theirs, device, weights, dtype), loaded(ours, device, weights, dtype)


def only(student, reference, device, kind, *sizes, dtype=SINGLE, **options):
    """The student's module alone, with random weights."""
    return twins(student, reference, device, kind, *sizes, dtype=dtype, **options)[0]


def transparent(student, reference, device, kind, *sizes, given=(), **options):
    """The student's module with all sublayers zero, except for what is given."""
    theirs, ours = (getattr(side, kind)(*sizes, **{"dropout": 0.0} | options) for side in (student, reference))
    return loaded(theirs, device, zero_weights(ours, **dict(given)))


def close(answer, expected, rounding=None):
    """A tensor of the same shape, dtype and device, and the same values within rounding."""
    assert isinstance(answer, torch.Tensor), f"expected a tensor, got {type(answer).__name__}"
    rtol, atol = rounding or ROUNDING[expected.dtype]
    assert_close(answer, expected, rtol=rtol, atol=atol)


def differ(one, other, least=1e-3):
    assert one.shape == other.shape
    assert (one - other).abs().max() > least, "these should differ, and do not"


def alive(answer):
    """The same, if it depends on anything: constants keep many a law."""
    assert isinstance(answer, torch.Tensor), f"expected a tensor, got {type(answer).__name__}"
    assert answer.isfinite().all(), "NaN or inf"
    assert answer.numel() == 1 or answer.std() > 1e-3, "all the same"
    return answer


def slope_is_right(loss, tensors):
    """The gradients of `tensors` promise how far a small step moves the loss. All float64; changes `tensors`."""
    loss().backward()
    assert all(tensor.grad is not None for tensor in tensors), "something gets no gradient"
    steps = [3e-8 * draw(tensor.device, *tensor.shape, dtype=DOUBLE) for tensor in tensors]  # small: a ReLU has a kink
    promised = sum((tensor.grad * step).sum() for tensor, step in zip(tensors, steps, strict=True))
    moved = []
    with torch.no_grad():
        for factor in (1, -2):
            for tensor, step in zip(tensors, steps, strict=True):
                tensor.add_(factor * step)
            moved.append(loss())
    close(promised / 3e-8, (moved[0] - moved[1]) / 6e-8, rounding=(1e-4, 1e-4))


@torch.no_grad()
def drops_in_training_only(module, call):
    """`module` has dropout 0.5. Once it was told eval(), it is also to come back from there."""
    one, _, other = call(), torch.rand(1), call()  # the reference, put on trial, draws from where the test stands
    differ(one, other)
    module.eval()
    quiet = alive(call())
    close(call(), quiet)
    module.train()
    one, _, other = call(), torch.rand(1), call()
    differ(one, other)
    module.eval()
    close(call(), quiet)


@torch.no_grad()
def drops_nothing_else(module, call, suspect, mistakes):
    """Every sublayer of `module` gives zero, and of that nothing can be dropped: in train() it is as in eval().

    mistakes: the ids of those who drop the result, and who drop the sum before it is normalised.
    """
    module.eval()
    quiet = call()
    module.train()
    loud = call()
    assert isinstance(quiet, torch.Tensor), f"expected a tensor, got {type(quiet).__name__}"
    if isinstance(loud, torch.Tensor) and loud.shape == quiet.shape:
        dropped = (loud - quiet).abs() > 1e-4
        doubled = (loud.abs() < 1e-6) | ((loud - 2 * quiet).abs() < 1e-4)
        if dropped.any():
            suspect(mistakes[0 if doubled[dropped].all() else 1])
    close(loud, quiet)


@torch.no_grad()
def varies_where_it_is_not_dropped(module, call):
    """Something is dropped before the end: what comes out, where it is not zero, is not always the same."""
    results = torch.stack([call() + 0 * float(torch.rand(1)) for _ in range(6)])
    both = (results.abs() > 1e-6)[1:] & (results.abs() > 1e-6)[:-1]
    assert both.any(), "everything was dropped"
    assert (results[1:] - results[:-1])[both].abs().max() > 1e-3, "nothing is dropped on the inside"
    module.eval()
    close(call(), call())


def normalised(x, weight=None, bias=None, eps=1e-5):
    """LayerNorm, written out."""
    centred = x - x.mean(dim=-1, keepdim=True)
    x = centred / (centred.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    return x * (1 if weight is None else weight) + (0 if bias is None else bias)


def table_of_positions(length, width, dtype=SINGLE):
    angle = torch.arange(length).double()[:, None] / 10000 ** (torch.arange(0, width, 2).double() / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).to(dtype)


def causal(length, device):
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


# Step 1: the feed-forward network


@pytest.mark.points(1)
@pytest.mark.parametrize(("leading", "dtype"), [((2, 5), SINGLE), ((7,), DOUBLE), ((3, 1, 4), SINGLE)], ids=str)
@torch.no_grad()
def test_feed_forward_agrees_with_the_reference(student, reference, device, leading, dtype):
    """FeedForward: right for given weights, in float32 and float64, after any leading dimensions."""
    theirs, ours = twins(student, reference, device, "FeedForward", 6, 10, dtype=dtype)
    x = draw(device, *leading, 6, dtype=dtype)
    answer = theirs(x)
    close(answer, ours(x))


@pytest.mark.points(0.5)
@torch.no_grad()
def test_feed_forward_bends(student, reference, device):
    """FeedForward: it is not linear; and without biases, what is three times as large becomes three times as large."""
    weights = draw_weights(reference.FeedForward(6, 10))
    for name in ("linear1.bias", "linear2.bias"):
        weights[name] = torch.zeros_like(weights[name])
    network = loaded(student.FeedForward(6, 10, dropout=0.0), device, weights)
    x = draw(device, 5, 6)
    answer, tripled, opposite = alive(network(x)), network(3 * x), network(-x)
    differ(answer, -opposite, 1e-2)
    close(tripled, 3 * answer)


@pytest.mark.points(0.5)
@torch.no_grad()
def test_feed_forward_takes_each_word_alone(student, reference, device):
    """FeedForward: what becomes of a word does not depend on the other words, nor on its place."""
    network = only(student, reference, device, "FeedForward", 6, 10)
    x = draw(device, 3, 4, 6)
    answer, order = alive(network(x)), torch.tensor([2, 0, 3, 1], device=device)
    close(network(x[1:2, order]), answer[1:2, order])


@pytest.mark.points(0.5)
def test_feed_forward_learns(student, reference, device):
    """FeedForward: the gradients of the input and of every parameter agree with finite differences."""
    network = only(student, reference, device, "FeedForward", 6, 10, dtype=DOUBLE)
    x, factors = draw(device, 3, 6, dtype=DOUBLE).requires_grad_(), draw(device, 3, 6, dtype=DOUBLE)
    slope_is_right(lambda: (network(x) * factors).sum(), [x, *network.parameters()])


@pytest.mark.points(0.5)
def test_feed_forward_drops_in_training_only(student, reference, device):
    """FeedForward: dropout works in train(), rests in eval(), and comes back with train()."""
    network, x = only(student, reference, device, "FeedForward", 6, 10, dropout=0.5), draw(device, 20, 6)
    drops_in_training_only(network, lambda: network(x))
    varies_where_it_is_not_dropped(network.train(), lambda: network(x))


# Step 2: a layer of the encoder


def without_values(weights, attention):
    """The same weights, but every context is zero."""
    weights = {name: weight.clone() for name, weight in weights.items()}
    weights[f"{attention}.in_proj_weight"][24:], weights[f"{attention}.in_proj_bias"][24:] = 0, 0
    return weights


def no_nan_comes_back(answer, inputs):
    """Gradients are numbers, where there are any. Returns them."""
    loss = (answer * torch.linspace(-1, 1, answer.size(-1), device=answer.device)).sum()
    gradients = torch.autograd.grad(loss, inputs, allow_unused=True)
    assert any(gradient is not None for gradient in gradients), "no gradient comes back"
    for gradient in gradients:
        assert gradient is None or gradient.isfinite().all(), "NaN or inf in a gradient"
    return gradients


def masks_of_a_layer(device, length, source):
    """No mask, and the three shapes that occur, for a batch of 2."""
    shapes = ((source,), (2, 1, source), (length, source), (2, length, source))
    return [None, *[draw_mask(device, *shape) for shape in shapes]]


@pytest.mark.points(2)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@torch.no_grad()
def test_encoder_layer_agrees_with_norms_after(student, reference, device, dtype):
    """EncoderLayer, post-norm: right for given weights, with and without masks."""
    theirs, ours = twins(student, reference, device, "EncoderLayer", *SIZES, dtype=dtype)
    x = draw(device, 2, 5, 12, dtype=dtype)
    for mask in masks_of_a_layer(device, 5, 5):
        answer = theirs(x, mask)
        close(answer, ours(x, mask))


@pytest.mark.points(1.5)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@torch.no_grad()
def test_encoder_layer_agrees_with_norms_first(student, reference, device, dtype):
    """EncoderLayer, pre-norm: right for given weights, with and without masks."""
    theirs, ours = twins(student, reference, device, "EncoderLayer", *SIZES, dtype=dtype, dropout=0.3, norm_first=True)
    theirs.eval(), ours.eval()
    x = draw(device, 2, 5, 12, dtype=dtype)
    for mask in masks_of_a_layer(device, 5, 5):
        answer = theirs(x, mask)
        close(answer, ours(x, mask))


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward")
@torch.no_grad()
def test_encoder_layer_leaves_a_straight_way(student, reference, device):
    """EncoderLayer: where both sublayers give zero, pre-norm changes nothing and post-norm normalises."""
    x = 3 * draw(device, 2, 5, 12) + 1
    gain = {f"norm{i}__{kind}": 0.3 * draw(device, 12) + (kind == "weight") for i in (1, 2) for kind in ("weight", "bias")}
    pre = transparent(student, reference, device, "EncoderLayer", *SIZES, norm_first=True, given=gain)(x)
    close(pre, x)
    post = transparent(student, reference, device, "EncoderLayer", *SIZES, given=gain)(x)
    middle = normalised(x, gain["norm1__weight"], gain["norm1__bias"])
    close(post, normalised(middle, gain["norm2__weight"], gain["norm2__bias"]))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward")
@torch.no_grad()
def test_layer_norm_keeps_small_words_small(student, reference, device):
    """EncoderLayer: words that hardly vary are not blown up, since ε stands inside the root."""
    x = 0.003 * draw(device, 2, 5, 12) + 1
    gain = {"norm1__weight": torch.full((12,), 0.01)}  # so that the second norm has little to do
    answer = transparent(student, reference, device, "EncoderLayer", *SIZES, given=gain)(x)
    close(answer, normalised(0.01 * normalised(x)), rounding=(1e-2, 1e-2))


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward")
@torch.no_grad()
def test_encoder_layer_hides_what_is_masked(student, reference, device):
    """EncoderLayer: a hidden word has no influence on the others, in whatever shape the mask comes."""
    for norm_first in (False, True):
        layer = only(student, reference, device, "EncoderLayer", *SIZES, norm_first=norm_first)
        x, seen = draw(device, 3, 5, 12), torch.tensor([0, 1, 3], device=device)
        other = x.clone()
        other[:, [2, 4]] = 5 * draw(device, 3, 2, 12)
        mask = torch.tensor([True, True, False, True, False], device=device)
        masks = mask, mask.expand(5, 5), mask.expand(3, 1, 5), mask.expand(3, 5, 5).clone()
        answers = [alive(layer(x, mask))[:, seen] for mask in masks]
        for mask, answer in zip(masks, answers, strict=True):
            close(answer, answers[0])
            close(layer(other, mask=mask)[:, seen], answer)
        close(layer(x[:, seen])[:, :3], answers[0])
        differ(layer(x)[:, seen], answers[0])


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward")
@torch.no_grad()
def test_encoder_layer_knows_no_order(student, reference, device):
    """EncoderLayer: words in another order give the same words in another order, and each sentence is read alone."""
    layer, x = only(student, reference, device, "EncoderLayer", *SIZES), draw(device, 5, 3, 12).transpose(0, 1)
    answer, order = alive(layer(x)), torch.tensor([4, 0, 2, 1, 3], device=device)
    close(layer(x[1:2, order]), answer[1:2, order])
    differ(layer(x[:, :4]), answer[:, :4])


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("norm_first", [False, True], ids=["post", "pre"])
def test_encoder_layer_with_nowhere_to_look(student, reference, device, norm_first):
    """EncoderLayer: a word that may look nowhere has a zero context, and brings no NaN into any gradient."""
    weights, options = draw_weights(reference.EncoderLayer(*SIZES)), {"dropout": 0.0, "norm_first": norm_first}
    layer, mute = student.EncoderLayer(*SIZES, **options), student.EncoderLayer(*SIZES, **options)
    loaded(layer, device, weights), loaded(mute, device, without_values(weights, "self_attn"))
    x, mask = draw(device, 2, 4, 12).requires_grad_(), draw_mask(device, 2, 4, 4)
    mask[0, 2], mask[1] = False, False
    answer = alive(layer(x, mask))
    no_nan_comes_back(answer, [x])
    empty = ~mask.any(dim=-1)
    close(answer[empty].detach(), mute(x)[empty].detach())
    differ(answer[~empty], mute(x)[~empty])


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward")
def test_encoder_layer_learns(student, reference, device):
    """EncoderLayer: the gradients of the words and of every parameter agree with finite differences."""
    for norm_first in (False, True):
        layer = only(student, reference, device, "EncoderLayer", 6, 2, 8, dtype=DOUBLE, norm_first=norm_first)
        x, factors = draw(device, 2, 3, 6, dtype=DOUBLE).requires_grad_(), draw(device, 2, 3, 6, dtype=DOUBLE)
        slope_is_right(lambda: (layer(x) * factors).sum(), [x, *layer.parameters()])  # noqa: B023


def only_one_branch(branch):
    """Weights with which a single sublayer gives anything: always the same numbers, so that only its dropout shows."""
    return {"self_attn": "self_attn__out_proj__bias", "cross_attn": "cross_attn__out_proj__bias"}.get(
        branch, "feed_forward__linear2__bias"
    )


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("branch", ["self_attn", "feed_forward"])
def test_encoder_layer_drops_in_training_only(student, reference, device, suspect, branch):
    """EncoderLayer: the output of each sublayer is dropped, and nothing else, in train() and not in eval()."""
    x, given = draw(device, 2, 5, 12), {only_one_branch(branch): 2 * draw(device, 12)}
    layer = transparent(student, reference, device, "EncoderLayer", *SIZES, dropout=0.5, given=given)
    drops_in_training_only(layer, lambda: layer(x))
    layer = transparent(student, reference, device, "EncoderLayer", *SIZES, dropout=0.5, norm_first=True, given=given)
    drops_in_training_only(layer, lambda: layer(x))
    mistakes = "encoder-drops-after-the-norm", "encoder-drops-the-sum"
    for norm_first in (False, True):
        layer = transparent(student, reference, device, "EncoderLayer", *SIZES, dropout=0.5, norm_first=norm_first)
        drops_nothing_else(layer, lambda: layer(x), suspect, mistakes)  # noqa: B023


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward")
def test_encoder_layer_drops_attention_weights(student, reference, device):
    """EncoderLayer: attention weights are dropped in train(), too."""
    x, given = draw(device, 2, 5, 12), {}
    for part, shape in (("in_proj_weight", (36, 12)), ("out_proj__weight", (12, 12))):
        given[f"self_attn__{part}"] = 0.4 * draw(device, *shape)
    layer = transparent(student, reference, device, "EncoderLayer", *SIZES, dropout=0.5, norm_first=True, given=given)
    varies_where_it_is_not_dropped(layer, lambda: layer(x) - x)


# Step 3: a layer of the decoder


def masks_of_a_decoder(device, length, source):
    """Pairs of masks, the second list turned, so that they differ in shape."""
    theirs, memory = masks_of_a_layer(device, length, length), masks_of_a_layer(device, length, source)
    return zip(theirs, memory[2:] + memory[:2], strict=True)


@pytest.mark.points(2)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@torch.no_grad()
def test_decoder_layer_agrees_with_norms_after(student, reference, device, dtype):
    """DecoderLayer, post-norm: right for given weights, with and without masks."""
    theirs, ours = twins(student, reference, device, "DecoderLayer", *SIZES, dtype=dtype)
    x, memory = draw(device, 2, 5, 12, dtype=dtype), 2 * draw(device, 2, 7, 12, dtype=dtype) + 0.5
    for mask, memory_mask in masks_of_a_decoder(device, 5, 7):
        answer = theirs(x, memory, mask, memory_mask)
        close(answer, ours(x, memory, mask, memory_mask))


@pytest.mark.points(1.5)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@torch.no_grad()
def test_decoder_layer_agrees_with_norms_first(student, reference, device, dtype):
    """DecoderLayer, pre-norm: right for given weights, with and without masks."""
    theirs, ours = twins(student, reference, device, "DecoderLayer", *SIZES, dtype=dtype, dropout=0.3, norm_first=True)
    theirs.eval(), ours.eval()
    x, memory = draw(device, 2, 5, 12, dtype=dtype), 2 * draw(device, 2, 7, 12, dtype=dtype) + 0.5
    for mask, memory_mask in masks_of_a_decoder(device, 5, 7):
        answer = theirs(x, memory, mask, memory_mask)
        close(answer, ours(x, memory, mask, memory_mask))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward")
@torch.no_grad()
def test_decoder_layer_leaves_a_straight_way(student, reference, device):
    """DecoderLayer: where all sublayers give zero, pre-norm changes nothing and post-norm normalises three times."""
    x, memory = 3 * draw(device, 2, 5, 12) + 1, draw(device, 2, 7, 12)
    gain = {f"norm{i}__{kind}": 0.3 * draw(device, 12) + (kind == "weight") for i in (1, 2, 3) for kind in ("weight", "bias")}
    pre = transparent(student, reference, device, "DecoderLayer", *SIZES, norm_first=True, given=gain)(x, memory)
    close(pre, x)
    post, expected = transparent(student, reference, device, "DecoderLayer", *SIZES, given=gain)(x, memory), x
    for i in (1, 2, 3):
        expected = normalised(expected, gain[f"norm{i}__weight"], gain[f"norm{i}__bias"])
    close(post, expected)


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward")
@torch.no_grad()
def test_decoder_layer_reads_the_memory(student, reference, device):
    """DecoderLayer: every word reads the memory, as a set, and only that of its own sentence."""
    for norm_first in (False, True):
        layer = only(student, reference, device, "DecoderLayer", *SIZES, norm_first=norm_first)
        x, memory = draw(device, 2, 5, 12), draw(device, 2, 7, 12)
        answer, order = alive(layer(x, memory)), torch.tensor([6, 0, 3, 1, 5, 2, 4], device=device)
        close(layer(x, memory[:, order]), answer)
        other = torch.stack([memory[0], 2 * draw(device, 7, 12)])
        changed = layer(x, other)
        close(changed[0], answer[0])
        assert ((changed[1] - answer[1]).abs().amax(dim=-1) > 1e-4).all(), "a word does not read the memory"


@pytest.mark.points(1.5)
@pytest.mark.stand_in("FeedForward")
@torch.no_grad()
def test_decoder_layer_keeps_its_masks_apart(student, reference, device):
    """DecoderLayer: `mask` hides words of the target and `memory_mask` words of the memory, and neither the other's."""
    for norm_first in (False, True):
        layer = only(student, reference, device, "DecoderLayer", *SIZES, norm_first=norm_first)
        x, memory, mask = draw(device, 2, 5, 12), draw(device, 2, 5, 12), causal(5, device)
        memory_mask = torch.tensor([True, True, False, True, False], device=device)
        answer = alive(layer(x, memory, mask, memory_mask))
        later, hidden, seen = x.clone(), memory.clone(), memory.clone()
        later[:, 3:], hidden[:, [2, 4]], seen[:, 3] = 3 * draw(device, 2, 2, 12), 3 * draw(device, 2, 2, 12), 3.0
        close(layer(later, memory, mask=mask, memory_mask=memory_mask)[:, :3], answer[:, :3])
        close(layer(x, memory=hidden, memory_mask=memory_mask, mask=mask), answer)
        differ(layer(x, seen, mask, memory_mask)[:, 0], answer[:, 0])
        first = x.clone()
        first[:, 2] = 3 * draw(device, 2, 12)
        differ(layer(first, memory, mask, memory_mask)[:, 4], answer[:, 4])


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("norm_first", [False, True], ids=["post", "pre"])
def test_decoder_layer_with_nowhere_to_look(student, reference, device, norm_first):
    """DecoderLayer: a word that may look nowhere, here or there, has a zero context, and brings no NaN anywhere."""
    weights, options = draw_weights(reference.DecoderLayer(*SIZES)), {"dropout": 0.0, "norm_first": norm_first}
    layer, deaf, blind = (student.DecoderLayer(*SIZES, **options) for _ in range(3))
    loaded(layer, device, weights)
    loaded(deaf, device, without_values(weights, "self_attn"))
    loaded(blind, device, without_values(weights, "cross_attn"))
    inputs = [draw(device, 2, 4, 12).requires_grad_(), draw(device, 2, 6, 12).requires_grad_()]
    mask, memory_mask = causal(4, device).clone(), draw_mask(device, 2, 1, 6)
    mask[0], memory_mask[1] = False, False
    answer = alive(layer(*inputs, mask, memory_mask))
    of_memory = no_nan_comes_back(answer, inputs)[1]
    assert of_memory is None or (of_memory[1] == 0).all(), "a memory that is hidden gets a gradient"
    close(answer[0, 0].detach(), deaf(*inputs, None, memory_mask)[0, 0].detach())
    close(answer[1].detach(), blind(*inputs, mask)[1].detach())


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward")
def test_decoder_layer_learns(student, reference, device):
    """DecoderLayer: the gradients of the words, the memory and every parameter agree with finite differences."""
    for norm_first in (False, True):
        layer = only(student, reference, device, "DecoderLayer", 6, 2, 8, dtype=DOUBLE, norm_first=norm_first)
        x, memory, factors = (draw(device, 2, n, 6, dtype=DOUBLE) for n in (3, 4, 3))
        inputs = [x.requires_grad_(), memory.requires_grad_()]
        slope_is_right(lambda: (layer(*inputs) * factors).sum(), [*inputs, *layer.parameters()])  # noqa: B023


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("branch", ["self_attn", "cross_attn", "feed_forward"])
def test_decoder_layer_drops_in_training_only(student, reference, device, suspect, branch):
    """DecoderLayer: the output of each sublayer is dropped, and nothing else, in train() and not in eval()."""
    x, memory, given = draw(device, 2, 5, 12), draw(device, 2, 7, 12), {only_one_branch(branch): 2 * draw(device, 12)}
    layer = transparent(student, reference, device, "DecoderLayer", *SIZES, dropout=0.5, given=given)
    drops_in_training_only(layer, lambda: layer(x, memory))
    layer = transparent(student, reference, device, "DecoderLayer", *SIZES, dropout=0.5, norm_first=True, given=given)
    drops_in_training_only(layer, lambda: layer(x, memory))
    mistakes = "decoder-drops-after-the-norm", "decoder-drops-the-sum"
    for norm_first in (False, True):
        layer = transparent(student, reference, device, "DecoderLayer", *SIZES, dropout=0.5, norm_first=norm_first)
        drops_nothing_else(layer, lambda: layer(x, memory), suspect, mistakes)  # noqa: B023


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward")
@pytest.mark.parametrize("attention", ["self_attn", "cross_attn"])
def test_decoder_layer_drops_attention_weights(student, reference, device, attention):
    """DecoderLayer: attention weights are dropped in train(), too, here and there."""
    x, memory, given = draw(device, 2, 5, 12), draw(device, 2, 7, 12), {}
    for part, shape in (("in_proj_weight", (36, 12)), ("out_proj__weight", (12, 12))):
        given[f"{attention}__{part}"] = 0.4 * draw(device, *shape)
    layer = transparent(student, reference, device, "DecoderLayer", *SIZES, dropout=0.5, norm_first=True, given=given)
    varies_where_it_is_not_dropped(layer, lambda: layer(x, memory) - x)


# Step 4: stacks


@pytest.mark.points(1.5)
@pytest.mark.stand_in("FeedForward", "EncoderLayer")
@pytest.mark.parametrize("norm_first", [False, True], ids=["post", "pre"])
@torch.no_grad()
def test_encoder_agrees_with_the_reference(student, reference, device, norm_first):
    """Encoder: right for given weights, post-norm and pre-norm, with and without a mask."""
    theirs, ours = twins(student, reference, device, "Encoder", 3, *SIZES, norm_first=norm_first)
    x = draw(device, 2, 5, 12)
    for mask in (None, draw_mask(device, 2, 1, 5)):
        answer = theirs(x, mask)
        close(answer, ours(x, mask), rounding=(1e-3, 1e-4))


@pytest.mark.points(1.5)
@pytest.mark.stand_in("FeedForward", "DecoderLayer")
@pytest.mark.parametrize("norm_first", [False, True], ids=["post", "pre"])
@torch.no_grad()
def test_decoder_agrees_with_the_reference(student, reference, device, norm_first):
    """Decoder: right for given weights, post-norm and pre-norm, with and without masks."""
    theirs, ours = twins(student, reference, device, "Decoder", 3, *SIZES, norm_first=norm_first)
    x, memory = draw(device, 2, 5, 12), draw(device, 2, 7, 12)
    for masks in ((None, None), (causal(5, device), draw_mask(device, 2, 1, 7))):
        answer = theirs(x, memory, *masks)
        close(answer, ours(x, memory, *masks), rounding=(1e-3, 1e-4))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward", "EncoderLayer", "DecoderLayer")
@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_stacks_grow_by_a_layer_each(student, kind):
    """Encoder, Decoder: each layer brings parameters of its own, and a final norm comes only with norm_first."""
    attention = 4 * (12 * 12 + 12)
    layer = attention + (2 * 12 * 20 + 12 + 20) + 2 * 24 + (attention + 24) * (kind == "Decoder")
    for norm_first in (False, True):
        for layers in (4, 2, 1):
            counted = count(getattr(student, kind)(layers, *SIZES, norm_first=norm_first))
            assert counted == layers * layer + 24 * norm_first, f"{layers} layers have {counted} parameters"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward", "EncoderLayer", "DecoderLayer")
@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_layers_do_not_begin_alike(student, kind):
    """Encoder, Decoder: each layer begins with weights that were drawn for it."""
    matrices = [parameter for parameter in getattr(student, kind)(3, *SIZES).parameters() if parameter.dim() > 1]
    assert len(matrices) >= 3
    for i, one in enumerate(matrices):
        assert not any(torch.equal(one, other) for other in matrices[:i]), "two layers begin with the same weights"


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward", "EncoderLayer", "DecoderLayer")
@torch.no_grad()
def test_layers_come_one_after_the_other(student, reference, device):
    """Encoder, Decoder: two layers do what one does to what the other has made."""
    whole = draw_weights(reference.Encoder(2, *SIZES))
    parts = [{n.replace(f"layers.{i}.", "layers.0."): w for n, w in whole.items() if f"layers.{i}." in n} for i in (0, 1)]
    both, first, second = (
        loaded(student.Encoder(layers, *SIZES, dropout=0.0), device, weights)
        for layers, weights in ((2, whole), (1, parts[0]), (1, parts[1]))
    )
    x = draw(device, 2, 5, 12)
    close(alive(both(x)), second(first(x)), rounding=(1e-3, 1e-4))
    whole = draw_weights(reference.Decoder(2, *SIZES))
    parts = [{n.replace(f"layers.{i}.", "layers.0."): w for n, w in whole.items() if f"layers.{i}." in n} for i in (0, 1)]
    both, first, second = (
        loaded(student.Decoder(layers, *SIZES, dropout=0.0), device, weights)
        for layers, weights in ((2, whole), (1, parts[0]), (1, parts[1]))
    )
    memory = draw(device, 2, 7, 12)
    close(alive(both(x, memory)), second(first(x, memory), memory), rounding=(1e-3, 1e-4))


@pytest.mark.points(1)
@pytest.mark.stand_in("FeedForward", "EncoderLayer", "DecoderLayer")
@torch.no_grad()
def test_masks_reach_every_layer(student, reference, device):
    """Encoder, Decoder: what is hidden stays hidden through all layers."""
    for norm_first in (False, True):
        encoder = only(student, reference, device, "Encoder", 3, *SIZES, norm_first=norm_first)
        x, mask = draw(device, 2, 5, 12), torch.tensor([True, True, False, True, False], device=device)
        other, seen = x.clone(), torch.tensor([0, 1, 3], device=device)
        other[:, [2, 4]] = 3 * draw(device, 2, 2, 12)
        close(encoder(other, mask)[:, seen], alive(encoder(x, mask))[:, seen], rounding=(1e-3, 1e-4))
        decoder = only(student, reference, device, "Decoder", 3, *SIZES, norm_first=norm_first)
        memory, other_memory, later = draw(device, 2, 5, 12), x.clone(), x.clone()
        other_memory[:], other_memory[:, seen] = 3 * draw(device, 2, 5, 12), memory[:, seen]
        later[:, 3:] = 3 * draw(device, 2, 2, 12)
        answer = alive(decoder(x, memory, causal(5, device), mask))
        close(decoder(x, other_memory, causal(5, device), mask), answer, rounding=(1e-3, 1e-4))
        close(decoder(later, memory, causal(5, device), mask)[:, :3], answer[:, :3], rounding=(1e-3, 1e-4))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward", "EncoderLayer", "DecoderLayer")
@torch.no_grad()
def test_stacks_end_with_a_norm_only_if_it_comes_first(student, reference, device):
    """Encoder, Decoder: after pre-norm layers the words are normalised once more, after post-norm layers they are not."""
    x, small, memory = 3 * draw(device, 2, 5, 12) + 1, 0.003 * draw(device, 2, 5, 12), draw(device, 2, 7, 12)
    final = {"norm__weight": 1 + 0.3 * draw(device, 12), "norm__bias": draw(device, 12)}
    last = {"layers__1__norm2__weight": 1 + 0.3 * draw(device, 12), "layers__1__norm2__bias": draw(device, 12)}
    pre = transparent(student, reference, device, "Encoder", 2, *SIZES, norm_first=True, given=final)
    close(pre(x), normalised(x, *final.values()))
    close(pre(small), normalised(small, *final.values()), rounding=(1e-2, 1e-2))
    post = transparent(student, reference, device, "Encoder", 2, *SIZES, given=last)(x)
    close(post, normalised(x, *last.values()), rounding=(1e-3, 1e-3))
    last = {name.replace("norm2", "norm3"): tensor for name, tensor in last.items()}
    pre = transparent(student, reference, device, "Decoder", 2, *SIZES, norm_first=True, given=final)
    close(pre(x, memory), normalised(x, *final.values()))
    close(pre(small, memory), normalised(small, *final.values()), rounding=(1e-2, 1e-2))
    post = transparent(student, reference, device, "Decoder", 2, *SIZES, given=last)(x, memory)
    close(post, normalised(x, *last.values()), rounding=(1e-3, 1e-3))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward", "EncoderLayer", "DecoderLayer")
@torch.no_grad()
def test_stacks_hand_dropout_down(student, reference, device):
    """Encoder, Decoder: their layers drop as much as they were told, which may be nothing."""
    x, memory = draw(device, 2, 5, 12), draw(device, 2, 7, 12)
    for kind, inputs in (("Encoder", (x,)), ("Decoder", (x, memory))):
        still = only(student, reference, device, kind, 2, *SIZES)
        one, _, other = still(*inputs), torch.rand(1), still(*inputs)
        close(one, other)
        given = {"layers__1__feed_forward__linear2__bias": 2 * draw(device, 12)}
        restless = transparent(student, reference, device, kind, 2, *SIZES, dropout=0.5, norm_first=True, given=given)
        drops_in_training_only(restless, lambda: restless(*inputs))  # noqa: B023


# Step 5: the Transformer

VOCABULARIES = 11, 13
WHOLE = *VOCABULARIES, 12, 3, 2, 20  # vocabularies, d_model, num_heads, num_layers, d_ff
PARTS = "FeedForward", "EncoderLayer", "DecoderLayer", "Encoder", "Decoder"
ABOUT = (1e-3, 2e-4)


def draw_pair(device, rows=3, source=7, target=5):
    """Sources with padding on the right, targets without; all with 0 for padding."""
    sources, targets = draw_words(device, rows, source, vocab=11), draw_words(device, rows, target, vocab=13)
    for row in range(1, rows):
        sources[row, source - row :] = PAD
    return sources, targets


@pytest.mark.points(2)
@pytest.mark.stand_in(*PARTS)
@pytest.mark.parametrize(
    ("norm_first", "dtype"), [(False, SINGLE), (True, SINGLE), (False, DOUBLE)], ids=["post", "pre", "float64"]
)
@torch.no_grad()
def test_transformer_agrees_with_the_reference(student, reference, device, norm_first, dtype):
    """Transformer: the logits are right for given weights, post-norm and pre-norm, with padding."""
    theirs, ours = twins(student, reference, device, "Transformer", *WHOLE, dtype=dtype, norm_first=norm_first)
    source, target = draw_pair(device)
    target[2, 3:] = PAD
    answer, real = theirs(source, target), target != PAD
    assert isinstance(answer, torch.Tensor) and answer.shape == (3, 5, 13)
    close(answer[real], ours(source, target)[real], rounding=ABOUT)


@pytest.mark.points(1)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_embeddings_are_scaled_and_positions_are_not(student, reference, device):
    """Transformer: with all sublayers zero, sqrt(d) times the embedding plus its position reaches the generator."""
    words, generator = draw(device, 13, 12), draw(device, 13, 12)
    given = {"target_embedding__weight": words, "generator__weight": generator}
    model = transparent(student, reference, device, "Transformer", *WHOLE, norm_first=True, given=given)
    source, target = draw_pair(device)
    x = words[target] * math.sqrt(12) + table_of_positions(5, 12).to(device)
    close(model(source, target), normalised(x) @ generator.T, rounding=ABOUT)


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_source_words_are_embedded_the_same_way(student, reference, device):
    """Transformer: the source, too, is sqrt(d) times its own embedding plus positions."""
    words, generator, unit = draw(device, 11, 12), draw(device, 13, 12), torch.eye(12, device=device)
    given = {
        "source_embedding__weight": words,
        "generator__weight": generator,
        "decoder__layers__1__cross_attn__in_proj_weight": torch.cat([0 * unit, 0 * unit, unit]),
        "decoder__layers__1__cross_attn__out_proj__weight": 50 * unit,
    }
    model = transparent(student, reference, device, "Transformer", *WHOLE, norm_first=True, given=given)
    source, target = draw_words(device, 3, 7), draw_words(device, 3, 5, vocab=13)
    memory = normalised(words[source] * math.sqrt(12) + table_of_positions(7, 12).to(device))
    x = table_of_positions(5, 12).to(device) + 50 * memory.mean(dim=1, keepdim=True)
    close(model(source, target), normalised(x) @ generator.T, rounding=(1e-2, 2e-3))


@pytest.mark.points(1.5)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_the_future_is_not_seen(student, reference, device):
    """Transformer: the logits at a place depend on the word there and on those before, and on none that follows."""
    for norm_first in (False, True):
        model = only(student, reference, device, "Transformer", *WHOLE, norm_first=norm_first)
        source, target = draw_pair(device, target=6)
        answer = alive(model(source, target))
        for place in (1, 3, 5):
            other = target.clone()
            other[:, place] = 3 + (target[:, place] - 3 + torch.randint(1, 10, (3,)).to(device)) % 10
            changed = model(source, other)
            close(changed[:, :place], answer[:, :place], rounding=ABOUT)
            for later in range(place, 6):
                differ(changed[:, later], answer[:, later], 1e-4)
        close(model(source, target[:, :4]), answer[:, :4], rounding=ABOUT)


@pytest.mark.points(1.5)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_padding_the_source_changes_nothing(student, reference, device):
    """Transformer: a source with padding is answered as without, in a batch as alone."""
    for norm_first in (False, True):
        model = only(student, reference, device, "Transformer", *WHOLE, norm_first=norm_first, source_pad=4)
        source, target = torch.randint(5, 11, (3, 6)).to(device), draw_words(device, 3, 5, vocab=13)
        answer = alive(model(source, target))
        close(model(F.pad(source, (0, 3), value=4), target), answer, rounding=ABOUT)
        source[0, 4:], source[2, 2:] = 4, 4
        together = model(source, target)
        close(together[0:1], model(source[0:1, :4], target[0:1]), rounding=ABOUT)
        close(together[2:3], model(source[2:3, :2], target[2:3]), rounding=ABOUT)


@pytest.mark.points(1.5)
@pytest.mark.stand_in(*PARTS)
def test_padding_before_the_target(student, reference, device):
    """Transformer: nobody looks at the padding of a target, be it on the left; no NaN comes of it."""
    for norm_first in (False, True):
        weights = draw_weights(reference.Transformer(*WHOLE, norm_first=norm_first))
        model = student.Transformer(*WHOLE, dropout=0.0, norm_first=norm_first, target_pad=5)
        loaded(model, device, weights)
        source, target = draw_words(device, 3, 6), torch.randint(6, 13, (3, 6)).to(device)
        target[0, :3], target[2, 0], target[2, 5] = 5, 5, 5
        real = target != 5
        no_nan_comes_back(alive(model(source, target)), list(model.parameters()))
        with torch.no_grad():
            before, other = model(source, target), target.clone()
            other[0, 4] = 6 + (target[0, 4] - 5) % 7
            differ(model(source, other)[0, 3::2], before[0, 3::2])  # words behind the padding look at one another
            weights["target_embedding.weight"][5] *= -3
            after = loaded(model, device, weights)(source, target)
            close(after[real], before[real], rounding=ABOUT)
            without = model(source[:1], target[:1, 3:])
            differ(after[:1, 3:], without)  # places are counted from the first column


@pytest.mark.points(1)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_each_language_has_its_own_padding(student, reference, device):
    """Transformer: the padding number of the source is an ordinary word of the target, and the other way round."""
    weights = draw_weights(reference.Transformer(*WHOLE))
    model = loaded(student.Transformer(*WHOLE, dropout=0.0, source_pad=3, target_pad=7), device, weights)
    source, target = draw_words(device, 3, 6, first=8), draw_words(device, 3, 5, vocab=13, first=8)
    source[:, 1], target[:, 1], source[:, 2], target[:, 2] = 7, 3, 0, 0
    answer = alive(model(source, target))
    for place in (1, 2):  # an ordinary word, and as such it is read
        weights_of = {"source_embedding.weight": source[0, place], "target_embedding.weight": target[0, place]}
        for name, word in weights_of.items():
            others = {n: weight.clone() for n, weight in weights.items()}
            others[name][word] *= -1
            differ(loaded(model, device, others)(source, target)[:, 4], answer[:, 4])
    loaded(model, device, weights)
    close(model(F.pad(source, (0, 2), value=3), target), answer, rounding=ABOUT)
    target[:, 3] = 7
    answer = model(source, target)
    weights["target_embedding.weight"][7] *= -3
    close(loaded(model, device, weights)(source, target)[:, 4], answer[:, 4], rounding=ABOUT)


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS)
def test_a_source_of_nothing_but_padding(student, reference, device):
    """Transformer: an empty source is no reason for NaN, however long, and the rest of the batch does not notice."""
    model = only(student, reference, device, "Transformer", *WHOLE)
    source, target = draw_pair(device)
    source[1] = PAD
    answer = alive(model(source, target))
    no_nan_comes_back(answer, list(model.parameters()))
    with torch.no_grad():
        close(model(source[[0, 2]], target[[0, 2]]), answer[[0, 2]].detach(), rounding=ABOUT)
        close(model(source[1:2, :3], target[1:2]), answer[1:2].detach(), rounding=ABOUT)


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_the_generator_gives_logits(student, reference, device):
    """Transformer: logits come out, one row for each word that goes in: what is added to the bias is added to them."""
    weights = draw_weights(reference.Transformer(*WHOLE))
    model, (source, target) = loaded(student.Transformer(*WHOLE, dropout=0.0), device, weights), draw_pair(device)
    answer = alive(model(source, target))
    assert answer.shape == (3, 5, 13), f"targets of shape (3, 5) and 13 words gave {tuple(answer.shape)}"
    step = draw(device, 13)
    weights["generator.bias"] = weights["generator.bias"].to(device) + step + 2
    close(loaded(model, device, weights)(source, target), answer + step + 2, rounding=ABOUT)


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_nothing_is_shared(student, reference, device):
    """Transformer: it has as many parameters as the table says; embeddings and generator are three matrices."""
    for norm_first in (False, True):
        model = student.Transformer(*WHOLE, norm_first=norm_first).to(device)
        alive(model(*draw_pair(device)))
        counted = count(model)
        expected = count(reference.Transformer(*WHOLE, norm_first=norm_first))
        assert counted == expected, f"{counted} parameters instead of {expected}"


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS)
def test_every_parameter_learns(student, reference, device):
    """Transformer: the gradient of every parameter agrees with finite differences."""
    model = only(student, reference, device, "Transformer", 5, 7, 6, 2, 2, 8, dtype=DOUBLE, norm_first=True)
    source, target = torch.tensor([[1, 2, 3, 4, 4], [4, 3, 1, 0, 0]]), torch.tensor([[1, 2, 3, 4], [6, 5, 2, 0]])
    source, target, factors = source.to(device), target.to(device), draw(device, 7, 7, dtype=DOUBLE)

    def loss():
        return (model(source, target)[target != PAD] * factors).sum()

    slope_is_right(loss, list(model.parameters()))


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_what_is_saved_can_be_loaded(student, reference, device, changed_arguments):
    """Transformer: a second one with the first one's state_dict gives the same logits; arguments stay as they were."""
    for norm_first in (False, True):
        first = only(student, reference, device, "Transformer", *WHOLE, norm_first=norm_first)
        second = student.Transformer(*WHOLE, dropout=0.0, norm_first=norm_first).to(device)
        source, target = draw_pair(device)
        second.load_state_dict(first.state_dict())
        answer = alive(first(source, target))
        close(second(source, target), answer)
        differ(student.Transformer(*WHOLE, dropout=0.0, norm_first=norm_first).to(device)(source, target), answer)
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_the_whole_drops_in_training_only(student, reference, device):
    """Transformer: dropout works in train(), rests in eval(), and comes back with train()."""
    model, (source, target) = only(student, reference, device, "Transformer", *WHOLE, dropout=0.5), draw_pair(device)
    drops_in_training_only(model, lambda: model(source, target))
    still = only(student, reference, device, "Transformer", *WHOLE)
    one, _, other = still(source, target), torch.rand(1), still(source, target)
    close(one, other)


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_sizes_of_one(student, reference, device):
    """Transformer: one sentence, one word here and there or ninety, one layer, one head; views are as good as any."""
    model = only(student, reference, device, "Transformer", *VOCABULARIES, 6, 1, 1, 1)
    source, target = draw_words(device, 3, 8)[:, ::2], draw_words(device, 4, 3, vocab=13).T
    answer = alive(model(source, target))
    assert answer.shape == (3, 4, 13)
    close(model(source.contiguous(), target.contiguous()), answer)
    close(model(source[1:2], target[1:2]), answer[1:2], rounding=ABOUT)
    for row in range(3):
        one = slice(row, row + 1)
        close(model(source[one], target[one, :1]), answer[one, :1], rounding=ABOUT)
    answer = alive(model(source[:, :1], target[:, :1]))
    assert answer.shape == (3, 1, 13)
    close(model(source[2:, :1], target[2:, :1]), answer[2:], rounding=ABOUT)
    assert alive(model(source[:1], draw_words(device, 1, 90, vocab=13))).shape == (1, 90, 13)


@pytest.mark.points(0.5)
@pytest.mark.last
@pytest.mark.stand_in(*PARTS)
@torch.no_grad()
def test_nothing_is_tied_to_the_cpu(student, reference, device):
    """Transformer: it works wherever its weights and its words are: masks and positions are made there too."""
    model, (source, target) = student.Transformer(*WHOLE, dropout=0.0).to(device), draw_pair(device)
    alive(model(source, target))
    assert not model.on_another_device(source.cpu(), target.cpu()), "a tensor was made on the CPU"


# Step 6: writing


def countdown(student, reference, device, begins, target_pad=PAD):
    """A Transformer that writes the number below the last one, down to 2; source word s lets it begin at begins[s].

    Target words lie in the first 10 dimensions, source words reach the next 10 through cross-attention, and the
    generator adds what follows the one to what begins with the other.
    """
    embedding, follows, starts = torch.zeros(10, 24), torch.zeros(10, 24), torch.zeros(10, 24)
    embedding[:, :10] = 1000 * torch.eye(10)  # beside which positions are nothing
    for word in range(3, 10):
        follows[word - 1, word] = 6.0
    for word, begin in begins.items():
        starts[begin, 10 + word] = 3.0
    across = torch.zeros(24, 24)
    across[10:20, :10] = torch.eye(10)
    given = {
        "source_embedding__weight": embedding,
        "target_embedding__weight": embedding,
        "decoder__layers__0__cross_attn__in_proj_weight": torch.cat([torch.zeros(48, 24), across]),
        "decoder__layers__0__cross_attn__out_proj__weight": 1000 * torch.eye(24),
        "generator__weight": follows + starts,
        "generator__bias": torch.tensor([-50.0, -50.0] + 8 * [0.0]),
    }
    sizes, options = (10, 10, 24, 2, 1, 4), {"norm_first": True, "target_pad": target_pad}
    return transparent(student, reference, device, "Transformer", *sizes, given=given, **options).eval()


def trimmed(ids, pad=PAD):
    """Rows of numbers, without columns at the end that hold nothing but padding."""
    assert isinstance(ids, torch.Tensor) and ids.dtype == torch.long, "expected a tensor of word numbers (torch.long)"
    assert ids.dim() == 2, f"expected rows and columns, got the shape {tuple(ids.shape)}"
    wide = int((ids != pad).any(dim=0).nonzero().max()) + 1
    return ids[:, :wide].tolist()


@pytest.mark.points(1.5)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
def test_greedy_follows_the_model(student, reference, device):
    """greedy_decode: each word is the one that the model finds most likely after the words before it."""
    weights = draw_weights(reference.Transformer(*WHOLE))
    weights["generator.bias"][[PAD, BOS, EOS]] = -50  # no row ends
    model = loaded(student.Transformer(*WHOLE, dropout=0.0), device, weights).eval()
    source, _ = draw_pair(device, rows=6)
    rows = trimmed(student.greedy_decode(model, source, bos=BOS, eos=EOS, max_length=8))
    follow_the_model(model, source, rows, 8)
    by_place = torch.zeros(10, 24)
    by_place[[3, 4, 5, 6, 7, EOS]] = 10 * normalised(table_of_positions(6, 24))
    sizes, given = (10, 10, 24, 2, 1, 4), {"generator__weight": by_place}
    model = transparent(student, reference, device, "Transformer", *sizes, norm_first=True, given=given).eval()
    source = torch.tensor([[1, 2]], device=device)
    assert trimmed(student.greedy_decode(model, source, BOS, EOS, 6)) == [[1, 3, 4, 5, 6, 7, 2]]


def follow_the_model(model, source, rows, most):
    assert len(rows) == len(source) and all(row[0] == BOS for row in rows), "each row begins with bos"
    assert len(rows[0]) <= 1 + most, "more than max_length words"
    assert len(rows[0]) == 1 + most or all(EOS in row for row in rows), "it stopped before all rows had ended"
    ids = torch.tensor(rows, device=source.device)
    for place in range(1, ids.size(1)):
        logits = model(source, ids[:, :place])[:, -1]
        for row, words in enumerate(rows):
            if EOS in words[:place]:
                assert words[place] == PAD, "after eos come pads"
                continue
            best = logits[row].topk(2).values
            if best[0] - best[1] > 1e-3:
                assert words[place] == int(logits[row].argmax()), "another word is more likely"


@pytest.mark.points(1)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
def test_greedy_ends_each_row_for_itself(student, reference, device):
    """greedy_decode: a row ends with its own eos, at once if need be, and is padded while the others go on."""
    model = countdown(student, reference, device, {1: 5, 2: 2, 3: 7, 4: 3})
    source = torch.tensor([[1, 1, 1, 0], [2, 2, 2, 2], [3, 3, 0, 0], [4, 0, 0, 0]], device=device)
    expected = [[1, 5, 4, 3, 2, 0, 0], [1, 2, 0, 0, 0, 0, 0], [1, 7, 6, 5, 4, 3, 2], [1, 3, 2, 0, 0, 0, 0]]
    assert trimmed(student.greedy_decode(model, source, BOS, EOS, 12)) == expected
    assert trimmed(student.greedy_decode(model, source[1:2], BOS, EOS, 12)) == [[1, 2]]


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
def test_greedy_takes_the_ends_it_is_given(student, reference, device):
    """greedy_decode: bos, eos and the padding are what the arguments and the model say, whatever their numbers."""
    source = torch.tensor([[1, 1], [2, 0], [3, 3]], device=device)
    model = countdown(student, reference, device, {1: 8, 2: 6, 3: 5}, target_pad=9)
    assert trimmed(student.greedy_decode(model, source, 0, 5, 7), pad=9) == [[0, 8, 7, 6, 5], [0, 6, 5, 9, 9], [0, 5, 9, 9, 9]]


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
def test_greedy_stops_at_max_length(student, reference, device):
    """greedy_decode: after max_length words it stops, one word if need be, and rows that have not ended have no eos."""
    model = countdown(student, reference, device, {1: 9, 2: 3})
    source = torch.tensor([[1, 1], [2, 0]], device=device)
    assert trimmed(student.greedy_decode(model, source, BOS, EOS, 4)) == [[1, 9, 8, 7, 6], [1, 3, 2, 0, 0]]
    assert trimmed(student.greedy_decode(model, source, BOS, EOS, 1)) == [[1, 9], [1, 3]]
    assert trimmed(student.greedy_decode(model, source[:1], BOS, EOS, 8)) == [[1, 9, 8, 7, 6, 5, 4, 3, 2]]


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
def test_greedy_prefers_the_lowest_among_equals(student, reference, device):
    """greedy_decode: of words that are equally likely, the one with the lowest number is written."""
    bias = torch.tensor([-9.0, -9, 0, 1, 2, 5, 5, 3, 5, 4])
    sizes = 10, 10, 24, 2, 1, 4
    model = transparent(student, reference, device, "Transformer", *sizes, given={"generator__bias": bias}).eval()
    assert trimmed(student.greedy_decode(model, torch.tensor([[1, 2]], device=device), BOS, EOS, 3)) == [[1, 5, 5, 5]]


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
def test_greedy_leaves_the_model_as_it_was(student, reference, device, changed_arguments):
    """greedy_decode: a model that was in train() is in train() afterwards; the source is not changed."""
    model, source = countdown(student, reference, device, {1: 4}), torch.tensor([[1, 1, 0]], device=device)
    model.train()
    assert trimmed(student.greedy_decode(model, source, BOS, EOS, 5)) == [[1, 4, 3, 2]]
    assert model.training is True, "the model was left in eval()"
    model.eval()
    student.greedy_decode(model, source, BOS, EOS, 5)
    assert model.training is False, "the model was left in train()"
    assert not changed_arguments, changed_arguments


# Step 7: spelling backwards

LETTERS, LENGTH, STEPS = 10, 6, 200


def draw_reversals(device, rows):
    source = torch.randint(3, 3 + LETTERS, (rows, LENGTH))
    ends = torch.full((rows, 1), BOS), torch.full((rows, 1), EOS)
    return source.to(device), torch.cat([ends[0], source.flip(1), ends[1]], dim=1).to(device)


def teach(model, device):
    """Train the student's model on this side, where its parameters are mirrored."""
    optimiser = torch.optim.Adam(list(model.parameters()), betas=(0.9, 0.98))
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = 5e-3 * min((step + 1) / 20, 1, 2.2 - 2 * step / STEPS)
        source, target = draw_reversals(device, 64)
        logits = model(source, target[:, :-1])
        loss = F.cross_entropy(logits.transpose(1, 2), target[:, 1:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


@torch.no_grad()
def write(model, source):
    target = torch.full((len(source), 1), BOS, device=source.device)
    for _ in range(LENGTH + 1):
        target = torch.cat([target, model(source, target)[:, -1:].argmax(dim=-1)], dim=1)
    return target


@torch.no_grad()
def what_each_word_hangs_on(model, source, target):
    """(LENGTH, LENGTH): how far the distribution of output t moves, on average, when letter s of the source changes."""
    before, moved = model(source, target[:, :-1]).softmax(dim=-1), []
    for place in range(LENGTH):
        other = source.clone()
        other[:, place] = 3 + (source[:, place] - 3 + torch.randint_like(source[:, place], 1, LETTERS)) % LETTERS
        after = model(other, target[:, :-1]).softmax(dim=-1)
        moved.append((after - before).abs().sum(dim=-1)[:, :LENGTH].mean(dim=0) / 2)
    return torch.stack(moved, dim=1)


@torch.no_grad()
def cross_attention(model, ours, source, target):
    """(LENGTH, LENGTH): the weights of the cross-attention, if the reference with the model's weights is the model."""
    weights = dict(model.named_parameters())
    if weights.keys() != ours.state_dict().keys():
        return None
    ours.load_state_dict({name: weight.detach() for name, weight in weights.items()})
    expected = ours(source, target[:, :-1])
    if not torch.allclose(model(source, target[:, :-1]), expected, rtol=1e-3, atol=1e-3):
        return None
    return ours.decoder.layers[0].cross_attn.seen.mean(dim=(0, 1))[:LENGTH]


@pytest.mark.points(3)
@pytest.mark.training
@pytest.mark.cpu(20)
@pytest.mark.stand_in(*PARTS)
def test_it_learns_to_spell_backwards(student, reference, device):
    """The whole: your model learns to write words backwards, and looks at the mirrored place while it writes."""
    sizes = 3 + LETTERS, 3 + LETTERS, 32, 1, 1, 64
    ours = reference.Transformer(*sizes, dropout=0.0).to(device)
    model = loaded(student.Transformer(*sizes, dropout=0.0), device, ours.state_dict())
    loss = teach(model, device)
    model.eval()
    source, target = draw_reversals(device, 200)
    written = write(model, source)
    right = (written == target).all(dim=1).float().mean().item()
    assert right >= 0.9, f"{right:.0%} of new words were spelt backwards (loss {loss:.3f})"
    hangs, mirror = what_each_word_hangs_on(model, source, target), torch.arange(LENGTH, device=device).flip(0)
    seen = cross_attention(model, ours, source, target)
    for weights in (hangs, seen):
        if weights is None:
            continue
        assert torch.equal(weights.argmax(dim=1), mirror), "some letter does not come from its mirrored place"
        mass = (weights.gather(1, mirror[:, None])[:, 0] / weights.sum(dim=1)).mean().item()
        assert mass > 0.5, f"only {mass:.2f} of the weight is on the mirrored place"


# Step 8: the experiment


def longest_chain(result):
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


@pytest.mark.points(1)
def test_the_reported_chains_are_counted(student, reference):
    """The experiment: both numbers are what a count gives, allowing for other ways to compute the same."""
    reported = student.steps_of_rnn, student.steps_of_encoder
    assert all(isinstance(number, (int, float, torch.Tensor)) for number in reported), f"no numbers: {reported}"
    cell, state, x = nn.GRUCell(8, 8), torch.zeros(1, 8), torch.randn(1, 100, 8)
    for t in range(100):
        state = cell(x[:, t], state)
    rnn, encoder = longest_chain(state), longest_chain(reference.Encoder(2, 8, 2, 16, dropout=0.0)(x))
    assert rnn - 1 <= float(reported[0]) <= rnn + 2, f"{reported[0]} was reported for the RNN, {rnn} counted"
    assert 0.6 * encoder <= float(reported[1]) <= 2 * encoder, f"{reported[1]} was reported, {encoder} counted"


# Step 9: a key–value cache and beam search


def step_by_step(student, model, source, target):
    cache, logits = student.start_decoding(model, source), []
    for place in range(target.size(1)):
        answer = student.decode_step(model, target[:, place], cache)
        assert isinstance(answer, (tuple, list)) and len(answer) == 2, "expected the logits and the cache"
        logits.append(answer[0])
        assert isinstance(logits[-1], torch.Tensor) and logits[-1].dim() == 2, "expected logits (B, V)"
        cache = answer[1]
    return torch.stack(logits, dim=1)


@pytest.mark.points(1.5)
@pytest.mark.stand_in("FeedForward", "Encoder")
@pytest.mark.parametrize("norm_first", [False, True], ids=["post", "pre"])
@torch.no_grad()
def test_cached_equals_uncached(student, reference, device, suspect, norm_first):
    """The cache: word by word, the logits are those of the whole target at once."""
    theirs, ours = twins(student, reference, device, "Transformer", *WHOLE, norm_first=norm_first)
    theirs.eval(), ours.eval()
    source, target = draw_pair(device)
    answer = step_by_step(student, theirs, source, target)
    equals_the_whole(answer, theirs, ours, source, target, target != PAD, Suspicion(suspect, reference))


def equals_the_whole(answer, theirs, ours, source, target, real, suspicion):
    """The logits are those of the reference, or else those of the student's own model, all at once."""
    assert alive(answer).shape == (*target.shape, VOCABULARIES[1])
    expected = ours(source, target)
    if not torch.allclose(answer[real], expected[real], *ABOUT):
        whole = theirs(source, target)
        suspicion.look(answer, ours, source, target, real)
        close(answer[real], whole[real], rounding=ABOUT)


class Suspicion:
    """A cache may be made of anything, so that known mistakes can't be replayed on it: their logits are made here."""

    def __init__(self, suspect, reference):
        self.suspect, self.attend, self.positions = suspect, reference.attend, reference.positions

    def look(self, answer, ours, source, target, real):
        """Name the mistakes that would give these logits. ours: the reference."""
        for mistake, logits in self.known(ours, source, target):
            if torch.allclose(answer[real], logits[real], *ABOUT):
                self.suspect(mistake)

    def known(self, ours, source, target):
        order, padded = causal(target.size(1), target.device), (target != ours.target_pad)[:, None, :]
        mask, memory_mask = order & padded, (source != ours.source_pad)[:, None, :]
        everywhere = torch.ones_like(memory_mask)
        memory, unmasked = (ours.encoder(ours.embed(ours.source_embedding, source), m) for m in (memory_mask, everywhere))
        x = ours.target_embedding(target) * math.sqrt(ours.target_embedding.embedding_dim)
        words = x + self.positions(x)
        for mistake, inputs in (
            ("every-word-first", (x + self.positions(x[:, :1]), memory, mask, memory_mask)),
            ("cache-counts-from-one", (x + self.positions(x, 1), memory, mask, memory_mask)),
            ("cache-forgets", (words, memory, mask & order.T, memory_mask)),
            ("cache-sees-target-padding", (words, memory, order, memory_mask)),
            ("cache-reads-source-padding", (words, memory, mask, everywhere)),
            ("cache-reads-source-padding", (words, unmasked, mask, everywhere)),
            ("cache-reads-source-padding", (words, unmasked, mask, memory_mask)),
        ):
            yield mistake, ours.generator(ours.decoder(*inputs))
        if ours.decoder.norm is not None:
            yield "cache-without-final-norm", ours.generator(self.through(ours, words, memory, mask, memory_mask))
            x = self.through(ours, words, memory, mask, memory_mask, raw=True)
            yield "cache-before-the-norm", ours.generator(ours.decoder.norm(x))

    def through(self, ours, x, memory, mask, memory_mask, raw=False):
        """The pre-norm layers alone. raw: keys and values of self-attention from words that are not normalised."""
        for layer in ours.decoder.layers:
            y = layer.norm1(x)
            x = x + self.attend(layer.self_attn, y, x if raw else y, mask)
            x = x + self.attend(layer.cross_attn, layer.norm2(x), memory, memory_mask)
            x = x + layer.feed_forward(layer.norm3(x))
        return x


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward", "Encoder")
@torch.no_grad()
def test_a_cache_knows_padding(student, reference, device, suspect):
    """The cache: padding is hidden here too, in the source and in the target, on the left as well."""
    theirs, ours = twins(student, reference, device, "Transformer", *WHOLE, source_pad=3, target_pad=5)
    theirs.eval(), ours.eval()
    source, target = draw_words(device, 3, 6, first=4), torch.randint(6, 13, (3, 6)).to(device)
    source[1, 3:], target[0, :2], target[2, 3], target[1, 0] = 3, 5, 5, 0
    answer = step_by_step(student, theirs, source, target)
    equals_the_whole(answer, theirs, ours, source, target, target != 5, Suspicion(suspect, reference))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("FeedForward", "Encoder")
@torch.no_grad()
def test_two_caches_do_not_meet(student, reference, device, suspect):
    """The cache: two sentences written in turn, by one model, do not get in each other's way; one alone is no other."""
    model = only(student, reference, device, "Transformer", *WHOLE).eval()
    pairs = [draw_pair(device), draw_pair(device)]
    apart = [step_by_step(student, model, *pair) for pair in pairs]
    close(step_by_step(student, model, *(words[:1] for words in pairs[0])), alive(apart[0])[:1], rounding=ABOUT)
    caches = [student.start_decoding(model, source) for source, _ in pairs]
    for place in range(5):
        for i, (_, target) in enumerate(pairs):
            logits, caches[i] = student.decode_step(model, target[:, place], caches[i])
            wanted = alive(apart[i])[:, place]
            if not torch.allclose(alive(logits), wanted, *ABOUT):
                again = step_by_step(student, model, *pairs[i])
                if torch.allclose(again, apart[i], *ABOUT):  # what comes out hangs on what else is being written
                    suspect("cache-kept-in-the-model")
            close(logits, wanted, rounding=ABOUT)


def draw_writer(student, reference, device, vocab=6, end=0.3):
    """A small Transformer, twice, that never writes padding or bos. end: the higher, the sooner it ends."""
    sizes = 11, vocab, 12, 3, 1, 20
    theirs, ours = student.Transformer(*sizes, dropout=0.0), reference.Transformer(*sizes, dropout=0.0)
    weights = draw_weights(ours)
    weights["generator.weight"] *= 0.7
    weights["generator.bias"][:2], weights["generator.bias"][EOS] = -40, end
    return loaded(theirs, device, weights).eval(), loaded(ours, device, weights).eval(), weights


TEMPTING = {BOS: {EOS: 0.3, 3: 0.4, 4: 0.3}, 3: {EOS: 0.5, 4: 0.5}, 4: {EOS: 1}, EOS: {5: 1}, 5: {5: 1}}
WIDE = {EOS: {EOS: 1}, 4: {EOS: 0.4, 3: 0.32, 4: 0.28}, 5: {5: 1}, BOS: {EOS: 0.4, 3: 0.35, 4: 0.25}}
THIRD_IS_TEMPTING = WIDE | {3: {EOS: 0.4, 4: 0.35, 5: 0.25}}  # to a beam of 2 that grows once something has ended
SECOND_IS_RIGHT = WIDE | {3: {4: 0.5, 5: 0.3, EOS: 0.2}}  # and lost by a beam of 2 that shrinks
SHORT = {BOS: {3: 0.6, 4: 0.4}, 3: {3: 0.45, 5: 0.3, EOS: 0.25}, 4: {EOS: 1}, 5: {EOS: 0.6, 5: 0.4}, EOS: {EOS: 1}}
ENDLESS = {BOS: {EOS: 0.1, 3: 0.9}, 3: {EOS: 0.1, 4: 0.9}, 4: {EOS: 0.1, 5: 0.9}, 5: {EOS: 0.1, 3: 0.9}, EOS: {EOS: 1}}


def writer_by_table(student, reference, device, chances):
    """A Transformer that knows nothing but the word before: `chances` of the next one, whatever the source.

    All that the layers add is zero, and the norms leave an embedding of this kind as it is.
    """
    sizes = 11, 6, 12, 3, 1, 20
    theirs, ours = student.Transformer(*sizes, dropout=0.0), reference.Transformer(*sizes, dropout=0.0)
    weights = {name: torch.zeros_like(tensor) for name, tensor in ours.state_dict().items()}
    weights |= {name: torch.ones_like(tensor) for name, tensor in weights.items() if "norm" in name and "weight" in name}
    signs = torch.eye(6).repeat_interleave(2, dim=1) * torch.tensor([1.0, -1.0]).repeat(6)  # (words, 12)
    weights["target_embedding.weight"] = 1e4 * signs  # beside it, positions are nothing
    logs = torch.full((6, 6), -20.0)
    for before, following in chances.items():
        for word, chance in following.items():
            logs[word, before] = math.log(chance)
    weights["generator.weight"] = logs @ signs / (2 * math.sqrt(6))
    return loaded(theirs, device, weights).eval()


def best_by_table(chances, length):
    """The best of all sentences up to `length` words, with bos, and its score."""
    found, open_ = [], [([BOS], 0.0)]
    for step in range(1, length + 1):
        longer = [
            ([*words, word], total + math.log(chance))
            for words, total in open_
            for word, chance in chances[words[-1]].items()
        ]
        found += [(total / step, words) for words, total in longer if words[-1] == EOS or step == length]
        open_ = [(words, total) for words, total in longer if words[-1] != EOS]
    best, words = max(found)
    return words, best


def searched(answer, rows):
    assert isinstance(answer, (tuple, list)) and len(answer) == 2, "expected the pair of sentences and scores"
    assert isinstance(answer[1], torch.Tensor) and answer[1].shape == (rows,), "expected a score for each row"
    sentences = trimmed(answer[0])
    assert len(sentences) == rows
    return sentences, answer[1]


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
def test_a_beam_of_one_is_greedy(student, reference, device):
    """beam_search: with a beam of 1 it writes the most likely next word, and scores what it wrote."""
    model, _, _ = draw_writer(student, reference, device, end=-30.0)
    source, _ = draw_pair(device)
    sentences, scores = searched(student.beam_search(model, source, bos=BOS, eos=EOS, beam_size=1, max_length=5), 3)
    follow_the_model(model, source, sentences, 5)
    close(scores, score(model, source, sentences), rounding=(1e-3, 1e-3))


def score(model, source, sentences):
    """Log-probability divided by length, for a sentence of each row."""
    ids = torch.tensor(sentences, device=source.device)
    chosen = model(source, ids[:, :-1]).log_softmax(dim=-1).gather(-1, ids[:, 1:, None])[..., 0]
    ends = (ids[:, 1:] == EOS).long()
    counts = ends.cumsum(dim=1) - ends == 0  # up to and with eos
    return (chosen * counts).sum(dim=1) / counts.sum(dim=1)


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
@pytest.mark.parametrize("end", [0.3, -5.0], ids=["short", "long"])
def test_the_widest_beam_finds_the_best(student, reference, device, end):
    """beam_search: a beam in which everything has room finds the sentence with the best score of all."""
    model, _, _ = draw_writer(student, reference, device, end=end)
    source = draw_words(device, 2, 4)
    sentences, scores = searched(student.beam_search(model, source, BOS, EOS, 6**3, 3), 2)
    words = [3, 4, 5]
    every = [[BOS, EOS, PAD, PAD], *([BOS, one, EOS, PAD] for one in words)]
    every += [[BOS, one, two, three] for one in words for two in words for three in (EOS, *words)]
    for row in range(2):
        best = score(model, source[row : row + 1].expand(len(every), -1), every).max()
        close(scores[row], best, rounding=(1e-3, 1e-3))
        found = score(model, source[row : row + 1], sentences[row : row + 1])
        close(found[0], best, rounding=(1e-3, 1e-3))
    chances = SHORT if end > 0 else ENDLESS
    finds_by_table(student, reference, device, chances, 6**3, 3, *best_by_table(chances, 3))


def finds_by_table(student, reference, device, chances, size, length, sentence, best):
    """beam_search finds this sentence for both of two sources, and gives it this score."""
    model, source = writer_by_table(student, reference, device, chances), draw_words(device, 2, 4)
    sentences, scores = searched(student.beam_search(model, source, BOS, EOS, size, length), 2)
    assert sentences == [sentence, sentence]
    close(scores, torch.full((2,), best, device=device), rounding=(1e-3, 1e-3))


@pytest.mark.points(0.5)
@pytest.mark.stand_in(*PARTS, "Transformer")
@pytest.mark.parametrize("chances", [TEMPTING, ENDLESS], ids=["words after the end", "no end"])
@torch.no_grad()
def test_the_beam_knows_what_has_ended(student, reference, device, chances):
    """beam_search: what has ended is set aside, and what is still open after the last step counts as it is."""
    for size, length in ((20, 4), (20, 3), (3, 4)):
        finds_by_table(student, reference, device, chances, size, length, *best_by_table(chances, length))


@pytest.mark.points(1)
@pytest.mark.stand_in(*PARTS, "Transformer")
@torch.no_grad()
def test_a_narrow_beam_drops_the_right_ones(student, reference, device):
    """beam_search: with a beam of 2 or 3 it finds what the given procedure finds, for each row of the batch."""
    for chances, sentence, best in (
        (THIRD_IS_TEMPTING, [BOS, EOS], math.log(0.4)),
        (SECOND_IS_RIGHT, [BOS, 3, 5, 5, 5], math.log(0.35 * 0.3) / 4),
        (SHORT, [BOS, 4, EOS], math.log(0.4) / 2),
    ):
        finds_by_table(student, reference, device, chances, 2, 4, sentence, best)
    compared, tried = 0, 0
    while compared < 2 and tried < 12:
        tried += 1
        model, ours, weights = draw_writer(student, reference, device, vocab=9)
        source, size = draw_words(device, 3, 4), 2 + tried % 2
        sentences, scores = searched(student.beam_search(model, source, BOS, EOS, size, 6), 3)
        expected = reference.beam_search(ours, source, BOS, EOS, size, 6)
        nudged = {name: weight * (1 + 1e-3 * torch.randn_like(weight)) for name, weight in weights.items()}
        again = reference.beam_search(loaded(ours, device, nudged), source, BOS, EOS, size, 6)
        if trimmed(again[0]) == trimmed(expected[0]):  # nothing hangs on a hair
            assert sentences == trimmed(expected[0])
            close(scores, expected[1], rounding=(1e-3, 1e-3))
            compared += 1
    assert compared, "every sentence hung on a hair"
