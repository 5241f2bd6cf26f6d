"""The hidden checks of the toy assignment."""

import pytest
import torch
from torch.testing import assert_close


def pair(student, reference, device, dtype):
    """The student's layer and the reference, with the same random weights."""
    weights = {"weight": torch.randn(3, 5), "bias": torch.randn(3)}
    theirs, ours = (module.Affine(5, 3).to(dtype).to(device) for module in (student, reference))
    theirs.load_weights(weights)
    ours.load_state_dict(weights)
    return theirs, ours


@pytest.mark.points(2)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)], ids=str)
def test_scale_multiplies_each_number(student, reference, device, shape):
    """Multiplies each number, whatever the shape."""
    x = torch.randn(shape, device=device)
    assert_close(student.scale(x.clone(), -1.5), reference.scale(x, -1.5))


@pytest.mark.points(1)
def test_scale_keeps_the_dtype(student, device):
    """Returns the dtype that came in."""
    assert student.scale(torch.randn(3, dtype=torch.float64, device=device), 2.0).dtype == torch.float64


@pytest.mark.points(1)
def test_scale_leaves_its_argument_alone(student, device, changed_arguments):
    """Does not change the tensor that was passed in."""
    student.scale(torch.randn(4, device=device), 3.0)
    assert changed_arguments == []


@pytest.mark.points(1)
@pytest.mark.cpu(5)
def test_scale_can_be_differentiated(student, device):
    """Gradients flow through the scaling."""
    x = torch.randn(6, dtype=torch.float64, device=device, requires_grad=True)
    (slope,) = torch.autograd.grad(student.scale(x, 3.0).sum(), x)
    step, ahead = 1e-6, torch.rand_like(x)
    with torch.no_grad():
        rise = (student.scale(x + step * ahead, 3.0) - student.scale(x - step * ahead, 3.0)) / (2 * step)
    assert_close(rise.sum(), (slope * ahead).sum(), rtol=1e-6, atol=1e-6)


@pytest.mark.points(2)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_affine_agrees_with_the_reference(student, reference, device, dtype):
    """Agrees with the reference, in single and in double precision."""
    theirs, ours = pair(student, reference, device, dtype)
    x = torch.randn(7, 5, dtype=dtype, device=device)
    assert_close(theirs(x), ours(x), rtol=1e-5, atol=1e-5)


@pytest.mark.points(2)
def test_affine_has_the_right_gradients(student, reference, device):
    """Gradients reach the input and the parameters."""
    theirs, ours = pair(student, reference, device, torch.float32)
    x = torch.randn(7, 5, device=device)
    found = [x.clone().requires_grad_() for _ in range(2)]
    sizes = []
    for layer, inputs in zip((theirs, ours), found, strict=True):
        layer(inputs).square().sum().backward()
        sizes.append(sum(p.grad.square().sum() for p in layer.parameters()))
    assert_close(found[0].grad, found[1].grad, rtol=1e-4, atol=1e-4)
    assert_close(sizes[0], sizes[1], rtol=1e-4, atol=1e-4)


@pytest.mark.points(1)
@pytest.mark.alone
def test_affine_refuses_another_width(student, device):
    """Raises ValueError when the input has the wrong width."""
    layer = student.Affine(5, 3).to(device)
    with pytest.raises(ValueError):  # noqa: PT011
        layer(torch.randn(2, 4, device=device))
