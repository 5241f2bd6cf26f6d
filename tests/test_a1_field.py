"""Agreement with the field: the solution of a1 is torch's own scaled dot-product attention."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from autograder import course

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def solution():
    return course.reference(course.load(ROOT, "a1_attention"))


def draw_mask(*shape):
    """Random, with one key that everybody may see: torch has NaN for a query that may look nowhere."""
    mask = torch.rand(shape) < 0.5
    mask[..., 1] = True
    return mask


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("masked", [None, (5, 7), (2, 1, 5, 7), (3, 1, 7)], ids=str)
def test_context_and_gradients_are_torchs(solution, dtype, masked):
    torch.manual_seed(1)
    shapes = (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 4)
    ours = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    mask = None if masked is None else draw_mask(*masked)
    context, weights = solution.scaled_dot_product_attention(*ours, mask)
    expected = F.scaled_dot_product_attention(*theirs, attn_mask=mask)
    assert_close(context, expected)
    assert_close(weights @ ours[2], expected)
    towards = torch.randn_like(expected)
    assert_close(torch.autograd.grad(context, ours, towards), torch.autograd.grad(expected, theirs, towards))
