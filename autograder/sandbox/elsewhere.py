"""Whether a call would hold on another device, found on a machine that has none.

The arguments, parameters and buffers become fake tensors: they have a dtype, a shape and a device that does not exist,
and no numbers. An operation between one of them and a real CPU tensor is refused by torch as on any accelerator. Only
that refusal says something; whatever else goes wrong is taken for a limit of fake tensors.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import nn

DEVICE = "npy"
MIXED = "a tensor of the CPU met one of the other device"
RETURNED = "the result lies on the CPU, though the arguments do not"


def prepare() -> None:
    """Load what fake tensors need, once, before the fork: it is most of what they cost."""
    _fakes()
    try_there(torch.add, [], [torch.ones(2), torch.ones(2)], {})


def try_there(function: Callable[..., Any], modules: Sequence[nn.Module], args: Sequence[Any], kwargs: Any) -> str:
    """What is wrong with a call on another device: a short text, empty if nothing is, or if it can't be told.

    modules: those whose parameters and buffers are to be there too.
    """
    mode, mismatch = _fakes()
    through = _Through(function, modules)
    with warnings.catch_warnings(), torch.no_grad(), mode:
        warnings.simplefilter("ignore")
        moved = _Moved()
        try:
            tensors = {**dict(through.named_parameters()), **dict(through.named_buffers())}
            weights = {name: moved.take(tensor) for name, tensor in tensors.items()}
            result = torch.func.functional_call(through, weights, (moved.take(list(args)), moved.take(dict(kwargs))))
        except mismatch:
            return MIXED
        except Exception:
            return ""
        return RETURNED if moved.count and _on_cpu(result) else ""


class _Through(nn.Module):
    """A call and the modules it uses, so that `functional_call` can exchange their tensors."""

    def __init__(self, function: Callable[..., Any], modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.used = nn.ModuleList(modules)
        self.call = function if not isinstance(function, nn.Module) else None

    def forward(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return (self.call or self.used[0])(*args, **kwargs)


class _Moved:
    """Tensors on the other device, one for each that was given. count: how many arguments moved."""

    def __init__(self) -> None:
        self.known: dict[int, torch.Tensor] = {}
        self.count = 0

    def take(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            self.count += 1
            if id(value) not in self.known:
                there = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=DEVICE)
                self.known[id(value)] = there
            return self.known[id(value)]
        if type(value) in (list, tuple):
            return type(value)(self.take(item) for item in value)
        if type(value) is dict:
            return {key: self.take(item) for key, item in value.items()}
        return value


def _on_cpu(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.device.type == "cpu" and value.dim() > 0
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(_on_cpu(item) for item in items)


@lru_cache
def _register() -> None:
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(DEVICE)


def _fakes() -> tuple[Any, type[Exception]]:
    """A mode in which tensors are fake, and the error that says that devices were mixed."""
    from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError, FakeTensorMode

    _register()
    return FakeTensorMode(allow_non_fake_inputs=True), FakeTensorDeviceMismatchError
