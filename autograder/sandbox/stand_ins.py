"""Answers, inside the worker, for what a student's notebook talks to at home and what grading has no use for."""

import functools
import importlib.abc
import importlib.machinery
import inspect
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

QUIET_MODULES = ("otter", "google.colab", "nest_asyncio", "nest_asyncio2", "colab")


class Quiet:
    """Does nothing, whatever is asked of it, and shows nothing."""

    _name: str

    def __init__(self, name: str = "", *_: Any, **__: Any) -> None:
        self._name = name

    def __call__(self, *_: Any, **__: Any) -> "Quiet":
        return Quiet(self._name)

    def __getattr__(self, name: str) -> "Quiet":
        if name.startswith("__"):
            raise AttributeError(name)
        return Quiet(name)

    def __getitem__(self, _: object) -> "Quiet":
        return Quiet(self._name)

    def __setitem__(self, key: object, value: object) -> None:
        return None

    def __contains__(self, _: object) -> bool:
        return False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __repr__(self) -> str:
        return ""


class Timing:
    """What `%timeit -o` gives: nothing was timed."""

    average = best = worst = stdev = 0.0
    loops = repeat = 1
    all_runs = timings = (0.0,)


class QuietModule(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Quiet(name)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a quiet module where one of these names is imported, and only then."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in self.names or fullname.startswith(tuple(f"{name}." for name in self.names)):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return QuietModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


def install() -> None:
    """Put the stand-ins in place, once per process."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, Finder(QUIET_MODULES))
    sys.meta_path.append(Finder(("google",)))
    if "torch" in sys.modules:
        _load_in_this_process()
        _compile_nothing()


def _load_in_this_process() -> None:
    """A worker may start no processes, so a DataLoader loads in its own."""
    from torch.utils.data import DataLoader

    original = DataLoader.__init__
    signature = inspect.signature(original)

    @functools.wraps(original)
    def without_workers(self: Any, *given: Any, **named: Any) -> None:
        bound = signature.bind(self, *given, **named)
        if bound.arguments.get("num_workers"):
            for name in ("num_workers", "prefetch_factor", "persistent_workers", "multiprocessing_context", "timeout"):
                bound.arguments.pop(name, None)
        original(*bound.args, **bound.kwargs)

    DataLoader.__init__ = without_workers  # type: ignore[method-assign]


def _compile_nothing() -> None:
    """A worker has no compiler: `torch.compile` gives back what it is given."""
    import torch

    def compile(model: Any = None, **_: Any) -> Any:
        return model if model is not None else lambda later: later

    torch.compile = compile
