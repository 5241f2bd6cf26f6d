"""Judges a submission in the very process that ran it, for plain `otter run`: the same verdicts, and no wall.

The same sitting as everywhere else: draws, second verdicts, lent steps. But its workers are this process, so that
nothing stands between a test and a submission: for people who are trusted. A call that lasts too long is interrupted,
which is all that can be done from within; what a call uses up or breaks stays so.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch

from autograder import course, notebook
from autograder.diagnosis import Diagnostician
from autograder.errors import UnreadableSubmission
from autograder.grader import Setting, Sitting
from autograder.judge import Finding, Judge, hold_session
from autograder.precedents import Precedents
from autograder.records import Cell, Entry, Isolation, Status, Submission
from autograder.sandbox import wire
from autograder.sandbox.lent import Lender
from autograder.sandbox.rehearsal import Rehearsal
from autograder.sandbox.spawn import Budget, Order, Usage, WorkerEnded, Zygote
from autograder.sandbox.stage import describe, sendable
from autograder.sandbox.student import substitute
from autograder.sandbox.wire import Message

COURSE = "course"


def hold(check: str, assignment: str, names: MutableMapping[str, Any]) -> None:
    """Raise AssertionError if `names`, which a submission defined, do not pass a check of the course in the archive.

    All checks are judged when the first is asked for, in their own order. The error tells nothing of a test.
    """
    files = Path(__file__).parents[1]
    sheet = _sheet(assignment)
    if not sheet:
        sheet |= judged(files / COURSE, assignment, names, _handed_in(files))
    finding = sheet[check]
    if finding.status is not Status.PASSED:
        raise AssertionError(str(finding.status))


def judged(home: Path, name: str, names: MutableMapping[str, Any], submission: Submission) -> dict[str, Finding]:
    """How every check of an assignment ends. What the assignment forbids is not looked for."""
    assignment = replace(course.load(home, name), forbidden=(), operators=())
    setting = Setting(
        assignment, course.reference(assignment), torch.device("cpu"), course.secret(home), Isolation.NONE
    )
    found: dict[str, Finding] = {}

    def serve(judge: Judge) -> None:
        known = Diagnostician(assignment, setting.reference)
        sitting = Sitting(setting, judge, cast(Zygote, Here(names)), submission, known, Precedents())
        sitting.judge_all()
        found.update(sitting.findings)

    hold_session(assignment.folder / "test_hidden.py", serve)
    return found


class Here:
    """Stands in for a zygote: what it forks is this process, in which the cells have run already."""

    def __init__(self, names: MutableMapping[str, Any]) -> None:
        self._names = names

    def fork(self, order: Order) -> "Process":
        """As `Zygote.fork`."""
        return Process(self._names)


class Process:
    """Stands in for a worker. Steps that are lent to it lie in the place of the submission's own until it ends."""

    printed = b""

    def __init__(self, names: MutableMapping[str, Any]) -> None:
        self.alive = True
        self._names = names
        self._own: dict[str, Any] = {}
        self._absent: set[str] = set()
        self._rehearsal = Rehearsal(names)
        self._lend: Callable[[Any], dict[str, Any]] | None = None
        self._began = time.process_time()

    def run_cells(self, cells: Sequence[Cell], budget: Budget) -> Iterator[int | list[dict[str, Any]]]:
        """As `Worker.run_cells`, of cells that have been run."""
        yield []

    def ask(
        self, operation: dict[str, Any], budget: Budget, lend: Callable[[Any], dict[str, Any]] | None = None
    ) -> Message:
        """As `Worker.ask`."""
        if operation["op"] == "lend":
            self._put(operation["kinds"])
            return Message({"value": None}, (), ())
        self._lend = lend
        try:
            with _within(budget):
                answer = self._rehearsal.ask(operation)
            wire.pack(answer.value)
        except WorkerEnded:
            raise
        except Exception as error:  # it could not travel, so behind a wall it would be an error of the submission's
            return Message(sendable(describe(TypeError(f"the result can't be read: {error}"))), (), ())
        return answer

    def cpu(self) -> float:
        """CPU seconds of this process since the fork that was none."""
        return time.process_time() - self._began

    def end(self) -> Usage:
        """Give the submission its own steps back."""
        self.alive = False
        self._names.update(self._own)
        for name in self._absent:
            self._names.pop(name, None)
        return Usage(self.cpu(), 0)

    def _put(self, kinds: Mapping[str, str]) -> None:
        self._own = {name: self._names[name] for name in kinds if name in self._names}
        self._absent = set(kinds) - set(self._own)
        Lender(self._answer).lend(cast(dict[str, Any], self._names), kinds)

    def _answer(self, request: dict[str, Any]) -> Message:
        if self._lend is None:
            raise WorkerEnded(Status.CRASHED, "asked for what is lent to it between two calls")
        value = substitute(self._lend(request["lend"]), lambda tensor: tensor.detach().clone())
        return Message(value, (), ())


class _TimeUp(KeyboardInterrupt):
    """A call has lasted too long. Of this kind because the stage lets such through."""


@contextmanager
def _within(budget: Budget) -> Iterator[None]:
    """Interrupt what runs inside when CPU time or time is up, where this is the main thread. Raises WorkerEnded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    timers = ((signal.ITIMER_PROF, signal.SIGPROF, budget.cpu), (signal.ITIMER_REAL, signal.SIGALRM, budget.wall))
    before = [signal.signal(number, _interrupt) for _, number, _ in timers]
    try:
        for timer, _, seconds in timers:
            signal.setitimer(timer, max(seconds, 1e-3), 1.0)
        yield
    except _TimeUp as error:
        raise WorkerEnded(Status.TIMED_OUT, "took too long") from error
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _TimeUp


@cache
def _sheet(assignment: str) -> dict[str, Finding]:
    """What was found in this process, to be filled in once."""
    return {}


def _handed_in(folder: Path) -> Submission:
    """The one notebook or module beside the archive's files."""
    code = (path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py")
    for path in (*sorted(folder.glob("*.ipynb")), *code):
        return notebook.extract(Entry(path.stem, path.stem, path))
    raise UnreadableSubmission(f"There is no notebook in {folder}.")
