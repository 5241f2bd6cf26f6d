"""Agreement with the field: the solution of a4 is torch's own multi-head attention when both have the same weights."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from autograder import course

ROOT = Path(__file__).resolve().parent.parent
NAME = "a4_multi_head_attention"
PROJECTIONS = ("q_proj", "k_proj", "v_proj")
KINDS = ("weight", "bias")


@pytest.fixture(scope="module")
def solution():
    return course.reference(course.load(ROOT, NAME))


def twins(solution, d_model, num_heads, dtype):
    """Ours, and torch's with the same random weights."""
    ours = solution.MultiHeadAttention(d_model, num_heads).to(dtype)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
    state = ours.state_dict()
    theirs = nn.MultiheadAttention(d_model, num_heads, batch_first=True, dtype=dtype)
    packed = {f"in_proj_{kind}": torch.cat([state[f"{name}.{kind}"] for name in PROJECTIONS]) for kind in KINDS}
    theirs.load_state_dict(packed | {f"out_proj.{kind}": state[f"out_proj.{kind}"] for kind in KINDS})
    return ours, theirs


def draw_mask(*shape):
    """Random, with one key that everybody may see: torch has NaN for a query that may look nowhere."""
    mask = torch.rand(shape) < 0.5
    mask[..., 1] = True
    return mask


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("d_model", "num_heads"), [(12, 3), (64, 8), (5, 1), (6, 6)])
def test_values_and_gradients_are_those_of_torch(solution, d_model, num_heads, dtype, masked):
    torch.manual_seed(d_model)
    ours, theirs = twins(solution, d_model, num_heads, dtype)
    batch, length, source = 2, 4, 7
    inputs = [torch.randn(batch, size, d_model, dtype=dtype) for size in (length, source, source)]
    mask = draw_mask(batch, num_heads, length, source) if masked else None
    hidden = None if mask is None else ~mask.reshape(batch * num_heads, length, source)
    mine, yours = ([tensor.clone().requires_grad_() for tensor in inputs] for _ in range(2))
    answer = ours(*mine, mask)
    expected = theirs(*yours, attn_mask=hidden, average_attn_weights=False)
    assert_close(answer, expected, rtol=1e-4, atol=1e-5)
    factors = torch.randn_like(answer[0])
    (answer[0] * factors).sum().backward()
    (expected[0] * factors).sum().backward()
    for one, other in zip(mine, yours, strict=True):
        assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)
    packed = torch.cat([getattr(ours, name).weight.grad for name in PROJECTIONS])
    assert_close(packed, theirs.in_proj_weight.grad, rtol=1e-4, atol=1e-4)
    assert_close(ours.out_proj.weight.grad, theirs.out_proj.weight.grad, rtol=1e-4, atol=1e-4)


def test_a_padding_mask_is_the_opposite_of_a_key_padding_mask(solution):
    torch.manual_seed(0)
    ours, theirs = twins(solution, 12, 3, torch.float64)
    tokens = torch.tensor([[4, 7, 2, 9, 9], [3, 1, 8, 5, 9]])
    text = torch.randn(2, 5, 12, dtype=torch.float64)
    answer = ours(text, text, text, solution.padding_mask(tokens, 9))
    expected = theirs(text, text, text, key_padding_mask=tokens == 9, average_attn_weights=False)
    assert_close(answer, expected)


def test_a_causal_mask_is_the_opposite_of_the_one_for_transformers(solution):
    torch.manual_seed(0)
    ours, theirs = twins(solution, 12, 4, torch.float64)
    text = torch.randn(2, 5, 12, dtype=torch.float64)
    answer = ours(text, text, text, solution.causal_mask(5))
    hidden = nn.Transformer.generate_square_subsequent_mask(5).isinf()
    assert_close(answer, theirs(text, text, text, attn_mask=hidden, average_attn_weights=False))
