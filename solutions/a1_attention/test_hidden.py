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


def additive(student, device, suspect, weights=None, dtype=SINGLE):
    """The student's AdditiveAttention with `weights`, in eval(); by default for queries and keys of width 6."""
    weights = weights or draw_weights(6, 6, 11)
    hidden_size, query_size = weights["query_proj.weight"].shape
    attention = student.AdditiveAttention(query_size, weights["key_proj.weight"].shape[1], hidden_size).to(device)
    if dtype != SINGLE:
        attention.to(dtype)
    try:
        attention.load_weights({name: weight.to(device, dtype) for name, weight in weights.items()})
    except Exception:
        found = set(attention.state_dict())
        suspect("additive-with-bias" if found > set(weights) else "additive-renamed")
        raise
    return attention.eval()


def works_elsewhere(attend):
    """Both kinds of call hold on a device that is not the CPU. All sizes are equal, so that nothing else matters."""
    query, key, value, mask = torch.randn(4, 4, 4), torch.randn(4, 4, 4), torch.randn(4, 4, 4), torch.rand(4, 4, 4) < 0.5
    attend(query, key, value, mask)
    plain, masked = (attend.on_another_device(query, key, value, *given) for given in ([], [mask]))
    assert not plain and not masked, f"without a mask: {plain}; with a mask: {masked}"


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


def slope_is_right(loss, tensors):
    """The gradients of `tensors` promise how far a small step moves the loss. All float64; changes `tensors`."""
    before = loss()
    before.backward()
    steps = [1e-8 * draw(tensor.device, *tensor.shape, dtype=DOUBLE) for tensor in tensors]
    pairs = [(tensor.grad, step) for tensor, step in zip(tensors, steps, strict=True) if tensor.grad is not None]
    promised = sum(((gradient * step).sum() for gradient, step in pairs), torch.zeros_like(before))
    with torch.no_grad():
        for tensor, step in zip(tensors, steps, strict=True):
            tensor.add_(step)
        close(1e8 * promised, 1e8 * (loss() - before), rounding=(1e-5, 1e-5))


# Laws that both kinds keep. `attend` is either of them; queries and keys have width 6.


@torch.no_grad()
def only_its_own_keys_count(attend, device, order=range(7), items=slice(None), rows=slice(None)):
    """Of queries (3, 4, 6) on 7 keys, some items and rows asked alone, with their keys in another order."""
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    context, weights = choosy(attend(query, key, value))
    assert weights.shape == (3, 4, 7)
    order = torch.tensor(order, device=device)
    alone = attend(query[items, rows].contiguous(), key[items, order], value[items, order])
    agree(alone, (context[items, rows], weights[items, rows][..., order]))


@torch.no_grad()
def hidden_keys_are_hidden(attend, device):
    """Each of the queries (3, 4, 6) sees 3 of 7 keys; what nobody sees is huge. Then each query is given its 3 alone."""
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    order = torch.randperm(7)
    unseen, seen = order[:2].to(device), order[2:][torch.rand(3, 4, 5).argsort(dim=-1)[..., :3]].to(device)
    key[:, unseen] *= 300
    value[:, unseen] *= -300
    mask = torch.zeros(3, 4, 7, dtype=torch.bool, device=device).scatter_(-1, seen, True)
    context, weights = choosy(attend(query, key, value, mask))
    assert (context.shape, weights.shape) == ((3, 4, 5), (3, 4, 7))
    assert (weights[~mask] == 0).all(), "a hidden key has some weight"
    assert (weights[mask] > 0).all(), "a key that may be seen has none"
    item = torch.arange(3, device=device)[:, None, None]
    expected = context.reshape(12, 1, 5), weights.gather(-1, seen).reshape(12, 1, 3)
    given = query.reshape(12, 1, 6), key[item, seen].reshape(12, 3, 6), value[item, seen].reshape(12, 3, 5)
    twice = given[0].repeat(1, 2, 1)  # one query would be another trap
    agree(attend(twice, *given[1:]), [part.expand(-1, 2, -1) for part in expected])


@torch.no_grad()
def masks_of_any_shape_are_taken(attend, device):
    """For queries (2, 3, 4, 6) on 5 keys, then for as many queries as keys, where only its rows tell which is which."""
    query, key, value = draw(device, 2, 3, 4, 6), draw(device, 2, 3, 5, 6), draw(device, 2, 3, 5, 8)
    for shape in ((5,), (2, 1, 1, 5), (3, 1, 5)):
        mask = draw_mask(device, *shape)
        short = choosy(attend(query, key, value, mask))
        assert short[1].shape == (2, 3, 4, 5)
        assert torch.equal(short[1] != 0, mask.expand(2, 3, 4, 5)), "the zeros are not where the mask is false"
    agree(attend(query, key, value, mask.expand(2, 3, 4, 5).clone()), short)
    mask = torch.ones(5, 5, dtype=torch.bool, device=device).tril()
    _, weights = choosy(attend(key[0], key[1], value[0], mask))
    assert weights.shape == (3, 5, 5)
    assert torch.equal(weights != 0, mask.expand(3, 5, 5)), "the zeros are not where the mask is false"


def some_rows_empty(device):
    """A mask for queries (3, 4, 6) on 7 keys: in item 1 one query may look nowhere, in item 2 none may look anywhere."""
    mask = draw_mask(device, 3, 4, 7)
    mask[1, 2] = False
    mask[2] = False
    return mask


def empty_in_short(device):
    """Two of four queries, then all of them."""
    every_other = torch.tensor([[True], [False], [True], [False]], device=device)
    return every_other, torch.zeros(7, dtype=torch.bool, device=device)


def zero_where_empty(answer, mask):
    context, weights = choosy(answer) if mask.any() else pair(answer)
    assert (context.shape, weights.shape) == ((3, 4, 5), (3, 4, 7))
    empty = ~mask.expand(3, 4, 7).any(dim=-1)
    assert (weights[empty] == 0).all(), "a query that may look nowhere has weights"
    assert (context[empty] == 0).all(), "a query that may look nowhere has a context"
    assert context.isfinite().all() and weights.isfinite().all(), "NaN or inf"


@torch.no_grad()
def empty_rows_are_zero(attend, device, masks):
    query, key, value = draw(device, 3, 4, 6), draw(device, 3, 7, 6), draw(device, 3, 7, 5)
    for mask in masks:
        zero_where_empty(attend(query, key, value, mask), mask)


def empty_rows_have_no_gradient(attend, device, mask):
    """Returns what was answered."""
    shapes = ((3, 4, 6), (3, 7, 6), (3, 7, 5))
    inputs = [draw(device, *shape).requires_grad_() for shape in shapes]
    context, weights = pair(attend(*inputs, mask))
    assert (context.shape, weights.shape) == ((3, 4, 5), (3, 4, 7))
    ((context * draw(device, 3, 4, 5)).sum() + (weights * draw(device, 3, 4, 7)).sum()).backward()
    of_query, of_key, of_value = (torch.zeros_like(x) if x.grad is None else x.grad for x in inputs)
    for gradient in (of_query, of_key, of_value):
        assert gradient.isfinite().all(), "NaN or inf in a gradient"
    empty = ~mask.any(dim=-1)
    nobody = empty.all(dim=-1)
    assert is_nothing(of_query[empty]), "a query that may look nowhere has a gradient"
    assert is_nothing(of_key[nobody]) and is_nothing(of_value[nobody]), "nobody looks at a key, yet it has one"
    assert (of_value != 0).any(), "no gradient reaches the values"
    return context.detach(), weights.detach()


def gradients_are_right(attend, device, mask):
    """`attend` must work in float64. Eight items, so that a draw that goes on in eval() is not missed by chance."""
    inputs = [draw(device, *shape, dtype=DOUBLE).requires_grad_() for shape in ((8, 3, 6), (8, 4, 6), (8, 4, 5))]
    factors = draw(device, 400, dtype=DOUBLE)

    def loss():
        answer = choosy(attend(*inputs, mask))
        cut_off = torch.is_grad_enabled() and not all(result.requires_grad for result in answer)
        assert not cut_off, "a result is cut off from its inputs"
        numbers = torch.cat([result.flatten() for result in answer])
        return (numbers * factors[: len(numbers)]).sum()

    slope_is_right(loss, inputs)


@torch.no_grad()
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


@torch.no_grad()
def ones_stay_dimensions(attend, device):
    query, key, value = draw(device, 1, 1, 6), draw(device, 1, 1, 6), draw(device, 1, 1, 5)
    agree(attend(query, key, value), (value, torch.ones(1, 1, 1, device=device)))
    for leading, width in (((3, 1), 5), ((), 1)):
        query, key, value = draw(device, *leading, 1, 6), draw(device, *leading, 7, 6), draw(device, *leading, 7, width)
        context, weights = choosy(attend(query, key, value))
        assert (context.shape, weights.shape) == ((*leading, 1, width), (*leading, 1, 7))
        close(context, weights @ value)
        close(weights.sum(dim=-1), torch.ones(*leading, 1, device=device))


@torch.no_grad()
def views_are_welcome(attend, device):
    query = draw(device, 4, 3, 6).transpose(0, 1)
    key = draw(device, 3, 12, 7)[:, ::2].transpose(-2, -1)
    value = draw(device, 1, 7, 5).expand(3, 7, 5)
    mask = draw_mask(device, 1, 7).expand(4, 7)
    answer = choosy(attend(query, key, value, mask))
    agree(answer, pair(attend(*(tensor.contiguous() for tensor in (query, key, value, mask)))))


# Scaled dot-product attention


@pytest.mark.points(1.5)
@pytest.mark.parametrize(("leading", "dtype"), [((3,), DOUBLE), ((), SINGLE), ((2, 4), SINGLE)], ids=str)
def test_attention_agrees_with_the_reference(student, reference, device, suspect, leading, dtype):
    """Dot-product attention: context and weights are right, in float32 and float64, after any leading dimensions."""
    sizes = ((5, 16), (7, 16), (7, 9))
    query, key, value = (draw(device, *leading, *size, dtype=dtype) for size in sizes)
    answer = pair(student.scaled_dot_product_attention(query, key, value))
    expected = reference.scaled_dot_product_attention(query, key, value)
    if not alike(answer, expected) and not alike(student.scaled_dot_product_attention(query, key, value), answer):
        suspect("drops-out")
    agree(answer, expected)


@pytest.mark.points(1)
def test_attention_scores_have_the_right_size(student, device):
    """Dot-product attention: the scores keep their size, however wide the vectors are."""
    for width in (3, 40):
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
    only_its_own_keys_count(student.scaled_dot_product_attention, device, order=(4, 0, 6, 2, 1, 5, 3))


@pytest.mark.points(0.5)
def test_attention_answers_each_query_alone(student, device):
    """Dot-product attention: neither the other queries nor the other items of the batch have any influence."""
    some = slice(1, 3)
    only_its_own_keys_count(student.scaled_dot_product_attention, device, items=some, rows=some)


@pytest.mark.points(1)
def test_attention_hides_what_is_masked(student, device):
    """Dot-product attention: hiding a key is the same as removing it."""
    hidden_keys_are_hidden(student.scaled_dot_product_attention, device)


@pytest.mark.points(1)
def test_attention_takes_masks_of_any_shape(student, device):
    """Dot-product attention: masks broadcast, with fewer dimensions or sizes of 1."""
    masks_of_any_shape_are_taken(student.scaled_dot_product_attention, device)


@pytest.mark.points(1)
def test_attention_gives_empty_rows_zeros(student, device):
    """Dot-product attention: a query that may look nowhere gets zero weights and a zero context."""
    masks = (some_rows_empty(device), *empty_in_short(device))
    empty_rows_are_zero(student.scaled_dot_product_attention, device, masks)


@pytest.mark.points(0.5)
def test_attention_gives_empty_rows_no_gradient(student, device):
    """Dot-product attention: a query that may look nowhere brings no NaN into any gradient, and gets zero."""
    empty_rows_have_no_gradient(student.scaled_dot_product_attention, device, some_rows_empty(device))


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
@pytest.mark.parametrize("dtype", [HALF, BRAIN], ids=str)
def test_attention_keeps_the_dtype(student, device, dtype):
    """Dot-product attention: float16 and bfloat16 come back as they went in, and no number overflows."""
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
@pytest.mark.cpu(8)
def test_attention_is_fast_enough(student, device):
    """Dot-product attention: 256 queries on 128 keys end within the limit."""
    query, key, value = draw(device, 256, 6), draw(device, 128, 6), draw(device, 128, 5)
    context, weights = pair(student.scaled_dot_product_attention(query, key, value))
    assert (context.shape, weights.shape) == ((256, 5), (256, 128))
    rows = torch.tensor([0, 150, 255], device=device)
    few = choosy(student.scaled_dot_product_attention(query[rows], key, value))
    agree(few, (context[rows], weights[rows]))


@pytest.mark.points(0.5)
@pytest.mark.last
def test_attention_works_on_another_device(student):
    """Dot-product attention: what it makes lies where its arguments lie, whatever the device."""
    works_elsewhere(student.scaled_dot_product_attention)


# The experiment


@pytest.mark.points(1)
def test_the_reported_numbers_are_measured(student, reference):
    """The experiment: both numbers are what a measurement gives."""
    reported = student.largest_weight_with_scaling, student.largest_weight_without_scaling
    assert all(isinstance(number, (int, float, torch.Tensor)) for number in reported), f"no numbers: {reported}"
    query, key = torch.randn(20, 25, 256), torch.randn(20, 10, 256)
    for number, factor in zip(reported, (1, 16), strict=True):
        _, weights = reference.scaled_dot_product_attention(factor * query, key, key)
        measured = weights.amax(dim=-1).mean().item()
        assert abs(float(number) - measured) < 0.05, f"{float(number)} was reported, {measured:.3f} measured"


# Additive attention


@pytest.mark.points(1)
@pytest.mark.parametrize(
    ("leading", "length", "source", "sizes", "dtype"),
    [((3,), 5, 5, (6, 6, 11), DOUBLE), ((2, 4), 3, 6, (5, 9, 1), SINGLE)],
    ids=["square", "two leading"],
)
@torch.no_grad()
def test_additive_agrees_with_the_reference(student, reference, device, suspect, leading, length, source, sizes, dtype):
    """Additive attention: context and weights are right for given weights, whatever the widths, in train() as in eval()."""
    weights = draw_weights(*sizes)
    shapes = ((length, sizes[0]), (source, sizes[1]), (source, 13))
    query, key, value = (draw(device, *leading, *shape, dtype=dtype) for shape in shapes)
    attention = additive(student, device, suspect, weights, dtype)
    answer = pair(attention(query, key, value))
    expected = reference.AdditiveAttention(*sizes).to(device, dtype)
    expected.load_state_dict(weights)
    wanted = expected(query, key, value)
    if not alike(answer, wanted) and not alike(attention(query, key, value), answer):
        suspect("additive-never-repeats")
    agree(answer, wanted)
    attention.train()
    for _ in range(2):
        trained = pair(attention(query, key, value))
        if not alike(trained, wanted):
            suspect("additive-drops-out")
        agree(trained, wanted)


@pytest.mark.points(0.5)
def test_additive_learns_with_every_weight(student, device, suspect):
    """Additive attention: it has hidden * (query + key + 1) weights, and each matrix gets its gradient."""
    query, key, value = (draw(device, *shape, dtype=DOUBLE) for shape in ((2, 3, 5), (2, 7, 9), (2, 7, 6)))
    factors = draw(device, 2, 3, 6, dtype=DOUBLE), draw(device, 2, 3, 7, dtype=DOUBLE)
    attention = additive(student, device, suspect, draw_weights(5, 9, 4), DOUBLE)
    parameters = list(attention.parameters())

    def loss():
        context, weights = choosy(attention(query, key, value))
        assert (context.shape, weights.shape) == ((2, 3, 6), (2, 3, 7))
        return (context * factors[0]).sum() + (weights * factors[1]).sum()

    slope_is_right(loss, parameters)
    assert sum(parameter.numel() for parameter in parameters) == 4 * (5 + 9 + 1)
    assert all(parameter.grad is not None and (parameter.grad != 0).any() for parameter in parameters), "no gradient"


@pytest.mark.points(0.5)
def test_additive_has_the_right_gradients(student, device, suspect):
    """Additive attention: the gradients that reach query, key and value agree with finite differences."""
    gradients_are_right(additive(student, device, suspect, dtype=DOUBLE), device, draw_mask(device, 3, 4))


@pytest.mark.points(0.5)
def test_additive_answers_each_query_alone(student, device, suspect):
    """Additive attention: only the query itself and the set of its keys and values count."""
    some = slice(1, 3)
    only_its_own_keys_count(additive(student, device, suspect), device, (4, 0, 6, 2, 1, 5, 3), some, some)


@pytest.mark.points(0.5)
def test_additive_hides_what_is_masked(student, device, suspect):
    """Additive attention: hiding a key is the same as removing it."""
    hidden_keys_are_hidden(additive(student, device, suspect), device)


@pytest.mark.points(0.5)
def test_additive_takes_masks_of_any_shape(student, device, suspect):
    """Additive attention: masks broadcast, with fewer dimensions or sizes of 1."""
    masks_of_any_shape_are_taken(additive(student, device, suspect), device)


@pytest.mark.points(1)
def test_additive_gives_empty_rows_zeros(student, device, suspect):
    """Additive attention: a query that may look nowhere gets zeros, and brings no NaN into any gradient."""
    attend, mask = additive(student, device, suspect), some_rows_empty(device)
    zero_where_empty(empty_rows_have_no_gradient(attend, device, mask), mask)
    empty_rows_are_zero(attend, device, empty_in_short(device))


@pytest.mark.points(0.5)
@torch.no_grad()
def test_additive_survives_large_scores(student, device, suspect):
    """Additive attention: scores in the thousands give shares, not NaN."""
    weights = draw_weights(6, 6, 11)
    weights["score.weight"] *= 4000
    query, key, value = 0.1 * draw(device, 12, 6), draw(device, 4, 6), draw(device, 8, 5)
    key = torch.cat([key, -key])  # scores of either sign
    context, shares = choosy(additive(student, device, suspect, weights)(query, key, value))
    assert (context.shape, shares.shape) == ((12, 5), (12, 8))
    assert context.isfinite().all() and shares.isfinite().all(), "NaN or inf"
    close(shares.sum(dim=-1), torch.ones(12, device=device))


@pytest.mark.points(0.5)
def test_additive_keeps_the_dtype(student, device, suspect):
    """Additive attention: float16 and bfloat16 come back as they went in, and no number overflows."""
    attend = additive(student, device, suspect, dtype=HALF)
    dtype_is_kept(attend, device, HALF)
    attend.to(BRAIN)
    dtype_is_kept(attend, device, BRAIN)


@pytest.mark.points(0.5)
def test_additive_keeps_sizes_of_one(student, device, suspect):
    """Additive attention: one query, one key, a batch of one: sizes of 1 stay dimensions."""
    ones_stay_dimensions(additive(student, device, suspect), device)


@pytest.mark.points(0.5)
def test_additive_takes_views_and_leaves_them(student, device, suspect, changed_arguments):
    """Additive attention: transposed, sliced and expanded tensors are as good as any, and nothing is changed in place."""
    views_are_welcome(additive(student, device, suspect), device)
    assert not changed_arguments, changed_arguments


@pytest.mark.points(0.5)
@pytest.mark.last
def test_additive_works_on_another_device(student):
    """Additive attention: what it makes lies where its weights and its arguments lie, whatever the device."""
    works_elsewhere(student.AdditiveAttention(4, 4, 4))
