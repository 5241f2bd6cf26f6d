"""What the two kinds of attention must do: laws first, values second.

Most checks compare the student's answers with one another (hiding a key is removing it, a batch is its items), so that
a mistake costs the points of what it breaks and no more. The reference has a say in one check of each kind.
"""

import pytest
import torch
from torch.testing import assert_close

SINGLE, DOUBLE, HALF, BRAIN = torch.float32, torch.float64, torch.float16, torch.bfloat16
ROUNDING = {SINGLE: (1e-4, 1e-5), DOUBLE: (1e-9, 1e-9), HALF: (1e-2, 1e-2), BRAIN: (6e-2, 6e-2)}


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


def draw_weights(query_size, key_size, hidden_size):
    """Weights for AdditiveAttention with which the softmax is neither flat nor saturated."""
    return {
        "query_proj.weight": 0.4 * torch.randn(hidden_size, query_size, dtype=DOUBLE),
        "key_proj.weight": 0.4 * torch.randn(hidden_size, key_size, dtype=DOUBLE),
        "score.weight": 0.5 * torch.randn(1, hidden_size, dtype=DOUBLE),
    }


def additive(student, device, weights=None, dtype=SINGLE):
    """The student's AdditiveAttention with `weights`; by default for queries and keys of width 6."""
    weights = weights or draw_weights(6, 6, 11)
    hidden_size, query_size = weights["query_proj.weight"].shape
    attention = student.AdditiveAttention(query_size, weights["key_proj.weight"].shape[1], hidden_size)
    attention.to(device)
    attention.to(dtype)
    attention.load_weights({name: weight.to(device, dtype) for name, weight in weights.items()})
    return attention


def pair(answer):
    """The context and the weights, if that is what came back."""
    assert isinstance(answer, (tuple, list)), f"expected (context, weights), got {type(answer).__name__}"
    assert len(answer) == 2, f"expected (context, weights), got {len(answer)} results"
    assert all(isinstance(part, torch.Tensor) for part in answer), "expected two tensors"
    return answer


def choosy(answer):
    """The same, if some query prefers some key: an even mixture of all values would keep many a law."""
    context, weights = pair(answer)
    smallest = weights.masked_fill(weights == 0, torch.inf).amin(dim=-1)
    single = (weights != 0).sum(dim=-1) == 1
    assert ((weights.amax(dim=-1) > 1.001 * smallest) | single).any(), "no query prefers any key"
    return context, weights


def close(answer, expected, rounding=None):
    """Same shape, dtype and device, and the same values within rounding."""
    rtol, atol = rounding or ROUNDING[expected.dtype]
    assert_close(answer, expected, rtol=rtol, atol=atol)


def agree(answer, expected, rounding=None):
    for part, wanted in zip(pair(answer), expected, strict=True):
        close(part, wanted, rounding)


# Laws that both kinds keep. `attend` is either of them; queries and keys have width 6.


def order_of_keys_is_nothing(attend, device):
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    order = torch.tensor([4, 0, 6, 2, 1, 5, 3], device=device)
    context, weights = choosy(attend(query, key, value))
    assert weights.shape == (3, 4, 7)
    agree(attend(query, key[:, order], value[:, order]), (context, weights[..., order]))


def each_is_answered_alone(attend, device):
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    context, weights = choosy(attend(query, key, value))
    assert (context.shape, weights.shape) == ((3, 4, 5), (3, 4, 7))
    for item in (slice(0, 1), slice(1, 3)):
        for row in (slice(0, 4), slice(2, 3)):
            agree(attend(query[item, row], key[item], value[item]), (context[item, row], weights[item, row]))


def hidden_keys_are_hidden(attend, device, mask):
    """For queries (3, 4, 6) on 7 keys."""
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    context, weights = choosy(attend(query, key, value, mask))
    visible = mask.expand(3, 4, 7)
    assert (context.shape, weights.shape) == ((3, 4, 5), (3, 4, 7))
    assert (weights[~visible] == 0).all(), "a hidden key has some weight"
    assert (weights[visible] > 0).all(), "a key that may be seen has none"
    for item, row in ((0, 3), (1, 0), (2, 2)):
        seen = visible[item, row]
        alone = attend(query[item : item + 1, row : row + 1], key[item : item + 1, seen], value[item : item + 1, seen])
        agree(alone, (context[item, row].reshape(1, 1, 5), weights[item, row, seen].reshape(1, 1, -1)))
    unseen = ~visible.any(dim=-2).unsqueeze(-1)
    key, value = torch.where(unseen, 300 * key.flip(-1), key), torch.where(unseen, -300 * value.flip(-1), value)
    agree(attend(query, key, value, mask), (context, weights))


def short_masks_are_long_masks(attend, device, shape):
    """For queries (2, 3, 4, 6) on 5 keys."""
    mask = draw_mask(device, *shape)
    query, key, value = draw(device, 2, 3, 4, 6), draw(device, 2, 3, 5, 6), draw(device, 2, 3, 5, 8)
    short = choosy(attend(query, key, value, mask))
    agree(short, pair(attend(query, key, value, mask.expand(2, 3, 4, 5).clone())))


def all_seen_is_no_mask(attend, device):
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    plain = choosy(attend(query, key, value))
    agree(attend(query, key, value, torch.ones(4, 7, dtype=torch.bool, device=device)), plain)


def square_masks_stay_upright(attend, device):
    """As many queries as keys: nothing but its rows and columns tell which is which."""
    query, key, value = draw(device, 2, 5, 6), draw(device, 2, 5, 6), draw(device, 2, 5, 8)
    mask = torch.ones(5, 5, dtype=torch.bool, device=device).tril()
    _, weights = choosy(attend(query, key, value, mask))
    assert weights.shape == (2, 5, 5)
    assert torch.equal(weights != 0, mask.expand(2, 5, 5)), "the zeros are not where the mask is false"


def mask_with_empty_rows(device, case):
    """For queries (3, 4, 6) on 7 keys."""
    if case == "all":
        return torch.zeros(7, dtype=torch.bool, device=device)
    if case == "by query":
        return torch.tensor([[True], [False], [True], [False]], device=device)
    mask = draw_mask(device, 3, 4, 7)
    mask[(1, 2) if case == "one query" else 2] = False
    return mask


def empty_rows_are_zero(attend, device, case):
    mask = mask_with_empty_rows(device, case)
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    answer = attend(query, key, value, mask)
    context, weights = pair(answer) if case == "all" else choosy(answer)
    assert (context.shape, weights.shape) == ((3, 4, 5), (3, 4, 7))
    empty = ~mask.expand(3, 4, 7).any(dim=-1)
    assert (weights[empty] == 0).all(), "a query that may look nowhere has weights"
    assert (context[empty] == 0).all(), "a query that may look nowhere has a context"
    assert context.isfinite().all() and weights.isfinite().all(), "NaN or inf"


def empty_rows_have_no_gradient(attend, device, case):
    mask = mask_with_empty_rows(device, case)
    shapes = ((3, 4, 6), (3, 7, 6), (3, 7, 5))
    query, key, value = (draw(device, *shape).requires_grad_() for shape in shapes)
    context, weights = pair(attend(query, key, value, mask))
    assert (context.shape, weights.shape) == ((3, 4, 5), (3, 4, 7))
    loss = (context * draw(device, 3, 4, 5)).sum() + (weights * draw(device, 3, 4, 7)).sum()
    if loss.requires_grad or case != "all":
        loss.backward()
    of_query, of_key, of_value = (torch.zeros_like(x) if x.grad is None else x.grad for x in (query, key, value))
    for gradient in (of_query, of_key, of_value):
        assert gradient.isfinite().all(), "NaN or inf in a gradient"
    empty = ~mask.expand(3, 4, 7).any(dim=-1)
    nobody = empty.all(dim=-1)
    assert (of_query[empty] == 0).all(), "a query that may look nowhere has a gradient"
    assert (of_key[nobody] == 0).all() and (of_value[nobody] == 0).all(), "nobody looks at a key, yet it has one"
    assert case == "all" or (of_value != 0).any(), "no gradient reaches the values"


def gradients_are_right(attend, device, mask):
    """Against finite differences; `attend` must work in float64."""
    inputs = [draw(device, *shape, dtype=DOUBLE).requires_grad_() for shape in ((2, 3, 6), (2, 4, 6), (2, 4, 5))]
    assert all(result.requires_grad for result in choosy(attend(*inputs, mask))), "a result is cut off from its inputs"
    assert torch.autograd.gradcheck(lambda *given: tuple(pair(attend(*given, mask))), inputs, fast_mode=True)


def dtype_is_kept(attend, device, dtype):
    """With a query that may look nowhere, which is where half precision goes wrong."""
    query, key, value = (draw(device, *shape, dtype=dtype) for shape in ((3, 4, 6), (3, 7, 6), (3, 7, 5)))
    mask = draw_mask(device, 3, 4, 7)
    mask[1, 2] = False
    context, weights = choosy(attend(query, key, value, mask))
    assert (context.shape, weights.shape) == ((3, 4, 5), (3, 4, 7))
    assert context.dtype == dtype and weights.dtype == dtype, f"{dtype} became {context.dtype} and {weights.dtype}"
    assert context.isfinite().all() and weights.isfinite().all(), "NaN or inf"
    close(context, (weights.double() @ value.double()).to(dtype))


def ones_stay_dimensions(attend, device):
    query, key, value = draw(device, 1, 1, 6), draw(device, 1, 1, 6), draw(device, 1, 1, 5)
    context, weights = pair(attend(query, key, value))
    close(weights, torch.ones(1, 1, 1, device=device))
    close(context, value)
    for leading in ((3, 1), (), (1,), (1, 1)):
        query, key, value = draw(device, *leading, 1, 6), draw(device, *leading, 7, 6), draw(device, *leading, 7, 5)
        context, weights = choosy(attend(torch.cat([query] * 4, dim=-2), key, value))
        agree(attend(query, key, value), (context[..., :1, :], weights[..., :1, :]))
        assert context.shape == (*leading, 4, 5)


def views_are_welcome(attend, device):
    query = draw(device, 4, 3, 6).transpose(0, 1)
    key = draw(device, 3, 12, 7)[:, ::2].transpose(-2, -1)
    value = draw(device, 1, 7, 5).expand(3, 7, 5)
    mask = draw_mask(device, 1, 7).expand(4, 7)
    answer = choosy(attend(query, key, value, mask))
    agree(answer, pair(attend(*(tensor.contiguous() for tensor in (query, key, value, mask)))))


# Scaled dot-product attention


@pytest.mark.points(2)
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("leading", [(3,), (), (2, 4)], ids=str)
def test_attention_agrees_with_the_reference(student, reference, device, leading, dtype):
    """Dot-product attention: context and weights are right, in float32 and float64, after any leading dimensions."""
    sizes = ((5, 16), (7, 16), (7, 9))
    query, key, value = (draw(device, *leading, *size, dtype=dtype) for size in sizes)
    answer = student.scaled_dot_product_attention(query, key, value)
    agree(answer, reference.scaled_dot_product_attention(query, key, value))


@pytest.mark.points(1)
def test_attention_scores_have_the_right_size(student, device):
    """Dot-product attention: the scores keep their size, however wide the vectors are."""
    for width in (3, 9, 40):
        query, key, value = draw(device, 2, 3, width), draw(device, 2, 4, width), draw(device, 2, 4, 5)
        _, weights = pair(student.scaled_dot_product_attention(query, key, value))
        products = query @ key.transpose(-2, -1)
        gaps = (products - products[..., :1]) / width**0.5
        assert_close(weights.log() - weights[..., :1].log(), gaps, rtol=1e-3, atol=1e-3)


@pytest.mark.points(0.5)
def test_attention_weights_are_shares(student, device):
    """Dot-product attention: each query shares out exactly 1 among the keys, and its context is the mixture."""
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    context, weights = pair(student.scaled_dot_product_attention(query, key, value))
    assert weights.shape == (3, 4, 7)
    assert (weights >= 0).all(), "a weight is negative"
    close(weights.sum(dim=-1), torch.ones(3, 4, device=device))
    close(context, (weights.unsqueeze(-1) * value.unsqueeze(-3)).sum(dim=-2))


@pytest.mark.points(0.5)
def test_attention_sees_keys_as_a_set(student, device):
    """Dot-product attention: keys in another order, along with their values, change no context."""
    order_of_keys_is_nothing(student.scaled_dot_product_attention, device)


@pytest.mark.points(0.5)
def test_attention_answers_each_query_alone(student, device):
    """Dot-product attention: neither the other queries nor the other items of the batch have any influence."""
    each_is_answered_alone(student.scaled_dot_product_attention, device)


@pytest.mark.points(1)
@pytest.mark.parametrize("shape", [(3, 4, 7), (3, 1, 7), (7,)], ids=str)
def test_attention_hides_what_is_masked(student, device, shape):
    """Dot-product attention: hiding a key is the same as removing it."""
    hidden_keys_are_hidden(student.scaled_dot_product_attention, device, draw_mask(device, *shape))


@pytest.mark.points(1)
@pytest.mark.parametrize("shape", ["square", (4, 5), (5,), (1, 5), (3, 4, 5), (3, 1, 5), (2, 1, 1, 5)], ids=str)
def test_attention_takes_masks_of_any_shape(student, device, shape):
    """Dot-product attention: masks broadcast, with fewer dimensions or sizes of 1."""
    if shape == "square":
        square_masks_stay_upright(student.scaled_dot_product_attention, device)
        all_seen_is_no_mask(student.scaled_dot_product_attention, device)
    else:
        short_masks_are_long_masks(student.scaled_dot_product_attention, device, shape)


@pytest.mark.points(1)
@pytest.mark.parametrize("case", ["one query", "one item", "by query", "all"])
def test_attention_gives_empty_rows_zeros(student, device, case):
    """Dot-product attention: a query that may look nowhere gets zero weights and a zero context."""
    empty_rows_are_zero(student.scaled_dot_product_attention, device, case)


@pytest.mark.points(0.5)
@pytest.mark.parametrize("case", ["one query", "one item", "all"])
def test_attention_gives_empty_rows_no_gradient(student, device, case):
    """Dot-product attention: a query that may look nowhere brings no NaN into any gradient, and gets zero."""
    empty_rows_have_no_gradient(student.scaled_dot_product_attention, device, case)


@pytest.mark.points(1)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_attention_has_the_right_gradients(student, device, masked):
    """Dot-product attention: the gradients of context and weights agree with finite differences."""
    mask = draw_mask(device, 3, 4) if masked else None
    gradients_are_right(student.scaled_dot_product_attention, device, mask)


@pytest.mark.points(0.5)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_attention_survives_large_scores(student, device, masked):
    """Dot-product attention: scores in the thousands, of either sign, give the weights that their differences give."""
    query, key = torch.zeros(2, 3, 16), torch.zeros(2, 7, 16)
    query[..., 8:], key[..., 8:] = torch.randint(-2, 3, (2, 3, 8)), torch.randint(-2, 3, (2, 7, 8))
    large_query, large_key = query.clone(), key.clone()
    large_query[..., :8], large_key[..., :8] = torch.tensor([[40.0], [-40.0], [20.0]]), 40.0
    value, mask = draw(device, 2, 7, 5), draw_mask(device, 3, 7) if masked else None
    query, key, large_query, large_key = (tensor.to(device) for tensor in (query, key, large_query, large_key))
    plain = choosy(student.scaled_dot_product_attention(query, key, value, mask))
    agree(student.scaled_dot_product_attention(large_query, large_key, value, mask), plain, rounding=(1e-2, 1e-2))


@pytest.mark.points(0.5)
@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE, DOUBLE], ids=str)
def test_attention_keeps_the_dtype(student, device, dtype):
    """Dot-product attention: float16, bfloat16, float32 and float64 come back as they went in."""
    dtype_is_kept(student.scaled_dot_product_attention, device, dtype)


@pytest.mark.points(0.5)
def test_attention_keeps_sizes_of_one(student, device):
    """Dot-product attention: one query, one key, a batch of one: sizes of 1 stay dimensions."""
    ones_stay_dimensions(student.scaled_dot_product_attention, device)


@pytest.mark.points(0.5)
def test_attention_takes_views(student, device):
    """Dot-product attention: transposed, sliced and expanded tensors are as good as any."""
    views_are_welcome(student.scaled_dot_product_attention, device)


@pytest.mark.points(0.5)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_attention_leaves_its_arguments_alone(student, device, changed_arguments, masked):
    """Dot-product attention: no argument is changed in place."""
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    mask = draw_mask(device, 4, 7) if masked else None
    choosy(student.scaled_dot_product_attention(query, key, value, mask))
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
@pytest.mark.cpu(30)
def test_attention_is_fast_enough(student, device):
    """Dot-product attention: 512 queries on 512 keys end within the limit."""
    query, key, value = draw(device, 512, 6), draw(device, 512, 6), draw(device, 512, 5)
    context, weights = choosy(student.scaled_dot_product_attention(query, key, value))
    assert (context.shape, weights.shape) == ((512, 5), (512, 512))
    rows = torch.tensor([0, 300, 511], device=device)
    agree(student.scaled_dot_product_attention(query[rows], key, value), (context[rows], weights[rows]))


# The experiment


@pytest.mark.points(1)
def test_the_reported_numbers_are_measured(student, reference):
    """The experiment: both numbers are what a measurement gives."""
    reported = student.largest_weight_with_scaling, student.largest_weight_without_scaling
    assert all(isinstance(number, (int, float, torch.Tensor)) for number in reported), f"no numbers: {reported}"
    query, key = torch.randn(500, 1, 256), torch.randn(500, 10, 256)
    for number, factor in zip(reported, (1, 16), strict=True):
        _, weights = reference.scaled_dot_product_attention(factor * query, key, key)
        measured = weights.amax(dim=-1).mean().item()
        assert abs(float(number) - measured) < 0.05, f"{float(number)} was reported, {measured:.3f} measured"


# Additive attention


@pytest.mark.points(1.5)
@pytest.mark.parametrize(
    ("leading", "length", "source", "sizes", "dtype"),
    [
        ((3,), 5, 5, (6, 6, 11), DOUBLE),
        ((3,), 5, 7, (6, 4, 11), SINGLE),
        ((), 8, 3, (5, 10, 4), DOUBLE),
        ((2, 4), 3, 6, (5, 9, 1), SINGLE),
    ],
    ids=["square", "batch", "plain", "two leading"],
)
def test_additive_agrees_with_the_reference(student, reference, device, leading, length, source, sizes, dtype):
    """Additive attention: context and weights are right for given weights, whatever the widths."""
    weights = draw_weights(*sizes)
    shapes = ((length, sizes[0]), (source, sizes[1]), (source, 13))
    query, key, value = (draw(device, *leading, *shape, dtype=dtype) for shape in shapes)
    answer = additive(student, device, weights, dtype)(query, key, value)
    expected = reference.AdditiveAttention(*sizes).to(device, dtype)
    expected.load_state_dict(weights)
    agree(answer, expected(query, key, value))


@pytest.mark.points(0.5)
def test_additive_learns_with_every_weight(student, device):
    """Additive attention: it has hidden * (query + key + 1) weights, and each matrix gets its gradient."""
    weights = draw_weights(5, 9, 4)
    query, key, value = (draw(device, *shape, dtype=DOUBLE) for shape in ((2, 3, 5), (2, 7, 9), (2, 7, 6)))
    target, shares = draw(device, 2, 3, 6, dtype=DOUBLE), draw(device, 2, 3, 7, dtype=DOUBLE)
    attention = additive(student, device, weights, DOUBLE)
    parameters = list(attention.parameters())

    def loss():
        context, answer = choosy(attention(query, key, value))
        assert (context.shape, answer.shape) == ((2, 3, 6), (2, 3, 7))
        return (context * target).sum() + (answer * shares).sum()

    loss().backward()
    assert sum(parameter.numel() for parameter in parameters) == 4 * (5 + 9 + 1)
    assert all(parameter.grad is not None and (parameter.grad != 0).any() for parameter in parameters), "no gradient"
    slope = sum((parameter.grad * parameter.detach()).sum() for parameter in parameters)  # as all weights grow alike
    ends = []
    for factor in (1 + 1e-5, 1 - 1e-5):
        attention.load_weights({name: (factor * weight).to(device) for name, weight in weights.items()})
        ends.append(loss().detach())
    assert_close(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-7)


@pytest.mark.points(0.5)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_additive_has_the_right_gradients(student, device, masked):
    """Additive attention: the gradients that reach query, key and value agree with finite differences."""
    mask = draw_mask(device, 3, 4) if masked else None
    gradients_are_right(additive(student, device, dtype=DOUBLE), device, mask)


@pytest.mark.points(0.5)
def test_additive_answers_each_query_alone(student, device):
    """Additive attention: only the query itself and the set of its keys and values count."""
    attend = additive(student, device)
    each_is_answered_alone(attend, device)
    order_of_keys_is_nothing(attend, device)


@pytest.mark.points(0.5)
@pytest.mark.parametrize("shape", [(3, 4, 7), (3, 1, 7), (7,)], ids=str)
def test_additive_hides_what_is_masked(student, device, shape):
    """Additive attention: hiding a key is the same as removing it."""
    hidden_keys_are_hidden(additive(student, device), device, draw_mask(device, *shape))


@pytest.mark.points(0.5)
@pytest.mark.parametrize("shape", ["square", (4, 5), (5,), (1, 5), (3, 4, 5), (3, 1, 5), (2, 1, 1, 5)], ids=str)
def test_additive_takes_masks_of_any_shape(student, device, shape):
    """Additive attention: masks broadcast, with fewer dimensions or sizes of 1."""
    attend = additive(student, device)
    if shape == "square":
        square_masks_stay_upright(attend, device)
        all_seen_is_no_mask(attend, device)
    else:
        short_masks_are_long_masks(attend, device, shape)


@pytest.mark.points(1)
@pytest.mark.parametrize("case", ["one query", "one item", "by query", "all"])
def test_additive_gives_empty_rows_zeros(student, device, case):
    """Additive attention: a query that may look nowhere gets zeros, and brings no NaN into any gradient."""
    attend = additive(student, device)
    empty_rows_are_zero(attend, device, case)
    empty_rows_have_no_gradient(attend, device, case)


@pytest.mark.points(0.5)
def test_additive_survives_large_scores(student, device):
    """Additive attention: scores in the thousands give shares, not NaN."""
    small = draw_weights(6, 6, 11)
    large = {**small, "score.weight": 4000 * small["score.weight"]}
    query, key, value = draw(device, 3, 6), draw(device, 7, 6), draw(device, 7, 5)
    choosy(additive(student, device, small)(query, key, value))
    context, weights = pair(additive(student, device, large)(query, key, value))
    assert (context.shape, weights.shape) == ((3, 5), (3, 7))
    assert context.isfinite().all() and weights.isfinite().all(), "NaN or inf"
    close(weights.sum(dim=-1), torch.ones(3, device=device))


@pytest.mark.points(0.5)
@pytest.mark.parametrize("dtype", [HALF, BRAIN, SINGLE, DOUBLE], ids=str)
def test_additive_keeps_the_dtype(student, device, dtype):
    """Additive attention: float16, bfloat16, float32 and float64 come back as they went in."""
    dtype_is_kept(additive(student, device, dtype=dtype), device, dtype)


@pytest.mark.points(0.5)
def test_additive_keeps_sizes_of_one(student, device):
    """Additive attention: one query, one key, a batch of one: sizes of 1 stay dimensions."""
    ones_stay_dimensions(additive(student, device), device)


@pytest.mark.points(0.5)
def test_additive_takes_views_and_leaves_them(student, device, changed_arguments):
    """Additive attention: transposed, sliced and expanded tensors are as good as any, and nothing is changed in place."""
    views_are_welcome(additive(student, device), device)
    assert not changed_arguments, changed_arguments
