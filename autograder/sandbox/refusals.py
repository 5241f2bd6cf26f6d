"""What an assignment refuses, made to raise in the process that will fork workers, by whatever name it is reached.

A function's code is replaced, so that each of its aliases refuses; of a class, the code of all its functions, and it
has no more instances. An operator is refused in all its overloads and at every key of the dispatcher that has a kernel.
Running such code anew (a reload, a second import, torch's own file under another name) is refused by an audit hook,
which Python gives no means to remove. Whoever rewrites this process's memory undoes all of it: `scrutiny` reads the
source for that reason.
"""

import ctypes
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any, NoReturn

import torch

from autograder.sandbox.stage import FORBIDDEN

TELLING = 80
REFUSAL = "def refuse(*args, **kwargs): raise RuntimeError({!r})"

Print = tuple[bytes, tuple[str, ...]]


def forbid(calls: Sequence[str], operators: Sequence[str]) -> None:
    """Make each dotted name and each operator (`aten::bmm`, `aten::bmm.out`) raise when called, for good.

    Names that this torch does not have are passed over.
    """
    known: dict[Print, str] = {}
    replaced: dict[int, tuple[Any, str]] = {}
    for name in calls:
        target = _find(name)
        if isinstance(target, type):
            _forbid_class(target, name, known)
        elif isinstance(target, FunctionType):
            _forbid_function(target, name, known)
        elif target is not None:
            replaced[id(target)] = (target, name)
    _replace_everywhere(replaced)
    _forbid_operators(operators)
    if known:
        sys.addaudithook(_guard(known))


def _find(name: str) -> Any:
    path, _, attribute = name.rpartition(".")
    try:
        return getattr(pkgutil.resolve_name(path), attribute)
    except (ImportError, AttributeError, ValueError):
        return None


def _forbid_class(target: type, name: str, known: dict[Print, str]) -> None:
    for value in list(vars(target).values()):
        inner = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(inner, FunctionType):
            _forbid_function(inner, name, known)
    for method in ("__new__", "__init__"):
        with suppress(TypeError):
            setattr(target, method, _refusal(name))


def _forbid_function(function: FunctionType, name: str, known: dict[Print, str]) -> None:
    """The function and what it wraps."""
    inner: Any = function
    while isinstance(inner, FunctionType):
        code = inner.__code__
        if len(code.co_code) >= TELLING:
            known[_print(code)] = name
        inner.__code__ = _refusal(name).__code__.replace(co_freevars=code.co_freevars)
        inner = inner.__dict__.pop("__wrapped__", None)


def _replace_everywhere(replaced: dict[int, tuple[Any, str]]) -> None:
    """What has no Python code is taken out of every module that names it."""
    if not replaced:
        return
    for module in list(sys.modules.values()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in replaced:
                with suppress(AttributeError, TypeError):
                    setattr(module, attribute, _refusal(replaced[id(value)][1]))


def _forbid_operators(operators: Iterable[str]) -> None:
    every: list[str] = torch._C._dispatch_get_all_op_names()
    keys = [key for key in torch._C.DispatchKey.__members__ if not key.startswith(("StartOf", "EndOf"))]
    libraries: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in operators:
            space = name.partition("::")[0]
            overloads = [one for one in every if one == name or one.startswith(f"{name}.")]
            if overloads and space not in libraries:
                libraries[space] = torch._C._dispatch_library("IMPL", space, "")
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(libraries[space]))  # lives on where nobody finds it
            for overload in overloads:
                for key in _keys_of(overload, keys):
                    with suppress(RuntimeError):
                        libraries[space].impl(overload.partition("::")[2], key, _refusal(name))


def _keys_of(overload: str, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        with suppress(RuntimeError):
            if torch._C._dispatch_has_kernel_for_dispatch_key(overload, key):
                yield key


def _refusal(name: str) -> Callable[..., NoReturn]:
    """A function of its own for each place, without closure or globals of ours: there is nothing to take from it."""
    made: dict[str, Any] = {}
    exec(REFUSAL.format(FORBIDDEN + name), made)  # noqa: S102
    refuse: Callable[..., NoReturn] = made["refuse"]
    return refuse


def _print(code: CodeType) -> Print:
    return code.co_code, code.co_names


def _guard(known: Mapping[Print, str]) -> Callable[[str, tuple[Any, ...]], None]:
    """Hears of all code before it is run, made a function or given to one. All that it needs is in its defaults."""

    def hear(
        event: str,
        arguments: tuple[Any, ...],
        prints: frozenset[Print] = frozenset(known),
        named: tuple[tuple[Print, str], ...] = tuple(known.items()),
        shortest: int = TELLING,
        prefix: str = FORBIDDEN,
        kind: type[CodeType] = CodeType,
    ) -> None:
        if event == "exec" or event == "function.__new__":
            waiting = [arguments[0]]
        elif event == "object.__setattr__" and arguments[1] in ("__code__", "__defaults__"):
            if arguments[0].__name__ == "hear":
                raise RuntimeError("this is not yours to change")
            waiting = [arguments[2]]
        else:
            return
        for code in waiting:
            if isinstance(code, kind):
                waiting.extend(code.co_consts)
                if len(code.co_code) >= shortest and (code.co_code, code.co_names) in prints:
                    name = next(name for found, name in named if found == (code.co_code, code.co_names))
                    raise RuntimeError(prefix + name)

    return hear
