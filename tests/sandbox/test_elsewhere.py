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


def in_place_through_a_view(x):
    copy = x.clone()
    copy[:, 0] = 1.0
    copy.view(-1)[3:5].zero_()
    return copy / copy.norm()


def written_by_a_mask(x):
    copy = x.clone()
    copy[torch.ones(2, 3, 4, dtype=torch.bool).tril()] = 0.0
    return copy


def copied_there(x):
    table = torch.empty(4, device=x.device)
    table.copy_(torch.arange(4.0))
    return x + table


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
    "a number of its own": (lambda x: x * float(x.max()), [X]),
    "a loop that looks": (lambda x: x * 2 if bool((x > 9).any()) else x + 1, [X]),
    "can't be told": (lambda x: x + torch.from_numpy(x.numpy()), [X]),
    "in place": (lambda x: x.clone().mul_(2).add_(x), [X]),
    "in place, through a view": (in_place_through_a_view, [X]),
    "its metadata in place": (lambda x: x.clone().unsqueeze_(0).transpose_(1, 2) @ x, [X]),
    "from numbers": (lambda x: x + torch.tensor([1.0, 2.0, 3.0, 4.0], device=x.device) + x.new_tensor([1.0]), [X]),
    "chosen by a mask of the CPU": (lambda x: x[torch.tensor([True, False])], [X]),
    "written by a mask of the CPU": (written_by_a_mask, [X]),
    "einsum": (lambda x: torch.einsum("bij,bkj->bik", x, x), [X]),
    "a stream of random numbers": (lambda x: x * torch.rand(4, device=x.device).bernoulli_(0.5), [X]),
    "a loss": (lambda x: nn.functional.cross_entropy(x[0], torch.zeros(3, dtype=torch.long, device=x.device)), [X]),
    "copied there": (copied_there, [X]),
    "gathered": (lambda x: x.gather(2, x.argmax(2, keepdim=True)), [X]),
    "fused attention": (lambda x: nn.functional.scaled_dot_product_attention(x, x, x), [X]),
    "raises": (lambda x: x.view(7, 7), [X]),
    "several results": (lambda x: (x, [x.sum(), {"weights": x}]), [X]),
    "lists": (lambda rows: torch.stack(rows), [[X, X]]),
}
WRONG = {
    "made here": (lambda x: x + torch.arange(4), [X], MIXED),
    "a kept table": (lambda x: x * KEPT, [X], MIXED),
    "a mask of its own": (lambda x: x.masked_fill(torch.ones(3, 4).bool(), 0), [X], MIXED),
    "a matrix": (lambda x: x @ torch.eye(4), [X], MIXED),
    "ids here": (lambda x: nn.functional.embedding(torch.tensor([0, 1]), x[0]), [X], MIXED),
    "a table here": (lambda x: torch.randn(9, 4)[x.argmax(1)], [X], MIXED),
    "a loss of labels here": (
        lambda x: nn.functional.cross_entropy(x[0], torch.zeros(3, dtype=torch.long)),
        [X],
        MIXED,
    ),
    "joined": (lambda x: torch.cat([x, torch.zeros(2, 1, 4)], 1), [X], MIXED),
    "chosen": (lambda x: torch.where(torch.ones(4) > 0, x, 0.0), [X], MIXED),
    "its number with ours": (lambda x: torch.ones(4) * x.max(), [X], MIXED),
    "in place": (lambda x: x.clone().add_(torch.ones(4)), [X], MIXED),
    "into ours": (lambda x: torch.zeros(2, 3, 4).add_(x), [X], MIXED),
    "a guess at the device": (
        lambda x: x + torch.ones(4, device="cuda" if torch.cuda.is_available() else "cpu"),
        [X],
        MIXED,
    ),
    "brought here": (lambda x: x.cpu() * 2, [X], RETURNED),
    "written into a new tensor": (filled, [X], RETURNED),
    "a pair": (lambda x: (x, torch.zeros(3)), [X], RETURNED),
}


def try_there(*call):
    """What is found in a process of its own: judges are forked from this one, and where the device is known, autograd
    has threads that would be lost in a fork."""
    here, there = multiprocessing.Pipe()

    def tell():
        torch.set_num_threads(1)  # as in a worker
        there.send(elsewhere.try_there(*call))

    child = multiprocessing.get_context("fork").Process(target=tell)
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


MODULES = {
    "attention": (nn.MultiheadAttention(4, 2, batch_first=True), [X, X, X]),
    "encoder layer": (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), [X]),
    "norm": (nn.LayerNorm(4), [X]),
    "embedding": (nn.Embedding(5, 4), [torch.tensor([1, 2])]),
    "recurrent": (nn.GRU(4, 6, batch_first=True), [X]),
    "recurrent cell": (nn.GRUCell(4, 6), [X[0]]),
    "with a memory": (nn.LSTM(4, 6, batch_first=True), [X]),
}


@pytest.mark.parametrize("name", MODULES)
def test_torch_s_own_modules_hold(name):
    module, arguments = MODULES[name]
    assert try_there(module, [module], arguments, {}) == ""


@pytest.mark.parametrize("name", ["recurrent", "recurrent cell"])
def test_a_state_made_here_is_found_in_recurrent_modules(name):
    module, arguments = MODULES[name]
    state = torch.zeros(1, 2, 6) if name == "recurrent" else torch.zeros(3, 6)
    assert try_there(lambda x: module(x, state), [module], arguments, {}) == MIXED


@pytest.mark.parametrize("module", [nn.GRU(4, 6, batch_first=True), nn.LSTM(4, 6, batch_first=True), nn.GRUCell(4, 6)])
def test_the_numbers_there_are_those_of_the_cpu(module):
    x = X[0] if isinstance(module, nn.GRUCell) else X
    expected = module(x)[0] if isinstance(module(x), tuple) else module(x)

    def compare(x):
        found = module(x)
        found = found[0] if isinstance(found, tuple) else found
        assert torch.allclose(found.cpu(), expected, atol=1e-6)
        return expected  # which lies on the CPU, and is said to, if it came so far

    assert try_there(compare, [module], [x], {}) == RETURNED
