"""Whether a call would hold on another device, found on a machine that has none.

The arguments, parameters and buffers are wrapped: they say that they lie on a device that does not exist, and are
computed with on the CPU. An operation between one of them and a tensor of the CPU is refused where an accelerator
refuses it. Only that refusal says something; whatever else goes wrong is taken for a limit of the wrapping.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

DEVICE = "npy"
MIXED = "a tensor of the CPU met one of the other device"
RETURNED = "the result lies on the CPU, though the arguments do not"
SAME_DEVICE = "same device"  # in torch's own words too, where it looks before it computes
ATEN = torch.ops.aten
BETWEEN = {ATEN.copy_, ATEN._to_copy, ATEN._pack_padded_sequence, ATEN._pad_packed_sequence}
INDEXED = {ATEN.index, ATEN._unsafe_index, ATEN.index_put, ATEN.index_put_, ATEN._index_put_impl_}


def prepare() -> None:
    """Load what this needs, once, before the fork: it is most of what it costs."""
    try_there(torch.add, [], [torch.ones(2), torch.ones(2)], {})


def try_there(function: Callable[..., Any], modules: Sequence[nn.Module], args: Sequence[Any], kwargs: Any) -> str:
    """What is wrong with a call on another device: a short text, empty if nothing is, or if it can't be told.

    modules: those whose parameters and buffers are to be there too.
    """
    _register()
    through = _Through(function, modules)
    with warnings.catch_warnings(), torch.no_grad(), _Watched():  # type: ignore[no-untyped-call]
        warnings.simplefilter("ignore")
        moved = _Moved()
        try:
            tensors = {**dict(through.named_parameters()), **dict(through.named_buffers())}
            weights = {name: moved.take(tensor) for name, tensor in tensors.items()}
            result = torch.func.functional_call(through, weights, (moved.take(list(args)), moved.take(dict(kwargs))))
        except Exception as error:
            return MIXED if SAME_DEVICE in str(error) else ""
        return RETURNED if moved.count and _on_cpu(result) else ""


class _There(torch.Tensor):
    """A tensor that says that it lies on the other device. here: its numbers."""

    here: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> "_There":
        made: _There = torch.Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            layout=here.layout,
            device=torch.device(DEVICE, 0),
        )
        made.here = here
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> Any:  # type: ignore[override]
        return repr(self.here)

    @classmethod
    def __torch_dispatch__(cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _perform(operator, args, kwargs or {})


class _Watched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees the operations that make tensors, too."""

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _perform(operator, args, kwargs or {})


def _perform(operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Compute on the CPU what was asked of either device; the result lies where an accelerator would have it."""
    there: list[_There] = []
    large_here: list[torch.Tensor] = []
    here_args, here_kwargs = _unwrapped(args, there, large_here), _unwrapped(kwargs, there, large_here)
    if there and large_here and not _may_meet(operator.overloadpacket, args):
        raise RuntimeError(f"all tensors must be on the {SAME_DEVICE}")
    result_is_there = bool(there)
    if isinstance(kwargs.get("device"), torch.device):
        result_is_there = kwargs["device"].type == DEVICE
        here_kwargs["device"] = torch.device("cpu")
    result = FUSED.get(operator.overloadpacket, operator)(*here_args, **here_kwargs)
    if _writes(operator):
        found = _wrapped(result) if there else result
        return return_and_correct_aliasing(operator, args, kwargs, found)  # type: ignore[no-untyped-call]
    return _wrapped(result) if result_is_there else result


def _gru_cell(
    inputs: torch.Tensor, hidden: torch.Tensor, state: torch.Tensor, *biases: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """What accelerators compute as one operation that the CPU lacks: the new state, and room for the way back."""
    inputs, hidden = (x if b is None else x + b for x, b in zip((inputs, hidden), biases or (None, None), strict=True))
    reset, update = torch.sigmoid(inputs + hidden).chunk(3, 1)[:2]
    new = torch.tanh(inputs.chunk(3, 1)[2] + reset * hidden.chunk(3, 1)[2])
    return new + update * (state - new), state.new_empty(len(state), 5 * state.size(1))


def _lstm_cell(
    inputs: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor, *biases: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `_gru_cell`: the new state, the new cell, and room for the way back."""
    gates = sum((bias for bias in biases if bias is not None), inputs + hidden)
    taken, kept, new, shown = gates.chunk(4, 1)
    cell = torch.sigmoid(kept) * cell + torch.sigmoid(taken) * torch.tanh(new)
    return torch.sigmoid(shown) * torch.tanh(cell), cell, gates


FUSED: dict[Any, Callable[..., Any]] = {
    ATEN._thnn_fused_gru_cell: _gru_cell,
    ATEN._thnn_fused_lstm_cell: _lstm_cell,
}


def _may_meet(packet: Any, args: Sequence[Any]) -> bool:
    return packet in BETWEEN or (packet in INDEXED and isinstance(args[0], _There))


def _unwrapped(value: Any, there: list[_There], large_here: list[torch.Tensor]) -> Any:
    """The same with plain tensors. Notes those that lie there, and those here that are more than a number."""
    if isinstance(value, _There):
        there.append(value)
        return value.here
    if isinstance(value, torch.Tensor):
        if value.dim():
            large_here.append(value)
        return value
    if isinstance(value, (list, tuple)):
        return [_unwrapped(item, there, large_here) for item in value]
    if isinstance(value, dict):
        return {key: _unwrapped(item, there, large_here) for key, item in value.items()}
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return _There(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_wrapped, value))
    return value


@cache
def _writes(operator: Any) -> bool:
    """Whether it changes an argument in place."""
    known = (argument.alias_info for argument in operator._schema.arguments)
    return any(info is not None and info.is_write for info in known)


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
                self.known[id(value)] = _There(value.detach())
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
