"""Where operations are performed on somebody's names: a student's in a worker, a known mistake's in a replay.

An operation is a dict with an `op` and plain data, tensors and handles. `Stage.perform` answers it with plain data,
tensors and handles, or with `Raised`. The stage keeps what can't travel (modules, functions, autograd graphs) and
gives out handles for it. It decides nothing about right or wrong.
"""

import random
import traceback
import types
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from autograder.sandbox.elsewhere import try_there
from autograder.sandbox.wire import Handle, octets

PLAIN = (str, int, float, bool, type(None), torch.Tensor, torch.dtype, torch.device)
MAX_TEXT = 2000
MAX_FRAMES = 6
FORBIDDEN = "autograder: not allowed in this assignment: "


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception from the code on stage. bases: names of its classes, most special first."""

    type: str
    bases: tuple[str, ...]
    message: str
    where: str


class Stage:
    """Performs operations on a namespace. Not safe against that namespace: keep nothing of value beside it."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self.objects: dict[int, Any] = {}
        self.graphs: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
        self._handles: dict[int, Handle] = {}
        self.records: dict[Any, Any] = {}  # classes of named tuples that went out, by the form of what they held
        self._operations: dict[str, Callable[[dict[str, Any]], Any]] = {
            "kinds": self._kinds,
            "get": self._get,
            "call": self._call,
            "backward": self._backward,
            "state": self._state,
            "load": self._load,
            "parameters": self._parameters,
            "write": self._write,
            "cast": self._cast,
            "elsewhere": self._elsewhere,
        }

    def perform(self, operation: dict[str, Any]) -> Any:
        """The answer to one operation: {"value", "graph", "changed", ...}, or Raised."""
        for graph in operation.get("free", ()):
            self.graphs.pop(graph, None)
        seed = operation.get("seed")
        if seed is not None:
            self._start_anew(seed)
        try:
            return self._operations[operation["op"]](operation)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return describe(error)

    def _start_anew(self, seed: int) -> None:
        """A check begins: what was numbered for the last one is nobody's any more."""
        reseed(seed)
        self.objects.clear()
        self.graphs.clear()
        self._handles.clear()
        self.records.clear()

    def _kinds(self, operation: dict[str, Any]) -> dict[str, str]:
        return {name: _kind(self.names[name]) for name in operation["names"] if name in self.names}

    def _target(self, target: Handle | str) -> Any:
        if isinstance(target, Handle):
            return self.objects[target.id]
        try:
            return self.names[target]
        except KeyError:
            raise NameError(f"name {target!r} is not defined") from None

    def _get(self, operation: dict[str, Any]) -> dict[str, Any]:
        target = operation["target"]
        value = self._target(operation["name"]) if target is None else getattr(self._target(target), operation["name"])
        return {"value": self._outgoing(value)}

    def _call(self, operation: dict[str, Any]) -> dict[str, Any]:
        function = self._target(operation["target"])
        if operation.get("method"):
            function = getattr(function, operation["method"])
        inputs: list[torch.Tensor] = operation["tensors"]
        leaves = [inputs[index].requires_grad_() for index in operation["leaves"]]
        leaves += [self._parameter(module, name) for module, name in operation.get("watched", ())]
        given = _Given(self, inputs)
        arguments = given.take(operation["args"])
        watch = _Watch(inputs, operation.get("memory"))
        result = function(*arguments, **given.take(operation["kwargs"]))
        changed = watch.changed()
        outputs: list[torch.Tensor] = []
        value = self._outgoing(result, outputs)
        if leaves:
            alive = [tensor for tensor in outputs if tensor.requires_grad]
            self.graphs[operation["graph"]] = (alive, leaves)
        return {"value": value, "changed": changed, "tracked": [t.requires_grad for t in outputs] if leaves else []}

    def _backward(self, operation: dict[str, Any]) -> dict[str, Any]:
        outputs, leaves = self.graphs[operation["graph"]]
        pairs = [(out, ct) for out, ct in zip(outputs, operation["cotangents"], strict=True) if ct is not None]
        if not pairs or not leaves:
            return {"value": [None] * len(leaves)}
        gradients = torch.autograd.grad(
            [out for out, _ in pairs], leaves, [ct for _, ct in pairs], retain_graph=True, allow_unused=True
        )
        return {"value": list(gradients)}

    def _state(self, operation: dict[str, Any]) -> dict[str, Any]:
        return {"value": self._outgoing(dict(self._target(operation["target"]).state_dict()))}

    def _load(self, operation: dict[str, Any]) -> dict[str, Any]:
        module = self._target(operation["target"])
        weights = {name: tensor.clone() for name, tensor in operation["weights"].items()}
        own = getattr(module, "load_named", None)
        if operation["named"] and own is not None:
            own(weights)
        else:
            module.load_state_dict(weights)
        return {"value": None}

    def _parameters(self, operation: dict[str, Any]) -> dict[str, Any]:
        found = dict(self._target(operation["target"]).named_parameters(remove_duplicate=False))
        return {"value": found, "learns": {name: parameter.requires_grad for name, parameter in found.items()}}

    def _parameter(self, module: Handle, name: str) -> torch.Tensor:
        found: torch.Tensor = self._target(module).get_parameter(name)
        return found

    def _write(self, operation: dict[str, Any]) -> dict[str, Any]:
        for name, tensor in operation["parameters"].items():
            self._parameter(operation["target"], name).data.copy_(tensor)
        return {"value": None}

    def _cast(self, operation: dict[str, Any]) -> dict[str, Any]:
        self._target(operation["target"]).to(operation["to"])
        return {"value": None}

    def _elsewhere(self, operation: dict[str, Any]) -> dict[str, Any]:
        target = self._target(operation["target"])
        function = getattr(target, operation["method"]) if operation["method"] else target
        given = _Given(self, [])
        args, kwargs = given.take(operation["args"]), given.take(operation["kwargs"])
        used = [value for value in (target, *args, *kwargs.values()) if isinstance(value, torch.nn.Module)]
        return {"value": try_there(function, used, args, kwargs)}

    def _outgoing(self, value: Any, tensors: list[torch.Tensor] | None = None) -> Any:
        if isinstance(value, torch.Tensor):
            if tensors is not None and not any(value is known for known in tensors):
                tensors.append(value)
            return value
        if isinstance(value, PLAIN):
            return _plain(value)
        if isinstance(value, numpy.generic):
            return value.item()
        if isinstance(value, list):
            return [self._outgoing(item, tensors) for item in value]
        if isinstance(value, tuple):
            items = tuple(self._outgoing(item, tensors) for item in value)
            if hasattr(type(value), "_make"):
                self.records[_form(items)] = type(value)
            return items
        if type(value) in (dict, OrderedDict):
            return {self._outgoing(key): self._outgoing(item, tensors) for key, item in value.items()}
        return self._handle(value)

    def _handle(self, value: Any) -> Handle:
        known = self._handles.get(id(value))
        if known is not None and self.objects[known.id] is value:
            return known
        handle = Handle(len(self.objects), _kind(value), type(value).__name__)
        self.objects[handle.id] = value
        self._handles[id(value)] = handle
        return handle


def sendable(answer: dict[str, Any] | Raised) -> dict[str, Any]:
    """An answer in the form in which it travels."""
    if isinstance(answer, Raised):
        return {"raised": [answer.type, list(answer.bases), answer.message, answer.where]}
    return answer


class _Watch:
    """Notices which tensors were changed in place: their bytes, their shape, or the memory they look at.

    memory: the buffer that all of them lie in, if there is one; comparing it whole is cheaper than one by one.
    """

    def __init__(self, tensors: list[torch.Tensor], memory: bytearray | None) -> None:
        self.tensors = tensors
        self.memory = memory
        self.places = [_place(tensor) for tensor in tensors]
        self.whole = bytes(memory) if memory is not None else b""
        self.copies = [] if memory is not None else [tensor.detach().clone() for tensor in tensors]

    def changed(self) -> list[int]:
        """Which tensors, by index."""
        if self.memory is not None:
            moved = any(_place(tensor) != place for tensor, place in zip(self.tensors, self.places, strict=True))
            if not moved and self.memory == self.whole:
                return []
            self.copies = [self._as_it_was(index) for index in range(len(self.tensors))]
        pairs = zip(self.copies, self.tensors, strict=True)
        return [index for index, (old, new) in enumerate(pairs) if not _same(old, new)]

    def _as_it_was(self, index: int) -> torch.Tensor:
        tensor, (shape, strides, place) = self.tensors[index], self.places[index]
        if 0 in shape or tensor.shape != shape or self.memory is None:
            return torch.empty(shape, dtype=tensor.dtype)
        start = place - torch.frombuffer(self.memory, dtype=torch.uint8).data_ptr()
        count = (len(self.whole) - start) // tensor.element_size()
        old = torch.frombuffer(bytearray(self.whole), dtype=tensor.dtype, count=count, offset=start)
        return old.as_strided(shape, strides)


class _Given:
    """Turns arguments as they were sent into what the function is given: handles become the objects they stand for."""

    def __init__(self, stage: Stage, tensors: list[torch.Tensor]) -> None:
        self.stage = stage
        self.tensors = tensors

    def take(self, value: Any) -> Any:
        if isinstance(value, Handle):
            return self.stage.objects[value.id]
        if isinstance(value, list):
            return [self.take(item) for item in value]
        if isinstance(value, tuple):
            items = tuple(self.take(item) for item in value)
            record = self.stage.records.get(_form(value)) if self.stage.records else None
            return items if record is None else record._make(items)
        if isinstance(value, dict):
            return {key: self.take(item) for key, item in value.items()}
        return value


def _form(value: Any) -> Any:
    """What tells plain data apart, whatever the numbers in it: a named tuple travels as a tuple and is found by it."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape
    if isinstance(value, (list, tuple)):
        return type(value), *map(_form, value)
    if isinstance(value, dict):
        return dict, *((key, _form(item)) for key, item in value.items())
    return value.id if isinstance(value, Handle) else type(value)


def reseed(seed: int) -> None:
    """Start every source of random numbers that a test or student code may use.

    Not `torch.manual_seed`: where CUDA has not started, that keeps a formatted stack per call, for each kind of device.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    numpy.random.seed(seed % 2**32)


def describe(error: BaseException) -> Raised:
    """What may be told of an exception: its classes, its text, and the student's own lines that led to it."""
    frames = [
        f"{frame.name}, line {frame.lineno} of {frame.filename}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith("<cell")
    ]
    try:
        message = str.__getitem__(str(error), slice(MAX_TEXT))
    except BaseException:
        message = "(its text can't be shown)"
    bases = tuple(base.__name__ for base in type(error).__mro__)
    return Raised(type(error).__name__, bases, message, "\n".join(frames[-MAX_FRAMES:])[:MAX_TEXT])


def _place(tensor: torch.Tensor) -> tuple[torch.Size, tuple[int, ...], int]:
    return tensor.shape, tensor.stride(), tensor.data_ptr()


def _same(old: torch.Tensor, new: torch.Tensor) -> bool:
    if old.shape != new.shape or old.dtype != new.dtype:
        return False
    return torch.equal(octets(old), octets(new.detach()))


def _plain(value: Any) -> Any:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    return value


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return "class"
    if isinstance(value, torch.nn.Module):
        return "module"
    if isinstance(value, (types.FunctionType, types.MethodType)) or callable(value):
        return "function"
    return "object"
