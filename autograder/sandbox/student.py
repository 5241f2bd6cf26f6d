"""`student`: what a hidden test sees of a submission. Looks like the student's module; every use is a message.

Calls are differentiable: a custom autograd function sends the cotangent back over the wire, so `backward()`,
`torch.autograd.grad` and `gradcheck` work as on any function (first order only). Parameters of a module are mirrored
here once a test asks for them: gradients flow to the mirrors, and a change of a mirror is sent before the next call.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from autograder.errors import WireError
from autograder.records import Status
from autograder.sandbox.stage import FORBIDDEN, Raised
from autograder.sandbox.wire import Facts, Handle, Message

KNOWN_ERRORS = (
    NotImplementedError, RecursionError, ZeroDivisionError, OverflowError, IndexError, KeyError, ModuleNotFoundError,
    ImportError, UnboundLocalError, NameError, AttributeError, AssertionError, ValueError, TypeError, EOFError,
    FileNotFoundError, PermissionError, OSError, MemoryError, LookupError, ArithmeticError, RuntimeError,
)  # fmt: skip
MOST_RECORDED = 16 * 2**20
SMALL = 2**14
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


class StudentRaised(Exception):
    """Student code raised. Also an instance of the builtin exception that was raised, so `pytest.raises` works."""

    status: Status
    raised: Raised


class MissingName(AttributeError):
    """The submission defines no such name."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One operation as it was sent, and its answer: what a replay needs."""

    operation: dict[str, Any]
    answer: dict[str, Any] | Raised


@dataclass(slots=True)
class Conversation:
    """The operations of one check with one worker.

    ask:      performs an operation, within the check's budget.
    recorded: every exchange, when `recording`; none if the answers come to more than `MOST_RECORDED` bytes.
    copying:  whether all tensors are recorded as copies; else `intact` tells whether one was changed since.
    changed:  what the student's calls changed in place among their arguments.
    """

    ask: Callable[[dict[str, Any]], Message]
    device: torch.device
    recording: bool = False
    copying: bool = True
    seed: int | None = None
    recorded: list[Exchange] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)
    graphs: int = 0
    answered: int = 0
    mirrors: dict[int, "Mirror"] = field(default_factory=dict)
    proxies: dict[int, Any] = field(default_factory=dict)
    _versions: list[tuple[torch.Tensor, int]] = field(default_factory=list)

    def intact(self) -> bool:
        """Whether what was recorded is still what was sent and answered."""
        counted = ((version, tensor) for tensor, version in self._versions)
        return all(version >= 0 and tensor._version == version for version, tensor in counted)

    def perform(self, operation: dict[str, Any]) -> tuple[dict[str, Any], dict[int, Facts]]:
        """The answer and, by id of its tensors, what was said of them. Raises StudentRaised, WorkerEnded, WireError."""
        for handle, mirror in self.mirrors.items():
            written = mirror.take_changes()
            if written:
                self._exchange({"op": "write", "target": Handle(handle, "module", ""), "parameters": written})
        return self._exchange(operation)

    def _exchange(self, operation: dict[str, Any]) -> tuple[dict[str, Any], dict[int, Facts]]:
        if self.seed is not None:
            operation["seed"], self.seed = self.seed, None
        if self.freed:
            operation["free"], self.freed = self.freed, []
        kept = self._kept(operation)
        message = self.ask(operation)
        answer, tensors = message.value, message.tensors
        if self.device.type != "cpu":
            tensors = tuple(
                tensor.to(self.device) if fact.device.startswith(self.device.type) else tensor
                for tensor, fact in zip(tensors, message.facts, strict=True)
            )
            moved = {id(old): new for old, new in zip(message.tensors, tensors, strict=True)}
            answer = substitute(answer, lambda tensor: moved[id(tensor)])
        raised = _raised(answer)
        self.answered += sum(tensor.nbytes for tensor in tensors)
        if self.recording and self.answered > MOST_RECORDED:
            self.recording = False
            self.recorded.clear()
        if self.recording:
            self.recorded.append(Exchange(kept, raised or self._kept(answer)))
        if raised:
            raise _as_exception(raised)
        return answer, {id(tensor): fact for tensor, fact in zip(tensors, message.facts, strict=True)}

    def _kept(self, value: dict[str, Any]) -> dict[str, Any]:
        """What is recorded of an operation or an answer."""
        if not self.recording:
            return value
        if self.copying:
            return copy.deepcopy(value)
        noted: dict[int, torch.Tensor] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) not in noted:
                noted[id(tensor)] = self._noted(tensor.detach())
            return noted[id(tensor)]

        return {key: substitute(item, note) for key, item in value.items()}

    def _noted(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy where that is cheap; else the same memory, and changes to it are counted."""
        if tensor.nbytes <= SMALL and tensor.is_contiguous():
            return tensor.clone()
        self._versions.append((tensor, -1 if tensor.is_inference() else tensor._version))
        return tensor

    def call(self, target: Handle | str, method: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call something of the student's; tensors in the result are connected to the arguments by autograd."""
        found: dict[int, torch.Tensor] = {}
        outgoing = [_outgoing(list(args), found), _outgoing(dict(kwargs), found)]
        watched = self._watched() if torch.is_grad_enabled() else []
        call = _Call(self, target, method, outgoing, list(found.values()), watched)
        inputs = [*found.values(), *[parameter for _, _, parameter in watched]]
        if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in inputs):
            call.send([])
            return self.wrap(call.value)
        outputs = _Differentiable.apply(call, *inputs)  # type: ignore[no-untyped-call]
        connected = {id(old): new for old, new in zip(call.outputs, outputs, strict=True)}
        value, call.value, call.outputs = call.value, None, []  # the graph holds the call: no circle
        return self.wrap(substitute(value, lambda tensor: connected[id(tensor)]))

    def try_elsewhere(self, target: Handle | str, method: str | None, args: Sequence[Any], kwargs: Any) -> str:
        """What is wrong with a call on another device; empty if nothing is, or if it can't be told."""
        found: dict[int, torch.Tensor] = {}
        arguments = [_outgoing(list(args), found), _outgoing(dict(kwargs), found)]
        plain = {id(tensor): tensor.detach() for tensor in found.values()}
        args, kwargs = substitute(arguments, lambda tensor: plain[id(tensor)])
        operation = {"op": "elsewhere", "target": target, "method": method, "args": args, "kwargs": kwargs}
        answer, _ = self.perform(operation)
        return str(answer.get("value"))

    def get(self, target: Handle | None, name: str) -> Any:
        """An attribute of one of the student's objects, or of the notebook itself."""
        answer, _ = self.perform({"op": "get", "target": target, "name": name})
        return self.wrap(answer.get("value"))

    def wrap(self, value: Any) -> Any:
        """Replace handles by proxies."""
        if isinstance(value, Handle):
            if value.id not in self.proxies:
                kinds = {"module": RemoteModule, "function": RemoteCallable, "class": RemoteCallable}
                self.proxies[value.id] = kinds.get(value.kind, RemoteObject)(self, value)
            return self.proxies[value.id]
        if isinstance(value, list):
            return [self.wrap(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self.wrap(item) for item in value)
        if isinstance(value, dict):
            return {key: self.wrap(item) for key, item in value.items()}
        return value

    def _watched(self) -> list[tuple[Handle, str, torch.Tensor]]:
        return [
            (Handle(handle, "module", ""), name, parameter)
            for handle, mirror in self.mirrors.items()
            for name, parameter in mirror.parameters.items()
            if parameter.requires_grad and name not in mirror.repeated
        ]


class Mirror:
    """Copies of a module's parameters on the trusted side, and which of them a test has changed since.

    repeated: names for a parameter that has an earlier name too, so that its gradient is asked for once.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, torch.nn.Parameter] = {}
        self.repeated: set[str] = set()
        self._known: dict[str, torch.Tensor] = {}

    def refresh(self, fetched: Mapping[str, torch.Tensor], facts: Mapping[int, Facts]) -> None:
        """Take over what the worker has. Tensors of one alias group become one parameter, so ties can be seen."""
        groups: dict[Any, torch.nn.Parameter] = {}
        self.repeated = set()
        seen: set[int] = set()
        for name, tensor in fetched.items():
            fact = facts[id(tensor)]
            group = (fact.alias, tensor.shape, tensor.dtype) if fact.alias >= 0 else name
            mine = groups.get(group, self.parameters.get(name))
            if mine is None:
                mine = torch.nn.Parameter(tensor.clone(), requires_grad=_can_require(tensor, fact))
            else:
                mine.data = tensor.clone()
            groups[group] = self.parameters[name] = mine
            self._known[name] = tensor
            if id(tensor) in seen:
                self.repeated.add(name)
            seen.add(id(tensor))
        for name in set(self.parameters) - set(fetched):
            del self.parameters[name]

    def take_changes(self) -> dict[str, torch.Tensor]:
        """Parameters changed since the last call of this, detached."""
        now = {name: parameter.detach() for name, parameter in self.parameters.items()}
        changed = {name: tensor for name, tensor in now.items() if not _identical(tensor, self._known[name])}
        self._known |= {name: tensor.clone() for name, tensor in changed.items()}
        return changed


class Student:
    """A submission as a test sees it: attribute access gives its functions, classes and values."""

    def __init__(self, conversation: Conversation, kinds: Mapping[str, str]) -> None:
        self._conversation = conversation
        self._kinds = kinds

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._kinds.get(name) in ("function", "class"):
            return RemoteCallable(self._conversation, name)
        try:
            return self._conversation.get(None, name)
        except StudentRaised as error:
            if error.raised.type == "NameError":
                raise MissingName(name) from None
            raise


class RemoteCallable:
    """A function or class of the student's."""

    def __init__(self, conversation: Conversation, target: Handle | str, method: str | None = None) -> None:
        self._conversation = conversation
        self._target = target
        self._method = method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._conversation.call(self._target, self._method, args, kwargs)

    def on_another_device(self, *args: Any, **kwargs: Any) -> str:
        """Where this call goes wrong if its arguments lie on another device than the CPU.

        Tried with fake tensors, so no such device is needed. Empty if nothing goes wrong, or if it can't be told.
        """
        return self._conversation.try_elsewhere(self._target, self._method, args, kwargs)


class RemoteObject:
    """An object of the student's that can't travel; its attributes may."""

    def __init__(self, conversation: Conversation, handle: Handle) -> None:
        self._conversation = conversation
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._conversation.get(self._handle, name)


class RemoteModule(RemoteObject):
    """An instance of one of the student's `nn.Module`s."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled() and self._handle.id not in self._conversation.mirrors:
            self._reflect()
        return self._conversation.call(self._handle, None, args, kwargs)

    def on_another_device(self, *args: Any, **kwargs: Any) -> str:
        """As for a function; parameters and buffers lie on the other device too."""
        return self._conversation.try_elsewhere(self._handle, None, args, kwargs)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The student's `state_dict()`, as copies."""
        answer, _ = self._conversation.perform({"op": "state", "target": self._handle})
        state = answer.get("value")
        if not isinstance(state, dict):
            raise TypeError("state_dict() did not return a dict")
        return state

    def load_state_dict(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load weights by name, strictly."""
        self._load(weights, named=False)

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load weights by the names that the assignment prescribes: with `load_named` where the class defines it."""
        self._load(weights, named=True)

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Mirrors of the parameters: they take part in autograd, and what is written to them reaches the student's."""
        yield from self._reflect().parameters.items()

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """As named_parameters, each tied parameter once."""
        seen: set[int] = set()
        for _, parameter in self.named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter

    def train(self, mode: bool = True) -> "RemoteModule":
        """Training mode on or off."""
        self._conversation.call(self._handle, "train", [mode], {})
        return self

    def eval(self) -> "RemoteModule":
        """Training mode off."""
        self._conversation.call(self._handle, "eval", [], {})
        return self

    def to(self, place: torch.dtype | torch.device | str) -> "RemoteModule":
        """Move to a dtype or device."""
        place = torch.device(place) if isinstance(place, str) else place
        if isinstance(place, torch.device) and place.type == self._conversation.device.type == "cpu":
            return self  # where there is nothing but the CPU, it is there
        self._conversation.perform({"op": "cast", "target": self._handle, "to": place})
        self._refresh()
        return self

    def double(self) -> "RemoteModule":
        """To float64."""
        return self.to(torch.float64)

    def float(self) -> "RemoteModule":
        """To float32."""
        return self.to(torch.float32)

    def _reflect(self) -> Mirror:
        answer, facts = self._conversation.perform({"op": "parameters", "target": self._handle})
        fetched = answer.get("value")
        if not isinstance(fetched, dict) or not all(isinstance(value, torch.Tensor) for value in fetched.values()):
            raise WireError("parameters that are none")
        mirror = self._conversation.mirrors.setdefault(self._handle.id, Mirror())
        mirror.refresh(fetched, facts)
        return mirror

    def _load(self, weights: Mapping[str, torch.Tensor], named: bool) -> None:
        plain = {name: tensor.detach() for name, tensor in weights.items()}
        self._conversation.perform({"op": "load", "target": self._handle, "weights": plain, "named": named})
        self._refresh()

    def _refresh(self) -> None:
        """Parameters that a test holds already take over what the worker has now."""
        if self._handle.id in self._conversation.mirrors:
            self._reflect()


class _Call:
    """One call on its way: what was sent, what came back, and the graph that waits in the worker."""

    def __init__(
        self,
        conversation: Conversation,
        target: Handle | str,
        method: str | None,
        outgoing: list[Any],
        tensors: list[torch.Tensor],
        watched: list[tuple[Handle, str, torch.Tensor]],
    ) -> None:
        self.conversation = conversation
        self.target = target
        self.method = method
        self.outgoing = outgoing
        self.tensors = tensors
        self.watched = watched
        self.graph: int | None = None
        self.value: Any = None
        self.outputs: list[torch.Tensor] = []
        self.differentiable: list[bool] = []

    def send(self, leaves: list[int]) -> None:
        """leaves: which of `tensors` and then of `watched` are to be differentiated, counted through."""
        plain = {id(tensor): tensor.detach() for tensor in self.tensors}
        args, kwargs = substitute(self.outgoing, lambda tensor: plain[id(tensor)])
        count = len(self.tensors)
        operation: dict[str, Any] = {
            "op": "call",
            "target": self.target,
            "method": self.method,
            "args": args,
            "kwargs": kwargs,
            "tensors": [plain[id(tensor)] for tensor in self.tensors],
            "leaves": [index for index in leaves if index < count],
        }
        if leaves:
            self.conversation.graphs += 1
            self.graph = operation["graph"] = self.conversation.graphs
            operation["watched"] = [self.watched[index - count][:2] for index in leaves if index >= count]
        answer, facts = self.conversation.perform(operation)
        self.value = answer.get("value")
        self.outputs = list(_tensors(self.value).values())
        self.differentiable = [facts[id(tensor)].requires_grad for tensor in self.outputs]
        self._note_changes(answer.get("changed"))

    def backward(self, cotangents: Sequence[torch.Tensor | None], count: int) -> list[torch.Tensor | None]:
        """Gradients of the leaves, in order."""
        wanted = [ct for ct, differentiable in zip(cotangents, self.differentiable, strict=True) if differentiable]
        operation = {
            "op": "backward",
            "graph": self.graph,
            "cotangents": [ct if ct is None else ct.detach() for ct in wanted],
        }
        answer, _ = self.conversation.perform(operation)
        gradients = answer.get("value")
        if not isinstance(gradients, list) or len(gradients) != count:
            raise WireError("gradients that are none")
        return gradients

    def _note_changes(self, changed: Any) -> None:
        count = len(self.tensors)
        if not isinstance(changed, list) or len(changed) > count:
            raise WireError("a list of changes that is none")
        if not all(type(index) is int and 0 <= index < count for index in changed):
            raise WireError("a change of a tensor that was not sent")
        name = self.method or (self.target if isinstance(self.target, str) else self.target.type)
        self.conversation.changed += [f"tensor {index + 1} given to {name}" for index in changed]

    def __del__(self) -> None:
        if self.graph is not None:
            self.conversation.freed.append(self.graph)


class _Differentiable(torch.autograd.Function):
    """A remote call as a node of the local autograd graph."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.call = call
        ctx.leaves = [index for index, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        ctx.shapes = [tensor.shape for tensor in tensors]
        ctx.set_materialize_grads(False)
        call.send(ctx.leaves)
        pairs = zip(call.outputs, call.differentiable, strict=True)
        ctx.mark_non_differentiable(*[tensor for tensor, differentiable in pairs if not differentiable])
        return tuple(call.outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        gradients = ctx.call.backward(cotangents, len(ctx.leaves))
        placed: list[torch.Tensor | None] = [None] * len(ctx.shapes)
        for index, gradient in zip(ctx.leaves, gradients, strict=True):
            if gradient is not None and (type(gradient) is not torch.Tensor or gradient.shape != ctx.shapes[index]):
                raise WireError("a gradient of another shape than its tensor")
            placed[index] = gradient
        return (None, *placed)


def substitute(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """The same plain data with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, list):
        return [substitute(item, change) for item in value]
    if isinstance(value, tuple):
        return tuple(substitute(item, change) for item in value)
    if isinstance(value, dict):
        return {key: substitute(item, change) for key, item in value.items()}
    return value


def _tensors(value: Any) -> dict[int, torch.Tensor]:
    found: dict[int, torch.Tensor] = {}
    substitute(value, lambda tensor: found.setdefault(id(tensor), tensor))
    return found


def _outgoing(value: Any, found: dict[int, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return found.setdefault(id(value), value)
    if isinstance(value, RemoteObject):
        return value._handle
    if isinstance(value, RemoteCallable) and isinstance(value._target, Handle):
        return value._target
    if isinstance(value, list):
        return [_outgoing(item, found) for item in value]
    if isinstance(value, tuple):
        return tuple(_outgoing(item, found) for item in value)
    if isinstance(value, dict):
        return {key: _outgoing(item, found) for key, item in value.items()}
    return value


def _identical(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _can_require(tensor: torch.Tensor, fact: Facts) -> bool:
    return fact.requires_grad and (tensor.is_floating_point() or tensor.is_complex())


def _raised(answer: dict[str, Any]) -> Raised | None:
    if "raised" not in answer:
        return None
    try:
        kind, bases, message, where = answer["raised"]
    except (TypeError, ValueError):
        raise WireError("an exception that is none") from None
    if type(bases) is not list or not all(type(text) is str for text in (kind, message, where, *bases)):
        raise WireError("an exception that is none")
    return Raised(kind[:200], tuple(bases[:50]), message[:2000], where[:2000])


def _as_exception(raised: Raised) -> StudentRaised:
    known = next((error for error in KNOWN_ERRORS if error.__name__ in raised.bases), RuntimeError)
    error = _mixed(known)(f"{raised.type}: {raised.message}")
    error.raised = raised
    text = raised.message.lower()
    if raised.message.startswith(FORBIDDEN):
        error.status = Status.REFUSED
    elif "MemoryError" in raised.bases or any(sign in text for sign in OUT_OF_MEMORY):
        error.status = Status.OUT_OF_MEMORY
    else:
        error.status = Status.RAISED
    return error


@lru_cache
def _mixed(known: type[Exception]) -> type[StudentRaised]:
    return type(f"StudentRaised{known.__name__}", (StudentRaised, known), {})
