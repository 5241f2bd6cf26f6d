"""What checks asked of submissions, what came back, and how they ended: the same answers are not judged twice.

All submissions of a batch are given the same inputs, and most right ones answer bit for bit alike, whoever wrote them.
What a check finds follows from its seeds and from the answers that it hears, so where all of these came before, its own
code need not run again: the known requests are sent as they are, and only whether the answers are the known ones is
looked at. At the first other answer the check itself takes over: it hears once more what was answered so far, and goes
on with the worker from there.

Nothing of a submission is kept but digests of its answers, and the verdicts that trusted code gave on them.
"""

import ast
import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from autograder.judge import Finding
from autograder.records import Status
from autograder.sandbox import wire
from autograder.sandbox.spawn import WorkerEnded

MOST = 64 * 2**20
LARGEST = 2**20
STEP = 400
MOST_REHEARSED = 4096
CLOCKS = {"time", "timeit", "datetime", "resource", "psutil", "cProfile", "profile"}
LASTING = (Status.PASSED, Status.FAILED, Status.RAISED)


class Erratic(Exception):
    """A check that asked another thing than before, on the same inputs and answers."""


class Line(Protocol):
    """The way to a worker, within a check's budget. trial: the worker may end over it, which gives None."""

    def exchange(self, request: Sequence[wire.Buffer], *, trial: bool) -> wire.Frame | None: ...

    def understood(self, frame: wire.Frame | None, *, trial: bool) -> wire.Message: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a check ended, and the known mistakes that it suspected."""

    finding: Finding
    suspected: tuple[str, ...]


@dataclass(slots=True)
class _Step:
    """A point in a check: what it asks next, and where each known answer leads; or how it ended."""

    request: bytes | None = None
    trial: bool = False
    answers: dict[bytes, "_Step"] = field(default_factory=dict)
    verdict: Verdict | None = None


def looks_at_clocks(tests: ast.Module) -> bool:
    """Whether hidden tests import what tells the time, so that verdicts may rest on more than answers."""
    imported = [node.names for node in ast.walk(tests) if isinstance(node, ast.Import)]
    names = [alias.name for aliases in imported for alias in aliases]
    names += [node.module or "" for node in ast.walk(tests) if isinstance(node, ast.ImportFrom)]
    return any(name.partition(".")[0] in CLOCKS for name in names)


class Precedents:
    """What one judge remembers. most: bytes, after which it forgets everything and begins anew."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.size = 0
        self._begun: dict[Hashable, _Step] = {}
        self._rehearsed: dict[Hashable, Finding] = {}
        self._erratic: set[str] = set()

    def hearing(self, check: str, case: Hashable, line: Line) -> "Hearing | None":
        """A hearing of `check` that learns from earlier ones of the same `case`: seeds, and all else it rests on.

        None for a check that was found to ask now this, now that.
        """
        if check in self._erratic:
            return None
        if self.size > self.most:
            self._begun.clear()
            self.size = 0
        return Hearing(self, self._begun.setdefault((check, case), _Step()), line)

    def distrust(self, check: str) -> None:
        """Remember nothing of this check any more."""
        self._erratic.add(check)

    def rehearsed(self, case: Hashable, rehearse: Callable[[], Finding]) -> Finding:
        """How the solution fares in this case, found out once."""
        if len(self._rehearsed) > MOST_REHEARSED:
            self._rehearsed.clear()
        if case not in self._rehearsed:
            self._rehearsed[case] = rehearse()
        return self._rehearsed[case]


class Hearing:
    """One check of one submission. First `follow`; where that gives no verdict, the check itself with `ask`."""

    def __init__(self, precedents: Precedents, begin: _Step, line: Line) -> None:
        self.erratic = False
        self._precedents = precedents
        self._begin = begin
        self._step: _Step | None = begin
        self._line = line
        self._heard: list[tuple[_Step, wire.Frame | WorkerEnded | None]] = []
        self._place = 0

    def follow(self) -> Verdict | None:
        """The known verdict, if every answer is a known one."""
        step = self._begin
        while step.request is not None:
            try:
                frame = self._line.exchange([step.request], trial=step.trial)
            except WorkerEnded as error:
                self._heard.append((step, error))
                return None
            self._heard.append((step, frame))
            following = step.answers.get(_digest(frame))
            if following is None:
                return None
            step = following
        return step.verdict

    def ask(self, operation: dict[str, Any]) -> wire.Message:
        """The answer to an operation: what was heard already, in the same order, and then the worker's.

        Raises Erratic where the check asks for something else than was sent already.
        """
        request, trial = wire.pack(operation, keep_storage=True), operation["op"] == "elsewhere"
        if self._place < len(self._heard):
            step, frame = self._heard[self._place]
            self._place += 1
            if step.request != _joined(request):
                self.erratic, self._step = True, None
                raise Erratic("a check asked another thing than before, on the same inputs and answers")
            if isinstance(frame, WorkerEnded):
                self._step = None
                raise frame
        else:
            self._note_request(request, trial)
            frame = self._line.exchange(request, trial=trial)
        self._note_answer(frame)
        return self._line.understood(frame, trial=trial)

    def close(self, finding: Finding, suspected: Sequence[str]) -> None:
        """Remember how the check ended, if that follows from the answers alone."""
        if self._step is not None and self._step.request is None and finding.status in LASTING:
            self._step.verdict = Verdict(finding, tuple(suspected))

    def _note_request(self, request: Sequence[wire.Buffer], trial: bool) -> None:
        if self._step is None:
            return
        size = wire.total(request)
        if size > LARGEST or self._step.verdict is not None:
            self._step = None
            return
        self._step.request, self._step.trial = _joined(request), trial
        self._precedents.size += size + STEP

    def _note_answer(self, frame: wire.Frame | None) -> None:
        if self._step is not None:
            self._step = self._step.answers.setdefault(_digest(frame), _Step())
            self._precedents.size += STEP


def _joined(request: Sequence[wire.Buffer]) -> bytes:
    return b"".join(request)


def _digest(frame: wire.Frame | None) -> bytes:
    if frame is None:
        return b""
    total = hashlib.blake2b(b"%d:" % len(frame.header), digest_size=32)
    total.update(frame.header)
    total.update(frame.payload())
    return total.digest()
