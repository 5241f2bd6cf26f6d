"""What splitting, merging, the two masks and multi-head attention must do: laws first, values second.

The checks of MultiHeadAttention are judged with the reference's split_heads, merge_heads and masks where the student's
own do not hold, so that a step costs its own points and no others.
"""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

SINGLE, DOUBLE, HALF, BRAIN = torch.float32, torch.float64, torch.float16, torch.bfloat16
ROUNDING = {SINGLE: (1e-4, 1e-5), DOUBLE: (1e-9, 1e-9), HALF: (2e-2, 2e-2), BRAIN: (1e-1, 1e-1)}
LINEARS = ("q_proj", "k_proj", "v_proj", "out_proj")


def draw(device, *shape, dtype=SINGLE):
    """Normal numbers, the same on every device."""
    return torch.randn(shape, dtype=DOUBLE).to(device, dtype)


def draw_mask(device, *shape):
    """A random mask in which two keys may be seen by all and two by none."""
    mask = torch.rand(shape) < 0.5
    order = torch.randperm(shape[-1])
    mask[..., order[:2]] = True
    mask[..., order[2:4]] = False
    return mask.to(device)


def draw_weights(device, d_model, dtype=SINGLE):
    """Weights with which no softmax is flat or saturated, whatever the width; biases that count."""
    weights = {}
    for name in LINEARS:
        weights[f"{name}.weight"] = 1.1 * draw(device, d_model, d_model, dtype=dtype) / d_model**0.5
        weights[f"{name}.bias"] = 0.5 * draw(device, d_model, dtype=dtype)
    return weights


def attention_with(student, device, suspect, weights, num_heads):
    """The student's MultiHeadAttention with `weights`, in their dtype, in eval(): one check looks at training."""
    dtype = weights["q_proj.bias"].dtype
    attention = student.MultiHeadAttention(len(weights["q_proj.bias"]), num_heads).to(device)
    if dtype != SINGLE:
        attention.to(dtype)
    try:
        attention.load_weights(weights)
    except Exception:
        found = set(attention.state_dict())
        suspect("no-biases" if found < set(weights) else "weights-renamed")
        raise
    return attention.eval()


def pair(answer, output_shape=None, weights_shape=None):
    """The output and the weights, if that is what came back."""
    assert isinstance(answer, (tuple, list)), f"expected (output, weights), got {type(answer).__name__}"
    assert len(answer) == 2, f"expected (output, weights), got {len(answer)} results"
    assert all(isinstance(part, torch.Tensor) for part in answer), "expected two tensors"
    output, weights = answer
    assert output_shape is None or output.shape == output_shape, f"output {tuple(output.shape)}, not {output_shape}"
    assert weights_shape is None or weights.shape == weights_shape, f"weights {tuple(weights.shape)}"
    return output, weights


def choosy(answer, *shapes):
    """The same, if some query prefers some key: an even mixture of all values would keep many a law."""
    output, weights = pair(answer, *shapes)
    smallest = weights.masked_fill(weights == 0, torch.inf).amin(dim=-1)
    single = (weights != 0).sum(dim=-1) == 1
    assert ((weights.amax(dim=-1) > 1.001 * smallest) | single).any(), "no query prefers any key"
    return output, weights


def close(answer, expected, rounding=None):
    """Same shape, dtype and device, and the same values within rounding."""
    rtol, atol = rounding or ROUNDING[expected.dtype]
    assert_close(answer, expected, rtol=rtol, atol=atol)


def is_nothing(gradient):
    """No more than rounding leaves, where gradients that matter are near one."""
    return bool((gradient.abs() < 1e-4).all())


def agree(answer, expected, rounding=None):
    for part, wanted in zip(pair(answer), expected, strict=True):
        close(part, wanted, rounding)


def alike(answer, expected):
    """Whether they agree."""
    try:
        agree(answer, expected)
    except AssertionError:
        return False
    return True


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def piece(x, head, num_heads):
    """The part of (..., d) that belongs to one head."""
    width = x.size(-1) // num_heads
    return x[..., head * width : (head + 1) * width]


# split_heads and merge_heads


@pytest.mark.points(1.5)
@pytest.mark.parametrize(
    ("batch", "length", "d_model", "num_heads"), [(2, 5, 12, 3), (3, 4, 6, 6), (1, 7, 4, 1), (4, 1, 10, 2)], ids=str
)
def test_split_gives_each_head_its_piece(student, device, batch, length, d_model, num_heads):
    """split_heads: head i gets the i-th piece of each vector, and stands before the tokens."""
    x = draw(device, batch, length, d_model, dtype=DOUBLE)
    heads = student.split_heads(x, num_heads)
    assert isinstance(heads, torch.Tensor), "expected a tensor"
    assert heads.shape == (batch, num_heads, length, d_model // num_heads), tuple(heads.shape)
    for head in range(num_heads):
        close(heads[:, head], piece(x, head, num_heads))


@pytest.mark.points(0.5)
def test_split_takes_views(student, device, changed_arguments):
    """split_heads: transposed, sliced and expanded tensors are as good as any; nothing is changed, and gradients flow."""
    views = draw(device, 5, 2, 12).transpose(0, 1), draw(device, 1, 5, 24)[..., ::2].expand(3, 5, 12)
    for x in views:
        heads = student.split_heads(x, 4)
        assert heads.shape == (len(x), 4, 5, 3), tuple(heads.shape)
        assert_close(heads.transpose(1, 2).reshape(x.shape), x, rtol=0, atol=0)
    x, factors = draw(device, 2, 5, 12).requires_grad_(), draw(device, 2, 5, 12)
    heads = student.split_heads(x, 4)
    (heads * factors.reshape(2, 5, 4, 3).transpose(1, 2)).sum().backward()
    close(x.grad, factors)
    assert not changed_arguments, changed_arguments


@pytest.mark.points(1.5)
@pytest.mark.parametrize(
    ("batch", "num_heads", "length", "width"), [(2, 3, 5, 4), (3, 6, 4, 1), (1, 1, 7, 4), (4, 2, 1, 5)], ids=str
)
def test_merge_puts_pieces_side_by_side(student, device, batch, num_heads, length, width):
    """merge_heads: each token gets the pieces of all heads back, that of head 0 first."""
    heads = draw(device, batch, num_heads, length, width, dtype=DOUBLE)
    merged = student.merge_heads(heads)
    assert isinstance(merged, torch.Tensor), "expected a tensor"
    close(merged, torch.cat(heads.unbind(dim=1), dim=-1))


@pytest.mark.points(0.5)
def test_merge_takes_views(student, device, changed_arguments):
    """merge_heads: transposed, sliced and expanded tensors are as good as any; nothing is changed, and gradients flow."""
    views = draw(device, 2, 5, 3, 4).transpose(1, 2), draw(device, 2, 1, 5, 8)[..., ::2].expand(2, 3, 5, 4)
    for heads in views:
        merged = student.merge_heads(heads)
        close(merged, torch.cat(heads.unbind(dim=1), dim=-1))
    heads, factors = draw(device, 2, 3, 5, 4).requires_grad_(), draw(device, 2, 5, 12)
    (student.merge_heads(heads) * factors).sum().backward()
    close(heads.grad, factors.reshape(2, 5, 3, 4).transpose(1, 2))
    assert not changed_arguments, changed_arguments


# The masks


def same_mask(mask, expected):
    assert isinstance(mask, torch.Tensor), f"expected a tensor, got {type(mask).__name__}"
    assert mask.dtype == torch.bool, f"expected a boolean mask, got {mask.dtype}"
    assert mask.shape == expected.shape, f"expected {tuple(expected.shape)}, got {tuple(mask.shape)}"
    assert torch.equal(mask, expected.to(mask.device)), "true and false are not where they should be"


@pytest.mark.points(1)
@pytest.mark.parametrize("n", [7, 2, 1])
def test_causal_mask_looks_back(student, n):
    """causal_mask: boolean, true on and below the diagonal."""
    same_mask(student.causal_mask(n), torch.tensor([[j <= i for j in range(n)] for i in range(n)]))


@pytest.mark.points(0.5)
def test_causal_mask_goes_where_it_is_sent(student, device):
    """causal_mask: it is made on the device that is asked for."""
    assert student.causal_mask(5, device).device.type == device.type
    assert student.causal_mask(4, device=device).device.type == device.type
    with pytest.raises(RuntimeError):
        student.causal_mask(3, device="nowhere")


@pytest.mark.points(1)
@pytest.mark.parametrize("pad_id", [0, 3])
def test_padding_mask_hides_padding(student, device, pad_id):
    """padding_mask: (B, 1, 1, S), boolean, true at real tokens, whichever token is the padding and wherever it stands."""
    tokens = torch.tensor([[5, 1, 3, 0, 0, 0], [0, 3, 4, 3, 0, 9], [3, 3, 7, 3, 3, 3], [2, 6, 5, 1, 8, 4]])
    tokens = torch.cat([tokens, torch.full((1, 6), pad_id), torch.randint(10, (2, 6))])
    expected = torch.tensor([[[[token != pad_id for token in row]]] for row in tokens.tolist()])
    same_mask(student.padding_mask(tokens.to(device), pad_id), expected)
    if pad_id:
        same_mask(student.padding_mask(tokens[:1, :1].to(device), pad_id), expected[:1, ..., :1])


# Multi-head attention: values


@pytest.mark.points(2.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@pytest.mark.parametrize(
    ("batch", "length", "source", "d_model", "num_heads", "dtype"),
    [(3, 5, 5, 12, 4, DOUBLE), (2, 4, 7, 15, 3, SINGLE), (2, 6, 6, 10, 1, SINGLE), (3, 2, 5, 6, 6, DOUBLE)],
    ids=["self", "cross", "one head", "heads of width 1"],
)
@torch.no_grad()
def test_agrees_with_the_reference(student, reference, device, suspect, batch, length, source, d_model, num_heads, dtype):
    """MultiHeadAttention: output and weights are right for given weights, in float32 and float64, for any sizes."""
    weights = draw_weights(device, d_model, dtype)
    query, key, value = (draw(device, batch, size, d_model, dtype=dtype) for size in (length, source, source))
    if num_heads == 4:
        key = value = query
    attention = attention_with(student, device, suspect, weights, num_heads)
    output, shares = pair(attention(query, key, value))
    expected = reference.MultiHeadAttention(d_model, num_heads).to(device, dtype)
    expected.load_state_dict(weights)
    wanted = expected(query, key, value)
    if not alike((output, shares), wanted) and not alike(attention(query, key, value), (output, shares)):
        suspect("dropout-never-ends")
    agree((output, shares), wanted)


@pytest.mark.points(2)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_agrees_with_torch(student, device, suspect):
    """MultiHeadAttention: agrees with nn.MultiheadAttention that has the same weights and hides the same keys."""
    weights = draw_weights(device, 12, DOUBLE)
    query, key, value = (draw(device, 2, size, 12, dtype=DOUBLE) for size in (5, 7, 7))
    mask = draw_mask(device, 2, 3, 5, 7)
    answer = attention_with(student, device, suspect, weights, 3)(query, key, value, mask)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True, device=device, dtype=DOUBLE)
    packed = {
        "in_proj_weight": torch.cat([weights[f"{name}.weight"] for name in LINEARS[:3]]),
        "in_proj_bias": torch.cat([weights[f"{name}.bias"] for name in LINEARS[:3]]),
    }
    theirs.load_state_dict(packed | {name: weights[name] for name in ("out_proj.weight", "out_proj.bias")})
    agree(answer, theirs(query, key, value, attn_mask=~mask.reshape(6, 5, 7), average_attn_weights=False))


@pytest.mark.points(1)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_scores_have_the_right_size(student, device, suspect):
    """MultiHeadAttention: the scores keep their size, however many heads there are and however wide they are."""
    for d_model, num_heads in ((12, 2), (16, 8)):
        weights = draw_weights(device, d_model)
        query, key, value = (draw(device, 2, size, d_model) for size in (3, 4, 4))
        attention = attention_with(student, device, suspect, weights, num_heads)
        _, shares = pair(attention(query, key, value), None, (2, num_heads, 3, 4))
        width = d_model // num_heads
        for head in range(num_heads):
            queries = piece(linear(query, weights, "q_proj"), head, num_heads)
            keys = piece(linear(key, weights, "k_proj"), head, num_heads)
            products = queries @ keys.transpose(-2, -1)
            gaps = (products - products[..., :1]) / width**0.5
            assert_close(shares[:, head].log() - shares[:, head, :, :1].log(), gaps, rtol=1e-3, atol=1e-3)


@pytest.mark.points(1)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_output_is_the_mixture(student, device, suspect):
    """MultiHeadAttention: in each head each query shares out exactly 1, and the output is the values mixed in these shares."""
    weights = draw_weights(device, 12)
    query, key, value = (draw(device, 2, size, 12) for size in (4, 5, 5))
    output, shares = pair(attention_with(student, device, suspect, weights, 3)(query, key, value), (2, 4, 12), (2, 3, 4, 5))
    assert (shares >= 0).all(), "a weight is negative"
    close(shares.sum(dim=-1), torch.ones(2, 3, 4, device=device))
    values = linear(value, weights, "v_proj")
    context = torch.cat([shares[:, head] @ piece(values, head, 3) for head in range(3)], dim=-1)
    close(output, linear(context, weights, "out_proj"))


# Multi-head attention: heads


@pytest.mark.points(1.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_heads_have_nothing_to_do_with_one_another(student, device, suspect):
    """MultiHeadAttention: another head with other weights leaves a head as it was."""
    weights = draw_weights(device, 12)
    weights["out_proj.weight"] = torch.eye(12, device=device)
    weights["out_proj.bias"] = torch.zeros(12, device=device)
    other = {name: tensor.clone() for name, tensor in weights.items()}
    for name in LINEARS[:3]:
        other[f"{name}.weight"][4:8] = draw(device, 4, 12)
        other[f"{name}.bias"][4:8] = draw(device, 4)
    query, key, value = (draw(device, 2, size, 12) for size in (4, 5, 5))
    attention = attention_with(student, device, suspect, weights, 3)
    output, shares = choosy(attention(query, key, value), (2, 4, 12), (2, 3, 4, 5))
    attention.load_weights(other)
    changed_output, changed_shares = pair(attention(query, key, value))
    for head in (0, 2):
        close(changed_shares[:, head], shares[:, head])
        close(piece(changed_output, head, 3), piece(output, head, 3))
    assert not torch.allclose(changed_shares[:, 1], shares[:, 1], atol=1e-3), "other weights gave the same shares"
    assert not torch.allclose(piece(changed_output, 1, 3), piece(output, 1, 3), atol=1e-3), "and the same output"


@pytest.mark.points(1)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_a_head_is_removed_by_its_columns(student, device, suspect):
    """MultiHeadAttention: a head is removed by clearing its columns of out_proj, and the others stay as they were."""
    weights = draw_weights(device, 12)
    query, key, value = (draw(device, 2, size, 12) for size in (4, 5, 5))
    attention = attention_with(student, device, suspect, weights, 3)
    _, shares = choosy(attention(query, key, value), (2, 4, 12), (2, 3, 4, 5))
    for head in (0, 2):
        alone = weights["out_proj.weight"].clone()
        alone[:, : 4 * head] = 0
        alone[:, 4 * head + 4 :] = 0
        attention.load_weights(weights | {"out_proj.weight": alone})
        output, same = pair(attention(query, key, value))
        close(same, shares)
        mixed = shares[:, head] @ piece(linear(value, weights, "v_proj"), head, 3)
        close(output, mixed @ weights["out_proj.weight"][:, 4 * head : 4 * head + 4].T + weights["out_proj.bias"])


@pytest.mark.points(0.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_refuses_heads_that_do_not_fit(student, device):
    """MultiHeadAttention: any number of heads that divides the width will do; any other is a ValueError."""
    x = draw(device, 2, 3, 12)
    for num_heads in (2, 12):
        pair(student.MultiHeadAttention(12, num_heads).to(device)(x, x, x), (2, 3, 12), (2, num_heads, 3, 3))
    for num_heads in (5, 24):
        with pytest.raises(ValueError):
            student.MultiHeadAttention(12, num_heads).to(device)(x, x, x)


# Multi-head attention: masks


@pytest.mark.points(1.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_takes_masks_of_any_shape(student, device, suspect):
    """MultiHeadAttention: masks broadcast to (B, h, L, S) as they stand: per query, per item, per head."""
    query, key, value = (draw(device, 2, size, 12) for size in (4, 5, 5))
    attention = attention_with(student, device, suspect, draw_weights(device, 12), 3)
    for shape in ((2, 3, 4, 5), (4, 5), (2, 1, 1, 5), (3, 1, 5), (2, 1, 4, 5)):
        mask = draw_mask(device, *shape)
        answer = choosy(attention(query, key, value, mask), (2, 4, 12), (2, 3, 4, 5))
        assert torch.equal(answer[1] != 0, mask.expand(2, 3, 4, 5)), f"{shape}: zeros are not where the mask is false"
    agree(answer, attention(query, key, value, mask.expand(2, 3, 4, 5).clone()))
    x = draw(device, 3, 5, 12)  # as many items as heads, as many queries as keys: only the order tells
    mask = draw_mask(device, 3, 5, 5)
    _, weights = choosy(attention(x, x, x, mask), (3, 5, 12), (3, 3, 5, 5))
    assert torch.equal(weights != 0, mask.expand(3, 3, 5, 5)), "a mask of three dimensions is (h, L, S)"


@pytest.mark.points(1)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_hiding_is_like_removing(student, device, suspect):
    """MultiHeadAttention: hiding a key is the same as removing it, whatever it holds."""
    query, key, value = (draw(device, 3, size, 12) for size in (4, 7, 7))
    attention = attention_with(student, device, suspect, draw_weights(device, 12), 3)
    order = torch.randperm(7)
    seen, hidden = order[:4].sort().values.to(device), order[4:].to(device)
    mask = torch.zeros(1, 7, dtype=torch.bool, device=device).index_fill(1, seen, True)
    key[:, hidden] *= 300
    value[:, hidden] *= -300
    output, weights = choosy(attention(query, key, value, mask), (3, 4, 12), (3, 3, 4, 7))
    assert (weights[..., hidden] == 0).all(), "a hidden key has some weight"
    assert (weights[..., seen] > 0).all(), "a key that may be seen has none"
    agree(attention(query, key[:, seen], value[:, seen]), (output, weights[..., seen]))


@pytest.mark.points(1)
@pytest.mark.stand_in("padding_mask", "split_heads", "merge_heads")
@torch.no_grad()
def test_padding_is_never_read(student, device, suspect):
    """MultiHeadAttention under padding_mask: each text gives what it gives alone, whatever stands at the padding."""
    tokens = torch.tensor([[7, 2, 5, 9, 9, 9], [3, 1, 8, 4, 6, 2], [5, 6, 0, 2, 9, 9]], device=device)
    text, weights = draw(device, 3, 6, 12), draw_weights(device, 12)
    mask = student.padding_mask(tokens, 9)
    attention = attention_with(student, device, suspect, weights, 4)
    output, _ = choosy(attention(text, text, text, mask), (3, 6, 12), (3, 4, 6, 6))
    other = torch.where((tokens == 9).unsqueeze(-1), 20 * draw(device, 3, 6, 12), text)
    again, _ = pair(attention(other, other, other, mask))
    for item, length in ((0, 3), (2, 4)):
        alone, _ = pair(attention(*[text[item : item + 1, :length]] * 3))
        close(output[item : item + 1, :length], alone)
        close(again[item, :length], output[item, :length])


@pytest.mark.points(1)
@pytest.mark.stand_in("causal_mask", "split_heads", "merge_heads")
@torch.no_grad()
def test_the_future_is_never_read(student, device, suspect):
    """MultiHeadAttention under causal_mask: a later token moves no earlier output, and each token sees itself."""
    text, weights = draw(device, 2, 6, 12), draw_weights(device, 12)
    mask = student.causal_mask(6, device)
    attention = attention_with(student, device, suspect, weights, 3)
    output, shares = choosy(attention(text, text, text, mask), (2, 6, 12), (2, 3, 6, 6))
    close(shares[:, :, 0, 0], torch.ones(2, 3, device=device))
    for now in (1, 4):
        other = text.clone()
        other[:, now:] = draw(device, 2, 6 - now, 12)
        moved, _ = pair(attention(other, other, other, mask))
        close(moved[:, :now], output[:, :now])
        distance = (moved[:, now:] - output[:, now:]).abs().amax(dim=-1)
        assert (distance > 1e-3).all(), "a token was changed, and its own output was not"
    start = text[:, :4]
    alone, _ = pair(attention(start, start, start, mask[:4, :4]))
    close(alone, output[:, :4])


@pytest.mark.points(1)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_empty_rows_give_the_bias(student, device, suspect):
    """MultiHeadAttention: a query that may look nowhere gets zero weights, and out_proj.bias as its output."""
    query, key, value = (draw(device, 3, size, 12) for size in (4, 7, 7))
    weights = draw_weights(device, 12)
    attention = attention_with(student, device, suspect, weights, 3)
    some = draw_mask(device, 3, 1, 4, 7)
    some[1, :, 2] = False
    some[2] = False
    in_one_head = draw_mask(device, 3, 3, 4, 7)
    in_one_head[0, 1] = False
    every_other = torch.tensor([[True], [False], [True], [False]], device=device)
    for mask in (some, in_one_head, every_other):
        output, shares = choosy(attention(query, key, value, mask), (3, 4, 12), (3, 3, 4, 7))
        assert output.isfinite().all() and shares.isfinite().all(), "NaN or inf"
        empty = ~mask.expand(3, 3, 4, 7).any(dim=-1)
        assert (shares[empty] == 0).all(), "a query that may look nowhere has weights"
        nowhere = output[empty.all(dim=1)]
        close(nowhere, weights["out_proj.bias"].expand_as(nowhere))


@pytest.mark.points(1)
@pytest.mark.stand_in("split_heads", "merge_heads")
def test_empty_rows_have_no_gradient(student, device, suspect):
    """MultiHeadAttention: a query that may look nowhere brings no NaN into any gradient, and gets zero."""
    inputs = [draw(device, 3, size, 12).requires_grad_() for size in (4, 7, 7)]
    mask = draw_mask(device, 3, 1, 4, 7)
    mask[1, :, 2] = False
    mask[2] = False
    attention = attention_with(student, device, suspect, draw_weights(device, 12), 3)
    output, _ = pair(attention(*inputs, mask), (3, 4, 12), (3, 3, 4, 7))
    (output * draw(device, 3, 4, 12)).sum().backward()
    of_query, of_key, of_value = (torch.zeros_like(x) if x.grad is None else x.grad for x in inputs)
    for gradient in (of_query, of_key, of_value, *(parameter.grad for parameter in attention.parameters())):
        assert gradient is None or gradient.isfinite().all(), "NaN or inf in a gradient"
    assert is_nothing(of_query[1, 2]) and is_nothing(of_query[2]), "a query that may look nowhere has a gradient"
    assert is_nothing(of_key[2]) and is_nothing(of_value[2]), "nobody looks at a key, yet it has a gradient"
    assert (of_value[0] != 0).any(), "no gradient reaches the values"


# Multi-head attention: gradients


@pytest.mark.points(1.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_gradients_are_right(student, device, suspect, masked):
    """MultiHeadAttention: the gradients of all inputs and of all weights agree with finite differences."""
    inputs = [draw(device, 2, size, 6, dtype=DOUBLE).requires_grad_() for size in (3, 5, 5)]
    mask = draw_mask(device, 2, 1, 3, 5) if masked else None
    factors = draw(device, 2, 3, 6, dtype=DOUBLE)
    attention = attention_with(student, device, suspect, draw_weights(device, 6, DOUBLE), 2)
    tensors = [*inputs, *attention.parameters()]

    def loss():
        output, _ = choosy(attention(*inputs, mask), (2, 3, 6), (2, 2, 3, 5))
        return (output * factors).sum()

    before = loss()
    assert before.requires_grad, "the output is cut off from its inputs"
    before.backward()
    gradients = [torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for tensor in tensors]
    steps = [1e-8 * draw(device, *tensor.shape, dtype=DOUBLE) for tensor in tensors]
    promised = sum((gradient * step).sum() for gradient, step in zip(gradients, steps, strict=True))
    with torch.no_grad():
        for tensor, step in zip(tensors, steps, strict=True):
            tensor.add_(step)
        close(1e8 * promised, 1e8 * (loss() - before), rounding=(1e-5, 1e-5))


# Multi-head attention: whatever comes


@pytest.mark.points(1)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_order_is_no_matter(student, device, suspect):
    """MultiHeadAttention: tokens in another order give the same outputs in that order, and each item stands alone."""
    text, weights = draw(device, 4, 6, 12), draw_weights(device, 12)
    attention = attention_with(student, device, suspect, weights, 3)
    output, shares = choosy(attention(text, text, text), (4, 6, 12), (4, 3, 6, 6))
    order, items = torch.tensor([4, 0, 5, 2, 1, 3], device=device), torch.tensor([2, 0], device=device)
    moved = text[items][:, order]
    expected = output[items][:, order], shares[items][:, :, order][..., order]
    agree(attention(moved, moved, moved), expected)
    agree(attention(moved[:, :2].contiguous(), moved, moved), (expected[0][:, :2], expected[1][:, :, :2]))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_keeps_sizes_of_one(student, device, suspect):
    """MultiHeadAttention: a batch of one, one query, one key, one head, heads of width one: sizes of 1 stay dimensions."""
    sizes = ((1, 1, 1, 6, 2), (1, 3, 4, 6, 1), (2, 1, 4, 3, 3))
    for batch, length, source, d_model, num_heads in sizes:
        weights = draw_weights(device, d_model)
        query, key, value = (draw(device, batch, size, d_model) for size in (length, source, source))
        mask = torch.ones(1, source, dtype=torch.bool, device=device)
        attention = attention_with(student, device, suspect, weights, num_heads)
        answer = attention(query, key, value, mask)
        output, shares = pair(answer, (batch, length, d_model), (batch, num_heads, length, source))
        values = linear(value, weights, "v_proj")
        context = torch.cat([shares[:, head] @ piece(values, head, num_heads) for head in range(num_heads)], dim=-1)
        close(shares.sum(dim=-1), torch.ones(batch, num_heads, length, device=device))
        close(output, linear(context, weights, "out_proj"))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_takes_views_and_leaves_them(student, device, suspect, changed_arguments):
    """MultiHeadAttention: transposed, sliced and expanded tensors are as good as any, and no argument is changed."""
    query = draw(device, 4, 2, 12).transpose(0, 1)
    key = draw(device, 2, 12, 14)[..., ::2].transpose(-2, -1)
    value = draw(device, 1, 7, 12).expand(2, 7, 12)
    mask = draw_mask(device, 1, 7).expand(4, 7)
    attention = attention_with(student, device, suspect, draw_weights(device, 12), 3)
    answer = choosy(attention(query, key, value, mask), (2, 4, 12), (2, 3, 4, 7))
    plain = [tensor.contiguous() for tensor in (query, key, value, mask)]
    agree(answer, pair(attention(*plain)))
    choosy(attention(plain[1], plain[1], plain[1]))
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_survives_large_scores(student, device, suspect):
    """MultiHeadAttention: scores in the thousands, of either sign, give shares, and hidden keys none."""
    weights = draw_weights(device, 12)
    eye, zeros = torch.eye(12, device=device), torch.zeros(12, device=device)
    weights |= {"q_proj.weight": eye, "k_proj.weight": eye, "q_proj.bias": zeros, "k_proj.bias": zeros}
    key = 30 + draw(device, 2, 6, 12)
    key[:, 0] += 5  # the favourites of the queries that like large keys and of the one that likes small ones: hidden
    key[:, 1] -= 5
    query = 40 * torch.tensor([1.0, -1.0, 0.5], device=device)[:, None].expand(2, 3, 12)
    value = draw(device, 2, 6, 12)
    attention = attention_with(student, device, suspect, weights, 3)
    for mask in (None, torch.arange(6, device=device).unsqueeze(0) > 1):
        output, shares = choosy(attention(query, key, value, mask), (2, 3, 12), (2, 3, 3, 6))
        assert output.isfinite().all() and shares.isfinite().all(), "NaN or inf"
        close(shares.sum(dim=-1), torch.ones(2, 3, 3, device=device))
        if mask is not None:
            assert (shares.masked_select(~mask) == 0).all(), "a hidden key has some weight"


@pytest.mark.points(0.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@pytest.mark.parametrize("dtype", [HALF, BRAIN], ids=str)
@torch.no_grad()
def test_keeps_the_dtype(student, device, suspect, dtype):
    """MultiHeadAttention: float16 and bfloat16 come back as they went in, and no number overflows."""
    weights = draw_weights(device, 12, dtype)
    query, key, value = (draw(device, 3, size, 12, dtype=dtype) for size in (4, 7, 7))
    mask = draw_mask(device, 3, 1, 4, 7)
    mask[1, :, 2] = False
    answer = attention_with(student, device, suspect, weights, 3)(query, key, value, mask)
    output, shares = choosy(answer, (3, 4, 12), (3, 3, 4, 7))
    assert output.dtype == dtype and shares.dtype == dtype, f"{dtype} became {output.dtype} and {shares.dtype}"
    assert output.isfinite().all() and shares.isfinite().all(), "NaN or inf"
    exact = {name: tensor.double() for name, tensor in weights.items()}
    values = linear(value.double(), exact, "v_proj")
    context = torch.cat([shares[:, head].double() @ piece(values, head, 3) for head in range(3)], dim=-1)
    close(output, linear(context, exact, "out_proj").to(dtype))


@pytest.mark.points(0.5)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_training_changes_nothing(student, device, suspect):
    """MultiHeadAttention: train() and eval() give the same."""
    query, key = draw(device, 2, 4, 12), draw(device, 2, 7, 12)
    attention = attention_with(student, device, suspect, draw_weights(device, 12), 3)
    calm, still = (choosy(attention(query, key, key), (2, 4, 12), (2, 3, 4, 7)) for _ in range(2))
    attention.train()
    first, second = (pair(attention(query, key, key), (2, 4, 12), (2, 3, 4, 7)) for _ in range(2))
    if not alike(still, calm):
        suspect("dropout-never-ends")
    elif not alike(first, second):
        if not alike((calm[0], first[1]), (calm[0], second[1])):
            suspect("dropout-in-training")
        else:
            suspect("dropout-on-the-output" if (first[0] == 0).any() else "dropout-in-the-mixture")
    agree(still, calm)
    agree(first, calm)
    agree(second, calm)


@pytest.mark.points(1)
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_weights_are_saved_and_loaded(student, device, suspect):
    """MultiHeadAttention: state_dict() holds the four weights and the four biases, and another instance can take them."""
    weights = draw_weights(device, 12)
    attention = attention_with(student, device, suspect, weights, 3)
    state = attention.state_dict()
    if not hasattr(attention, "load_named"):
        assert set(state) == set(weights), f"found {sorted(state)}, expected {sorted(weights)}"
        for name, tensor in weights.items():
            close(state[name], tensor)
    other = student.MultiHeadAttention(12, 3).to(device).eval()
    query, key = draw(device, 2, 4, 12), draw(device, 2, 7, 12)
    before, _ = pair(other(query, key, key), (2, 4, 12), (2, 3, 4, 7))
    other.load_state_dict(state)
    expected = attention(query, key, key)
    agree(other(query, key, key), expected)
    assert not torch.allclose(before, expected[0], atol=1e-3), "what was loaded made no difference"


@pytest.mark.points(0.5)
@pytest.mark.last
@pytest.mark.stand_in("split_heads", "merge_heads")
@torch.no_grad()
def test_works_on_another_device(student, device):
    """MultiHeadAttention and the masks: nothing is left behind on the CPU when the inputs are somewhere else."""
    query, key, mask = torch.randn(2, 4, 12), torch.randn(2, 7, 12), torch.rand(4, 7) < 0.5
    attention = student.MultiHeadAttention(12, 3)
    pair(attention.to(device)(query.to(device), key.to(device), key.to(device)), (2, 4, 12), (2, 3, 4, 7))
    if device.type == "cpu":
        assert not attention.on_another_device(query, key, key), "without a mask"
        assert not attention.on_another_device(query, key, key, mask), "with a mask"


# The experiment


@pytest.mark.points(1)
@torch.no_grad()
def test_the_reported_share_is_measured(student, reference):
    """The experiment: the share that you report is what a measurement gives."""
    reported = student.share_without_the_reader
    assert isinstance(reported, (int, float, torch.Tensor)), f"no number: {reported}"
    measured = reference.share_understood(reference.layers_by_hand(without=(0, 0)))
    assert abs(float(reported) - measured) < 0.006, f"{float(reported)} was reported, {measured:.4f} measured"
