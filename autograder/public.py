"""The public tests of an assignment on a submission, in a worker: worth no points, and all of it her own to read."""

import ast
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from autograder import course
from autograder.records import Assignment, Cell, Limits, Submission
from autograder.sandbox.spawn import Budget, Order, Worker, WorkerEnded, Zygote, ZygoteDied
from autograder.sandbox.student import Conversation, MissingName, StudentRaised
from autograder.sandbox.wire import Message

NOT_REACHED = "Not reached, because of what happened before."
UNREADABLE = "Your code's process sent an answer that can't be read."

_CELL = re.compile(r"^# %%.*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Open:
    """What one public test found. message: what a student can use, empty if it passed."""

    title: str
    passed: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Tests:
    """The public tests of an assignment. titles: by name, in order.  cells: of the notebook that holds them."""

    titles: Mapping[str, str]
    cells: tuple[str, ...]


@dataclass(slots=True)
class _Sitting:
    """One worker, and what was found with it. deadline: on the clock that only goes forward."""

    worker: Worker
    limits: Limits
    deadline: float
    found: dict[str, Open] = field(default_factory=dict)

    def budget(self, cpu: float, wall: float) -> Budget:
        return Budget(cpu, max(0.0, min(wall, self.deadline - time.monotonic())))

    def ask(self, operation: dict[str, Any]) -> Message:
        return self.worker.ask(operation, self.budget(self.limits.check_cpu, self.limits.check_wall))


def tests(assignment: Assignment) -> Tests:
    """The public tests, as they stand in the solution. Raises BrokenAssignment."""
    titles: dict[str, str] = {}
    cells: list[str] = []
    for cell in _CELL.split(course.source(assignment)):
        if not re.search(r"^def test_", cell, re.MULTILINE):
            continue
        cells.append(cell)
        for node in course.parse(assignment.folder / "solution.py", cell).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                titles[node.name] = " ".join((ast.get_docstring(node) or node.name).split())
    return Tests(titles, tuple(cells))


def results(assignment: Assignment, submission: Submission, zygote: Zygote, seconds: float) -> tuple[Open, ...]:
    """What the public tests find, in their order: each within the limits of one check, all within so many seconds.

    A test runs beside the code that it is about, which could make it say anything; it says so to its author alone.
    """
    public = tests(assignment)
    last = max(cell.number for cell in submission.cells)
    added = [Cell(last + number, source) for number, source in enumerate(public.cells, 1)]
    limits = assignment.limits
    sitting = _Sitting(zygote.fork(Order(limits)), limits, time.monotonic() + seconds)
    try:
        cells = [*(cell for cell in submission.cells if not cell.skip), *added]
        for _ in sitting.worker.run_cells(cells, sitting.budget(limits.cells_cpu, limits.cells_wall)):
            pass
        for name, title in public.titles.items():
            sitting.found[name] = _run(sitting, name, title)
    except WorkerEnded as error:
        name = next(name for name in public.titles if name not in sitting.found)
        sitting.found[name] = Open(public.titles[name], False, f"Your code {error}.")
    finally:
        sitting.worker.end()
    return tuple(sitting.found.get(name, Open(title, False, NOT_REACHED)) for name, title in public.titles.items())


def _run(sitting: _Sitting, name: str, title: str) -> Open:
    try:
        Conversation(sitting.ask, torch.device("cpu")).call(name, None, (), {})
    except StudentRaised as error:
        raised = error.raised
        if "NotImplementedError" in raised.bases:
            return Open(title, False, f"Not yet written: {raised.message}")
        said = raised.message if raised.type == "AssertionError" else f"{raised.type}: {raised.message}"
        return Open(title, False, said)
    except MissingName:
        return Open(title, False, NOT_REACHED)
    except (WorkerEnded, ZygoteDied):
        raise
    except Exception:  # whatever a stranger's answer makes of reading it
        return Open(title, False, UNREADABLE)
    return Open(title, True)
