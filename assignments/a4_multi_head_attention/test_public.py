"""The public tests of 'Many heads': run `pytest` in this folder."""

import math

import torch
from torch.nn import functional as F

from a4_multi_head_attention import MultiHeadAttention, causal_mask, merge_heads, padding_mask, split_heads


def test_split_has_the_right_shape():
    """Two texts of 5 tokens and width 12 become 3 heads of width 4 each."""
    shape = tuple(split_heads(torch.randn(2, 5, 12), 3).shape)
    assert shape == (2, 3, 5, 4), f"(2, 5, 12) in 3 heads should become (2, 3, 5, 4), not {shape}"


def test_split_cuts_each_vector():
    """Head 0 gets the first numbers of each token, head 1 the next ones."""
    x = torch.tensor([[[10.0, 11.0, 12.0, 13.0], [20.0, 21.0, 22.0, 23.0], [30.0, 31.0, 32.0, 33.0]]])
    heads = split_heads(x, 2)[0].tolist()
    expected = [[[10, 11], [20, 21], [30, 31]], [[12, 13], [22, 23], [32, 33]]]
    assert heads == expected, (
        "three tokens, 10 to 13, 20 to 23 and 30 to 33: head 0 should hold [10, 11], [20, 21], [30, 31], "
        f"and head 1 the rest; yours are {heads[0]} and {heads[1]}"
    )


def test_merge_puts_pieces_side_by_side():
    """Each token gets its vector back, the piece of head 0 first."""
    first_head = torch.tensor([[10.0, 11.0], [20.0, 21.0], [30.0, 31.0]])
    merged = merge_heads(torch.stack([first_head, first_head + 2]).unsqueeze(0))
    shape = tuple(merged.shape)
    assert shape == (1, 3, 4), f"(1, 2, 3, 2) should become (1, 3, 4), not {shape}"
    expected = [[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]]
    assert merged[0].tolist() == expected, (
        "the tokens are [10, 11], [20, 21], [30, 31] in head 0 and [12, 13], [22, 23], [32, 33] in head 1; "
        f"merged they should be {expected}, yours are {merged[0].tolist()}"
    )


def test_merge_undoes_split():
    """Split and merge give back what there was, for any number of heads."""
    x = torch.randn(3, 5, 12)
    for num_heads in (1, 2, 3, 12):
        again = merge_heads(split_heads(x, num_heads))
        assert torch.equal(again, x), f"with {num_heads} heads, what comes back is not what went in"


def test_causal_mask():
    """Each position may look at itself and at what came before."""
    mask = causal_mask(3)
    assert mask.dtype == torch.bool, f"a mask is boolean; yours is {mask.dtype}"
    expected = [[True, False, False], [True, True, False], [True, True, True]]
    assert mask.tolist() == expected, f"expected {expected}, got {mask.tolist()}"


def test_padding_mask():
    """Real tokens may be seen, padding may not, in each text of the batch."""
    mask = padding_mask(torch.tensor([[5, 0, 7, 9], [7, 5, 9, 9], [9, 5, 5, 0]]), 9)
    shape = tuple(mask.shape)
    assert mask.dtype == torch.bool, f"a mask is boolean; yours is {mask.dtype}"
    assert shape == (3, 1, 1, 4), f"3 texts of 4 tokens give (3, 1, 1, 4), not {shape}"
    expected = [[True, True, True, False], [True, True, False, False], [False, True, True, True]]
    assert mask[:, 0, 0].tolist() == expected, f"expected {expected}, got {mask[:, 0, 0].tolist()}"


def test_the_two_masks_combine():
    """Joined, they let each query of each text look back, and at real tokens only."""
    both = causal_mask(4) & padding_mask(torch.tensor([[5, 6, 7, 0], [5, 6, 0, 0]]), 0)
    shape = tuple(both.shape)
    assert shape == (2, 1, 4, 4), f"joined they should have shape (2, 1, 4, 4), not {shape}"
    row = both[1, 0, 3].tolist()
    assert row == [True, True, False, False], f"the second text has two real tokens; its last query sees {row}"


def test_output_and_weights_come_back():
    """The answer is the pair (output, weights), also where one text looks at another."""
    attention = MultiHeadAttention(12, 3)
    answer = attention(torch.randn(2, 4, 12), torch.randn(2, 5, 12), torch.randn(2, 5, 12))
    assert isinstance(answer, tuple) and len(answer) == 2, "expected a pair, the output and the weights"
    output, weights = (tuple(tensor.shape) for tensor in answer)
    sizes = "B = 2, L = 4, S = 5, d = 12, h = 3"
    assert output == (2, 4, 12), f"{sizes}: the output should be (2, 4, 12), not {output}"
    assert weights == (2, 3, 4, 5), f"{sizes}: the weights should be (2, 3, 4, 5), not {weights}"


def test_two_heads_by_hand():
    """Agrees with two heads of width 1 that were worked out on paper."""
    attention = MultiHeadAttention(2, 2)
    weights = {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.eye(2), torch.zeros(2)
    weights["out_proj.bias"] = torch.tensor([0.0, 100.0])
    load = getattr(attention, "load_named", attention.load_state_dict)
    load(weights)
    query = torch.tensor([[[1.0, -1.0]]])
    key = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    value = torch.tensor([[[10.0, 30.0], [20.0, 40.0]]])
    # head 0: scores 1 and 0, so weights 0.731 and 0.269; head 1: scores 0 and -2, so weights 0.881 and 0.119
    output, shares = attention(query, key, value)
    expected = torch.tensor([[0.7311, 0.2689], [0.8808, 0.1192]])
    assert torch.allclose(shares[0, :, 0], expected, atol=1e-3), (
        f"head 0 has the scores 1 and 0, head 1 has 0 and -2; the weights should be {expected.tolist()}, "
        f"yours are {shares[0, :, 0].tolist()}"
    )
    assert torch.allclose(output[0, 0], torch.tensor([12.689, 131.192]), atol=1e-2), (
        "head 0 mixes 10 and 20 to 12.69, head 1 mixes 30 and 40 to 31.19, and the bias adds 0 and 100; "
        f"yours is {output[0, 0].tolist()}"
    )


def test_one_head_is_plain_attention():
    """With a single head it is attention between four projections."""
    attention, weights = MultiHeadAttention(6, 1), {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.randn(6, 6) / 2, torch.randn(6)
    load = getattr(attention, "load_named", attention.load_state_dict)
    load(weights)
    inputs = {"q_proj": torch.randn(2, 4, 6), "k_proj": torch.randn(2, 5, 6), "v_proj": torch.randn(2, 5, 6)}
    projected = [F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"]) for name, x in inputs.items()]
    plain = F.scaled_dot_product_attention(*projected)
    expected = F.linear(plain, weights["out_proj.weight"], weights["out_proj.bias"])
    output, _ = attention(*inputs.values())
    assert torch.allclose(output, expected, atol=1e-4), "with a single head, another output was expected"


def test_the_width_of_a_head_divides():
    """The scores are divided by the square root of the width of one head."""
    attention = MultiHeadAttention(8, 2)
    weights = {}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.eye(8), torch.zeros(8)
    load = getattr(attention, "load_named", attention.load_state_dict)
    load(weights)
    key = torch.cat([torch.full((1, 1, 8), 0.5), torch.zeros(1, 1, 8)], dim=1)
    _, shares = attention(torch.ones(1, 1, 8), key, key)
    ratio = (shares[0, 0, 0, 0] / shares[0, 0, 0, 1]).item()
    assert abs(ratio - math.e) < 1e-3, (
        "d = 8 and h = 2, so a head has width 4. In each head the dot products are 2 and 0, "
        f"which makes scores of 1 and 0 and weights of ratio 2.718, not {ratio:.3f}"
    )


def test_every_head_shares_out_one():
    """In each head, each query shares out exactly 1 among the keys."""
    _, weights = MultiHeadAttention(12, 3)(torch.randn(2, 4, 12), torch.randn(2, 5, 12), torch.randn(2, 5, 12))
    assert (weights >= 0).all(), "a weight is negative"
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 3, 4)), "some weights do not sum to 1 over the keys"


def test_the_future_has_no_influence():
    """Under a causal mask a later token changes no earlier output."""
    attention, text = MultiHeadAttention(12, 3), torch.randn(2, 5, 12)
    other = text.clone()
    other[:, 3:] = torch.randn(2, 2, 12)
    back = torch.ones(5, 5, dtype=torch.bool).tril()
    one, two = attention(text, text, text, back)[0], attention(other, other, other, back)[0]
    earlier_same = torch.allclose(one[:, :3], two[:, :3], atol=1e-6)
    assert earlier_same, "tokens 3 and 4 were changed, and an earlier output moved"
    later_same = torch.allclose(one[:, 3:], two[:, 3:], atol=1e-6)
    assert not later_same, "tokens 3 and 4 were changed, and their outputs were not"


def test_masks_of_several_shapes():
    """The mask broadcasts to (B, h, L, S) as it stands."""
    attention = MultiHeadAttention(12, 3)
    query, key = torch.randn(2, 4, 12), torch.randn(2, 5, 12)
    for shape in [(4, 5), (2, 1, 1, 5), (2, 1, 4, 5), (2, 3, 4, 5), (3, 4, 5)]:
        mask = torch.rand(shape) > 0.4
        mask[..., 0] = True
        _, weights = attention(query, key, key, mask)
        assert torch.equal(weights > 0, mask.expand(2, 3, 4, 5)), (
            f"with a mask of shape {shape}, the weights are not zero exactly where the mask is false"
        )


def test_a_query_that_may_look_nowhere():
    """A query that may look nowhere gets zero weights and out_proj.bias, and no NaN, not even in a gradient."""
    attention = MultiHeadAttention(12, 3)
    bias = torch.linspace(-1, 1, 12)
    zeros = {f"{name}_proj.bias": torch.zeros(12) for name in "qkv"}
    matrices = {f"{name}.weight": torch.randn(12, 12) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    getattr(attention, "load_named", attention.load_state_dict)(matrices | zeros | {"out_proj.bias": bias})
    text = torch.randn(1, 4, 12, requires_grad=True)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2] = False
    output, weights = attention(text, text, text, mask)
    assert not output.isnan().any(), "NaN: what is the softmax of a row in which nothing may be seen?"
    assert (weights[:, :, 2] == 0).all(), "query 2 may look nowhere, and has weights"
    assert torch.allclose(output[0, 2], bias, atol=1e-6), "query 2 may look nowhere: out_proj.bias is its output"
    output.square().sum().backward()
    assert not text.grad.isnan().any(), "the result is fine, but its gradient holds NaN: where was it made?"


def test_the_arguments_stay_as_they_were():
    """Nothing that was passed in is changed."""
    given = torch.randn(2, 4, 12), torch.randn(2, 5, 12), torch.randn(2, 5, 12), torch.rand(4, 5) > 0.4
    before = [tensor.clone() for tensor in given]
    MultiHeadAttention(12, 3)(*given)
    for name, old, new in zip(("query", "key", "value", "mask"), before, given):
        assert torch.equal(old, new), f"`{name}` has changed during the call: something works in place"
