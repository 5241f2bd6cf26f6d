"""The hidden checks of the steps."""

import pytest
import torch
from torch.testing import assert_close


def pair(student, reference, *sizes):
    """The student's tower and the reference, with the same random weights."""
    ours = reference.Tower(*sizes).double()
    theirs = student.Tower(*sizes)
    theirs.double()
    weights = {name: torch.randn_like(tensor) / 2 for name, tensor in ours.state_dict().items()}
    theirs.load_weights(weights)
    ours.load_state_dict(weights)
    return theirs, ours


@pytest.mark.points(1)
def test_halve_halves(student):
    """Halves numbers."""
    x = torch.randn(2, 3)
    assert_close(student.halve(x), x * 0.5)


@pytest.mark.points(1)
@pytest.mark.alone
def test_halve_holds_on_another_device(student):
    """Works on every device."""
    x = torch.randn(2, 3)
    assert student.halve(x).shape == x.shape
    assert not student.halve.on_another_device(x)


@pytest.mark.points(2)
@pytest.mark.stand_in("halve")
def test_layer_agrees(student, reference):
    """A layer is right for given weights."""
    theirs, ours = student.Layer(4), reference.Layer(4)
    weights = {"inner.weight": torch.randn(4, 4), "offset": torch.randn(4)}
    theirs.load_weights(weights)
    ours.load_state_dict(weights)
    x = torch.randn(3, 4)
    with torch.no_grad():
        assert_close(theirs.twice(x, times=3), ours.twice(x, times=3))
    assert not theirs.on_another_device(x)


@pytest.mark.points(3)
@pytest.mark.stand_in("halve", "Layer")
def test_tower_agrees(student, reference):
    """A tower of layers is right for given weights."""
    theirs, ours = pair(student, reference, 3, 2)
    x = torch.randn(5, 3, dtype=torch.float64)
    with torch.no_grad():
        assert_close(theirs(x), ours(x))


@pytest.mark.points(3)
@pytest.mark.stand_in("halve", "Layer")
def test_tower_learns_with_every_weight(student, reference):
    """Gradients reach the input and every weight of a tower."""
    theirs, ours = pair(student, reference, 3, 2)
    x = torch.randn(5, 3, dtype=torch.float64)
    mine, yours = x.clone().requires_grad_(), x.clone().requires_grad_()
    theirs(mine).square().sum().backward()
    ours(yours).square().sum().backward()
    assert_close(mine.grad, yours.grad)
    expected = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        assert_close(parameter.grad, expected[name].grad)
    assert len(expected) == len(dict(theirs.named_parameters()))


@pytest.mark.points(2)
@pytest.mark.training
@pytest.mark.stand_in("halve", "Layer", "Tower")
@pytest.mark.cpu(5)
def test_training_helps(student, suspect):
    """After training the error is smaller."""
    tower = student.Tower(3, 1)
    tower.load_weights({"layers.0.inner.weight": torch.eye(3), "layers.0.offset": torch.zeros(3)})
    x = torch.randn(20, 3)
    with torch.no_grad():
        before = (tower(x) - x).square().mean()
        student.train(tower, x, x, 100)
        after = (tower(x) - x).square().mean()
    if after > before:
        suspect("uphill")
    if after == before:
        suspect("no-step")
    assert after < 0.9 * before
