"""The public tests of 'Attention': run `pytest` in this folder."""

import math

import torch

from a1_attention import AdditiveAttention, masked_softmax, scaled_dot_product_attention


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
