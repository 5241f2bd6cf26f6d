"""elsewhere: what is wired to the CPU is found without another device, and nothing right is refused."""

import math
import multiprocessing

import pytest
import torch
import torch._subclasses.fake_tensor
from torch import nn

from autograder.sandbox import elsewhere
from autograder.sandbox.elsewhere import MIXED, RETURNED

X = torch.randn(2, 3, 4)
MASK = torch.ones(3, 3, dtype=torch.bool).tril()
KEPT = torch.ones(4)


def attend(x, mask=None):
    scores = x @ x.mT / math.sqrt(x.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.nan_to_num(torch.softmax(scores, -1)) @ x


class Shifted(nn.Module):
    def __init__(self, buffer):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        if buffer:
            self.register_buffer("shift", torch.ones(4))
        else:
            self.shift = torch.ones(4)

    def forward(self, x):
        return self.inner(x) + self.shift

    def step(self, x, *, times):
        return self.forward(x) * times


def filled(x):
    out = torch.zeros(2, 3, 4)
    for index in range(2):
        out[index] = x[index]
    return out


RIGHT = {
    "attention": (attend, [X, MASK]),
    "made there": (lambda x: x + torch.arange(4, device=x.device), [X]),
    "moved there": (lambda x: x + torch.arange(4).to(x.device), [X]),
    "like": (lambda x: x + torch.zeros_like(x) + x.new_ones(4), [X]),
    "numbers": (lambda x: x * 2.0 + torch.tensor(1.0), [X]),
    "indices": (lambda x: x[:, torch.tensor([2, 0])], [X]),
    "where": (lambda x: torch.where(x > 0, x, torch.tensor(0.0)), [X]),
    "dropout": (lambda x: nn.functional.dropout(x, 0.5), [X]),
    "vmap": (lambda x: torch.func.vmap(torch.tanh)(x), [X]),
    "no tensors": (lambda n: torch.arange(n), [4]),
    "can't be told": (lambda x: x * float(x.max()), [X]),
    "raises": (lambda x: x.view(7, 7), [X]),
    "several results": (lambda x: (x, [x.sum(), {"weights": x}]), [X]),
    "lists": (lambda rows: torch.stack(rows), [[X, X]]),
}
WRONG = {
    "made here": (lambda x: x + torch.arange(4), [X], MIXED),
    "a kept table": (lambda x: x * KEPT, [X], MIXED),
    "a mask of its own": (lambda x: x.masked_fill(torch.ones(3, 4).bool(), 0), [X], MIXED),
    "a matrix": (lambda x: x @ torch.eye(4), [X], MIXED),
    "brought here": (lambda x: x.cpu() * 2, [X], RETURNED),
    "written into a new tensor": (filled, [X], RETURNED),
    "a pair": (lambda x: (x, torch.zeros(3)), [X], RETURNED),
}


def try_there(*call):
    """What is found in a process of its own: judges are forked from this one, and where the device is known, autograd
    has threads that would be lost in a fork."""
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=lambda: there.send(elsewhere.try_there(*call)))
    child.start()
    child.join(60)
    assert child.exitcode == 0 and here.poll()
    return here.recv()


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_said_of_what_is_right_or_unclear(name):
    function, arguments = RIGHT[name]
    assert try_there(function, [], arguments, {}) == ""


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wired_to_the_cpu_is_found(name):
    function, arguments, said = WRONG[name]
    assert try_there(function, [], arguments, {}) == said


def test_parameters_and_buffers_move_and_plain_attributes_do_not():
    kept, lost = Shifted(buffer=True), Shifted(buffer=False)
    assert try_there(kept, [kept], [X], {}) == "" and try_there(kept.step, [kept], [X], {"times": 2}) == ""
    assert try_there(lost, [lost], [X], {}) == MIXED
    assert kept.inner.weight.device.type == "cpu" and type(kept.shift) is torch.Tensor


def test_torch_s_own_modules_hold():
    for module in (
        nn.MultiheadAttention(4, 2, batch_first=True),
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
    ):
        arguments = [X, X, X] if isinstance(module, nn.MultiheadAttention) else [X]
        assert try_there(module, [module], arguments, {}) == ""
