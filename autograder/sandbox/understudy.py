"""The trusted side of what is lent: the reference, asked by a worker, within bounds.

A request comes from a hostile process. Only the steps that are lent can be reached, by calling them and nothing else;
every tensor, number and count is bounded before the reference sees it, and it works on the CPU, where bad input raises.
"""

import inspect
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from autograder.records import Status
from autograder.sandbox.rehearsal import Dice
from autograder.sandbox.spawn import WorkerEnded
from autograder.sandbox.stage import Raised, Stage, describe, sendable
from autograder.sandbox.wire import Handle

MOST_NUMBERS = 1 << 18
MOST_EXTENT = 1 << 10
MOST_ITEMS = 2_000
MOST_TEXT = 200
MOST_DEPTH = 8
MOST_WIDTH = 1 << 7
MOST_PARAMETERS = 1 << 22
MOST_MADE = 256
MOST_GRAPHS = 512
PLAIN = (bool, float, type(None), torch.dtype)


class Understudy:
    """Answers for some steps of the reference. seconds: what all answers together may take.

    seed: of what these steps draw; it must tell nothing about the seed of a test's data.
    refused: whether it was asked for something that it does not do.
    Raises WorkerEnded when more is asked of it.
    """

    def __init__(self, names: Mapping[str, Any], seconds: float, seed: int) -> None:
        self.kinds = {name: "class" if isinstance(value, type) else "function" for name, value in names.items()}
        self._classes = {name: value for name, value in names.items() if isinstance(value, type)}
        self._stage = Stage({name: value for name, value in names.items() if name not in self._classes})
        self._callable = set(self._stage.names)
        self._seconds = seconds
        self.refused = False
        self._dice = Dice(seed)
        self._parameters = MOST_PARAMETERS

    def answer(self, request: Any) -> dict[str, Any]:
        """What is sent back for one request: a value, or what was raised."""
        began = time.monotonic()
        try:
            with self._dice.thrown(), torch.enable_grad():
                return self._answer(request)
        except (_Refused, TypeError, ValueError, KeyError) as error:
            self.refused = True
            return sendable(Raised("TypeError", ("TypeError", "Exception"), str(error), ""))
        finally:
            self._seconds -= time.monotonic() - began
            if self._seconds < 0:
                raise WorkerEnded(Status.TIMED_OUT, "asked too much of the steps that were lent to it")

    def _answer(self, request: Any) -> dict[str, Any]:
        if type(request) is not dict:
            raise _Refused("a request that is none")
        for graph in _whole(request.get("free")):
            self._stage.graphs.pop(graph, None)
        if "make" in request:
            return self._make(request)
        if "backward" in request:
            operation = {"op": "backward", "graph": request["backward"], "cotangents": request.get("cotangents")}
            _Bounds().check(operation["cotangents"], 0)
            return self._perform(operation)
        return self._call(request)

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        if type(request.get("call")) is not str or request["call"] not in self._callable:
            raise _Refused("a step that is not lent")
        tensors, leaves = request.get("tensors"), _whole(request.get("leaves"))
        if type(tensors) is not list or not all(type(tensor) is torch.Tensor for tensor in tensors):
            raise _Refused("tensors that are none")
        if not all(0 <= index < len(tensors) and tensors[index].is_floating_point() for index in leaves):
            raise _Refused("leaves that are none")
        bounds = _Bounds()
        args, kwargs = bounds.check(request.get("args"), 0), bounds.check(request.get("kwargs"), 0)
        operation = {"op": "call", "target": request["call"], "args": args, "kwargs": kwargs}
        operation |= {"tensors": tensors, "leaves": leaves}
        if leaves:
            graphs = self._stage.graphs
            operation["graph"] = _whole([request.get("graph")])[0]
            while len(graphs) >= MOST_GRAPHS:
                del graphs[next(iter(graphs))]
        answer = self._perform(operation)
        if "value" in answer and not leaves:
            answer["tracked"] = [False] * len(_tensors(answer["value"]))
        return answer

    def _make(self, request: dict[str, Any]) -> dict[str, Any]:
        known = self._classes.get(request["make"]) if type(request["make"]) is str else None
        if known is None or len(self._callable) > MOST_MADE:
            raise _Refused("a step that is not lent, or too many of one")
        bounds = _Bounds(MOST_WIDTH)
        args, kwargs = bounds.check(request.get("args"), 0), bounds.check(request.get("kwargs"), 0)
        try:
            module = known(*args, **kwargs)
        except Exception as error:
            return sendable(describe(error))
        self._parameters -= sum(parameter.numel() for parameter in module.parameters())
        if self._parameters < 0:
            raise _Refused("more parameters than lent steps may have")
        subject = f"made {len(self._callable)}"
        self._callable.add(subject)
        self._stage.names = {**self._stage.names, subject: _On(module)}
        return {
            "subject": subject,
            "parameters": dict(module.named_parameters()),
            "buffers": dict(module.named_buffers()),
            "persistent": [name for name, _ in module.named_buffers() if name in module.state_dict()],
            "facts": {key: value for key, value in vars(module).items() if _is_fact(key, value)},
            "methods": _methods(known),
        }

    def _perform(self, operation: dict[str, Any]) -> dict[str, Any]:
        answer = sendable(self._stage.perform(operation))
        if "raised" not in answer and _has_handle(answer["value"]):
            raise _Refused("a lent step returned what can't travel")
        return answer


class _On:
    """A module of the reference, called with weights that are given each time."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.shapes = {name: tensor.shape for name, tensor in _weights(module).items()}

    def __call__(self, method: str, training: bool, weights: Any, args: Any, kwargs: Any) -> Any:
        if method not in ("forward", *_methods(type(self.module))) or type(training) is not bool:
            raise _Refused("a method that is not lent")
        if type(weights) is not dict or {name: tensor.shape for name, tensor in weights.items()} != self.shapes:
            raise _Refused("weights of other names or shapes than the lent step has")
        self.module.train(training)
        through = _Through(self.module, method)
        return torch.func.functional_call(
            through, {f"module.{name}": w for name, w in weights.items()}, tuple(args), kwargs
        )


class _Through(nn.Module):
    """Calls a method of a module, so that `functional_call` can reach it."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.module, self.method)(*args, **kwargs)


class _Refused(Exception):
    """A request that a worker may not make."""


class _Bounds:
    """Counts what one request holds."""

    def __init__(self, largest: int = MOST_EXTENT) -> None:
        self.largest = largest
        self.numbers = MOST_NUMBERS
        self.items = MOST_ITEMS

    def check(self, value: Any, depth: int) -> Any:
        """The same value with every device replaced by the CPU. Raises _Refused where a bound is passed."""
        self.items -= 1
        if self.items < 0 or depth > MOST_DEPTH:
            raise _Refused("too many arguments for a lent step")
        kind = type(value)
        if kind is torch.Tensor:
            self.numbers -= value.numel()
            if self.numbers < 0 or any(extent > MOST_EXTENT for extent in value.shape):
                raise _Refused("tensors that are too large for a lent step")
            return value
        if kind is int or kind is str:
            if (abs(value) > self.largest) if kind is int else (len(value) > MOST_TEXT):
                raise _Refused("a number or text that is too large for a lent step")
            return value
        if kind is torch.device:
            return torch.device("cpu")
        if kind in (list, tuple):
            return kind(self.check(item, depth + 1) for item in value)
        if kind is dict and all(type(key) is str for key in value):
            return {key: self.check(item, depth + 1) for key, item in value.items()}
        if kind in PLAIN:
            return value
        raise _Refused(f"a {kind.__name__}, which can't be given to a lent step")


def _whole(value: Any) -> list[int]:
    if type(value) is not list or len(value) > 100_000 or not all(type(item) is int for item in value):
        raise _Refused("numbers that are none")
    return value


def _weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _methods(kind: type) -> list[str]:
    """Public methods that the class itself defines, besides `forward`."""
    return [
        name for name, value in vars(kind).items() if inspect.isfunction(value) and name[0] != "_" and name != "forward"
    ]


def _is_fact(key: str, value: Any) -> bool:
    return key[0] != "_" and key != "training" and type(value) in (bool, int, float, str)


def _tensors(value: Any) -> dict[int, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {id(value): value}
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return {key: tensor for item in items for key, tensor in _tensors(item).items()}


def _has_handle(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return isinstance(value, Handle) or any(_has_handle(item) for item in items)
