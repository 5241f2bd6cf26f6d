"""understudy: whatever a worker asks for, it gets an answer or is told no; nothing else happens."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autograder.records import Status
from autograder.sandbox.spawn import WorkerEnded
from autograder.sandbox.understudy import Understudy
from autograder.sandbox.wire import pack


def halve(x, times=1):
    return x / 2**times


def echo(*args, **kwargs):
    return [args, kwargs]


def thing(x):
    return object()


class Layer(nn.Module):
    secret = "of the class"

    def __init__(self, width, depth=1):
        super().__init__()
        self.width = width
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def forward(self, x):
        for layer in self.inner:
            x = layer(x)
        return x

    def _hidden(self):
        return "never"


def understudy(seconds=10.0):
    return Understudy({"halve": halve, "echo": echo, "thing": thing, "noise": torch.randn, "Layer": Layer}, seconds, 5)


def call(subject, *args, leaves=(), graph=1, **kwargs):
    tensors = [value for value in args if isinstance(value, torch.Tensor)]
    request = {"call": subject, "args": list(args), "kwargs": kwargs, "tensors": tensors, "leaves": list(leaves)}
    return {**request, "graph": graph, "free": []}


def no(answer):
    return answer["raised"][2]


def test_values_and_gradients_come_back():
    one, x = understudy(), torch.randn(3)
    answer = one.answer(call("halve", x, leaves=[0], times=2))
    assert torch.equal(answer["value"], x / 4) and answer["tracked"] == [True]
    (gradient,) = one.answer({"backward": 1, "cotangents": [torch.ones(3)], "free": []})["value"]
    assert torch.equal(gradient, torch.full((3,), 0.25))
    assert "raised" in one.answer({"backward": 1, "cotangents": [torch.ones(3)], "free": [1]})


def test_what_is_drawn_is_new_each_time_and_disturbs_nothing_outside():
    before = torch.get_rng_state()
    one, two = understudy(), understudy()
    first, second = (one.answer(call("noise", 6))["value"] for _ in range(2))
    assert not torch.equal(first, second) and torch.equal(first, two.answer(call("noise", 6))["value"])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_class_is_described_and_its_errors_arrive():
    one = understudy()
    made = one.answer({"make": "Layer", "args": [4], "kwargs": {"depth": 2}, "free": []})
    assert set(made["parameters"]) == {f"inner.{n}.{part}" for n in (0, 1) for part in ("weight", "bias")}
    assert made["facts"] == {"width": 4} and made["methods"] == []
    assert one.answer({"make": "Layer", "args": ["wide"], "kwargs": {}, "free": []})["raised"][0] == "TypeError"
    x = torch.randn(2, 4)
    weights = {name: torch.zeros_like(tensor) for name, tensor in made["parameters"].items()}
    asked = call(made["subject"], "forward", False, weights, [x], {})
    assert torch.equal(one.answer(asked)["value"], torch.zeros(2, 4))
    for method in ("_hidden", "__init__", "secret", "to"):
        assert "not lent" in no(one.answer(call(made["subject"], method, False, weights, [x], {})))


REFUSED = {
    "another step": call("Tower", 1),
    "a class called": call("Layer", 4),
    "a step of another kind": {"make": "halve", "args": [], "kwargs": {}, "free": []},
    "no request": [1, 2],
    "large tensors": call("halve", torch.zeros(1 << 19)),
    "long tensors": call("halve", torch.zeros(1025, 2)),
    "large numbers": call("halve", torch.zeros(2), times=2000),
    "long texts": call("echo", "x" * 300),
    "many things": call("echo", [0] * 3000),
    "deep things": call("echo", [[[[[[[[[[1]]]]]]]]]]),
    "wide layers": {"make": "Layer", "args": [129], "kwargs": {}, "free": []},
    "what can't travel": call("thing", torch.zeros(2)),
    "leaves that are none": call("halve", torch.zeros(2), leaves=[1]),
    "whole leaves": call("halve", torch.zeros(2, dtype=torch.long), leaves=[0]),
    "graphs that are none": call("halve", torch.zeros(2), leaves=[0], graph="one"),
    "numbers that are none": {**call("halve", torch.zeros(2)), "free": ["all"]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not_be_asked_is_refused(name):
    answer = understudy().answer(REFUSED[name])
    assert set(answer) == {"raised"} and pack(answer)


def test_many_parameters_are_refused():
    one = understudy()
    made = [one.answer({"make": "Layer", "args": [128, 16], "kwargs": {}, "free": []}) for _ in range(17)]
    assert "subject" in made[0] and "more parameters" in no(made[-1])


def test_devices_are_all_the_cpu():
    assert understudy().answer(call("echo", torch.device("cuda", 3)))["value"][0] == (torch.device("cpu"),)


def test_time_runs_out():
    one = understudy(seconds=0.0)
    with pytest.raises(WorkerEnded, match="asked too much") as ended:
        one.answer(call("halve", torch.zeros(2)))
    assert ended.value.status is Status.TIMED_OUT


def test_old_graphs_are_forgotten():
    one, x = understudy(), torch.zeros(2)
    for graph in range(600):
        one.answer(call("halve", x, leaves=[0], graph=graph))
    assert "raised" in one.answer({"backward": 0, "cotangents": [x], "free": []})
    assert "value" in one.answer({"backward": 599, "cotangents": [x], "free": []})


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.just(torch.zeros(2)) | st.floats()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
KEYS = st.sampled_from(
    ["call", "make", "backward", "args", "kwargs", "tensors", "leaves", "graph", "free", "cotangents"]
)
NAMES = st.sampled_from(["halve", "Layer", "echo", "made 3"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES | NAMES) | VALUES)
def test_no_request_brings_it_down(request):
    assert pack(understudy().answer(request))
