"""Hidden checks called as plain functions: no pytest session, no wire, no sandbox.

Imports nothing of the project: the floor uses it, and a copy of it goes into the archive that Otter grades with.
"""

import importlib.util
import inspect
import itertools
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy
import torch

SEED = 20260101


def load(path: Path, name: str) -> ModuleType:
    """A Python file as a module that stays out of `sys.modules`."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checks(tests: ModuleType) -> dict[str, Callable[..., None]]:
    """The check functions of a hidden test file, in its order."""
    return {name: value for name, value in vars(tests).items() if name.startswith("test_") and callable(value)}


def hidden(assignment: Path) -> dict[str, Callable[..., None]]:
    """The checks of an assignment's folder, whatever was imported before by the name of their file."""
    sys.modules.pop("test_hidden", None)
    return checks(load(assignment / "test_hidden.py", "test_hidden"))


def points(check: Callable[..., None]) -> float:
    """What a check is worth."""
    return next(float(mark.args[0]) for mark in _marks(check) if mark.name == "points")


def run(check: Callable[..., None], names: Mapping[str, Any], reference: ModuleType) -> None:
    """Call one check, with all its parametrised cases, on the names that a notebook defines."""
    setattr(torch.nn.Module, "load_weights", _load_weights)  # noqa: B010 - mypy knows no such method
    setattr(torch.nn.Module, "on_another_device", _unknown)  # noqa: B010
    # in a worker gradients are on, whatever the test thinks of them: a function may train
    functions = {name: torch.enable_grad()(value) for name, value in names.items() if inspect.isfunction(value)}
    for value in functions.values():
        setattr(value, "on_another_device", _unknown)  # noqa: B010
    given = {
        "student": SimpleNamespace(**{**names, **functions}),
        "reference": reference,
        "device": torch.device("cpu"),
    }
    wanted = inspect.signature(check).parameters
    for case in _cases(check):
        torch.default_generator.manual_seed(SEED)  # manual_seed also formats a stack for each kind of device
        random.seed(SEED)
        numpy.random.seed(SEED)
        values = {**given, "changed_arguments": [], "suspect": _ignore, **case}
        check(**{name: values[name] for name in wanted})


def _cases(check: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """The arguments of each parametrised case."""
    axes = []
    for mark in _marks(check):
        if mark.name == "parametrize":
            names = mark.args[0]
            names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
            rows = [getattr(row, "values", row) if len(names) > 1 else (_single(row),) for row in mark.args[1]]
            axes.append([dict(zip(names, row, strict=True)) for row in rows])
    for combination in itertools.product(*axes):
        yield {name: value for part in combination for name, value in part.items()}


def _single(row: Any) -> Any:
    return row.values[0] if type(row).__name__ == "ParameterSet" else row


def _ignore(mistake: str) -> None:
    """Suspicions are for the diagnosis, of which there is none here."""


def _unknown(*_: Any, **__: Any) -> str:
    """There is no other device here."""
    return ""


def _marks(check: Callable[..., None]) -> list[Any]:
    return list(getattr(check, "pytestmark", ()))


def _load_weights(module: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    own = getattr(module, "load_named", None)
    if own is None:
        module.load_state_dict(weights)
    else:
        own(weights)
