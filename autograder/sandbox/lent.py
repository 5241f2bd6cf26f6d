"""Steps lent to a submission that lacks them: each call goes to the trusted side and comes back, gradients included.

Only a request and its answer cross the wall; the code of a lent step never enters the worker. A lent class is a module
with the prescribed parameters, which live here, so that optimizers, `state_dict` and casts treat it as any other.
"""

import builtins
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from autograder.sandbox.wire import Message

Ask = Callable[[dict[str, Any]], Message]


class Lender:
    """Puts lent steps into a namespace and carries their calls. ask: sends a request and waits for the answer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._graphs = 0
        self._freed: list[int] = []

    def lend(self, namespace: dict[str, Any], kinds: Mapping[str, str]) -> None:
        """kinds: function or class, by name. What the namespace had under these names is gone."""
        for name, kind in kinds.items():
            namespace[name] = self._class(name) if kind == "class" else self._function(name)

    def request(self, what: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request. Raises what the lent step raised, as the builtin exception that it is."""
        free, self._freed = self._freed, []
        answer: dict[str, Any] = self._ask({"lend": {**what, "free": free}}).value
        if "raised" in answer:
            _, bases, message, _ = answer["raised"]
            raise next((getattr(builtins, base) for base in bases if hasattr(builtins, base)), RuntimeError)(message)
        return answer

    def call(self, subject: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a lent function or module; tensors in the result are connected to the arguments by autograd."""
        found: dict[int, torch.Tensor] = {}
        arguments = [_gathered(list(args), found), _gathered(dict(kwargs), found)]
        home = next((tensor.device for tensor in found.values()), _device(arguments))
        request = _Request(self, subject, arguments, list(found.values()))
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in found.values()):
            outputs = _Lent.apply(request, *found.values())  # type: ignore[no-untyped-call]
        else:
            outputs = request.send([])
        connected = dict(zip(map(id, request.outputs), outputs, strict=True))
        value, request.value, request.outputs = request.value, None, []
        return _replaced(value, lambda tensor: connected[id(tensor)].to(home))

    def next_graph(self) -> int:
        self._graphs += 1
        return self._graphs

    def free(self, graph: int) -> None:
        """Say with the next request that a graph is not needed any more."""
        self._freed.append(graph)

    def _function(self, name: str) -> Callable[..., Any]:
        def lent(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, args, kwargs)

        lent.__name__ = lent.__qualname__ = name
        return lent

    def _class(self, name: str) -> type[nn.Module]:
        lender = self

        class Lent(nn.Module):
            """A module whose parameters live here and whose answers come from elsewhere."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__()
                made = lender.request({"make": name, "args": list(args), "kwargs": kwargs})
                self._subject = made["subject"]
                for place, tensor in made["parameters"].items():
                    _home_of(self, place).register_parameter(place.rpartition(".")[2], nn.Parameter(tensor.clone()))
                for place, tensor in made["buffers"].items():
                    kept = place in made["persistent"]
                    _home_of(self, place).register_buffer(place.rpartition(".")[2], tensor.clone(), persistent=kept)
                for key, value in made["facts"].items():
                    setattr(self, key, value)
                for method in made["methods"]:
                    setattr(self, method, functools.partial(self._through, method))

            def forward(self, *args: Any, **kwargs: Any) -> Any:
                return self._through("forward", *args, **kwargs)

            def _through(self, method: str, *args: Any, **kwargs: Any) -> Any:
                tensors = {**dict(self.named_parameters()), **dict(self.named_buffers())}
                return lender.call(self._subject, [method, self.training, tensors, list(args), kwargs], {})

        Lent.__name__ = Lent.__qualname__ = name
        return Lent


class _Request:
    """One call on its way."""

    def __init__(self, lender: Lender, subject: str, arguments: list[Any], tensors: list[torch.Tensor]) -> None:
        self.lender = lender
        self.subject = subject
        self.arguments = arguments
        self.tensors = tensors
        self.graph: int | None = None
        self.value: Any = None
        self.outputs: list[torch.Tensor] = []
        self.tracked: list[bool] = []

    def send(self, leaves: list[int]) -> list[torch.Tensor]:
        plain = {id(tensor): tensor.detach().cpu() for tensor in self.tensors}
        args, kwargs = _replaced(self.arguments, lambda tensor: plain[id(tensor)])
        tensors = [plain[id(tensor)] for tensor in self.tensors]
        request = {"call": self.subject, "args": args, "kwargs": kwargs, "tensors": tensors, "leaves": leaves}
        if leaves:
            self.graph = request["graph"] = self.lender.next_graph()
        answer = self.lender.request(request)
        found: dict[int, torch.Tensor] = {}
        self.value = _gathered(answer["value"], found)
        self.outputs = list(found.values())
        self.tracked = answer["tracked"]
        return self.outputs

    def backward(self, cotangents: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
        wanted = [ct for ct, tracked in zip(cotangents, self.tracked, strict=True) if tracked]
        sent = [ct if ct is None else ct.detach().cpu() for ct in wanted]
        gradients: list[torch.Tensor | None] = self.lender.request({"backward": self.graph, "cotangents": sent})[
            "value"
        ]
        return gradients

    def __del__(self) -> None:
        if self.graph is not None:
            self.lender.free(self.graph)


class _Lent(torch.autograd.Function):
    """A lent call as a node of the submission's autograd graph."""

    @staticmethod
    def forward(ctx: Any, request: _Request, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.request = request
        ctx.leaves = [index for index, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        ctx.devices = [tensor.device for tensor in tensors]
        ctx.set_materialize_grads(False)
        outputs = request.send(ctx.leaves)
        pairs = zip(outputs, request.tracked, strict=True)
        ctx.mark_non_differentiable(*[tensor for tensor, tracked in pairs if not tracked])
        return tuple(outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        placed: list[torch.Tensor | None] = [None] * len(ctx.devices)
        for index, gradient in zip(ctx.leaves, ctx.request.backward(cotangents), strict=True):
            placed[index] = None if gradient is None else gradient.to(ctx.devices[index])
        return (None, *placed)


def _home_of(module: nn.Module, place: str) -> nn.Module:
    """The submodule that holds what is named `place`, made where it is not there yet."""
    for part in place.split(".")[:-1]:
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    return module


def _gathered(value: Any, found: dict[int, torch.Tensor]) -> Any:
    """The same value; its tensors are noted in `found`, in order of appearance."""
    return _replaced(value, lambda tensor: found.setdefault(id(tensor), tensor))


def _device(value: Any) -> torch.device:
    """The first device that is named among the arguments, else the CPU."""
    items = value.values() if isinstance(value, dict) else value
    for item in items:
        if isinstance(item, torch.device):
            return item
        if isinstance(item, (list, tuple, dict)) and _device(item).type != "cpu":
            return _device(item)
    return torch.device("cpu")


def _replaced(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(item, change) for item in value) if type(value) in (list, tuple) else value
    if isinstance(value, dict):
        return {key: _replaced(item, change) for key, item in value.items()}
    return value
