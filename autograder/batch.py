"""A whole class: finds what was handed in, has it graded, keeps every grade the moment it exists, writes the report.

Killed at any moment and run again, it goes on where it stopped: what the gradebook holds for the same code, the same
version of the assignment, device and isolation is not graded twice.
"""

import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autograder import course, intake, notebook, reports, site
from autograder.engines import Job, LocalPool, find_device
from autograder.errors import OperatorError, UnreadableSubmission
from autograder.gradebook import Gradebook
from autograder.records import Assignment, Entry, Grade, Outcome
from autograder.sandbox import isolation


@dataclass(frozen=True, slots=True)
class Request:
    """What `grade` was asked to do. workers: 0 for one per processor. gradebook: None for one in `out`."""

    course: Path
    assignment: str
    paths: tuple[Path, ...]
    out: Path
    gradebook: Path | None = None
    workers: int = 0
    device: str = "auto"
    isolation: str = "require"


@dataclass(frozen=True, slots=True)
class Start:
    """What is about to be graded. known: how many grades the gradebook held already."""

    total: int
    known: int
    workers: int
    device: str
    isolation: str


@dataclass(frozen=True, slots=True)
class Graded:
    """A class with its grades, by submission id. counting: the ids that count, one per student."""

    assignment: Assignment
    grades: tuple[Grade, ...]
    counting: frozenset[str]

    @property
    def pending(self) -> tuple[Grade, ...]:
        """What could not be graded through a fault of ours."""
        return tuple(grade for grade in self.grades if grade.status is Outcome.INTERNAL)


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told as it goes on."""

    started: Callable[[Start], None]
    graded: Callable[[Grade], None]


def grade(request: Request, watcher: Watcher) -> Graded:
    """Grade everything below `request.paths` and write table, results and report to `request.out`.

    Raises InstructorError for a wrong course, assignment or path, OperatorError for what the machine lacks.
    """
    assignment = course.load(request.course, request.assignment)
    _make_folder(request.out)
    profile = isolation.choose(request.isolation, private=[assignment.folder])
    device = find_device(request.device)
    workers = request.workers or len(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory(prefix="autograder-intake-") as scratch,
        Gradebook.open(request.gradebook or request.out / "gradebook.sqlite") as book,
    ):
        entries = intake.discover(request.paths, Path(scratch))
        known = book.finished(assignment.name, assignment.version, device)
        done, waiting = _sort(entries, {key: old for key, old in known.items() if old.isolation == profile.level.value})
        workers = max(1, min(workers, len(waiting)))
        watcher.started(Start(len(entries), len(done), workers, device, profile.level.value))
        if waiting:
            job = Job(assignment, course.secret(request.course), profile, device, workers)
            with LocalPool(job) as pool:
                for fresh in pool.grade(waiting):
                    book.record(fresh, datetime.now(UTC))
                    done[fresh.submission] = fresh
                    watcher.graded(fresh)
        counting = intake.counting(entries)
    grades = tuple(done[id_] for id_ in sorted(done))
    write(request.out, assignment, grades, counting)
    return Graded(assignment, grades, frozenset(counting))


def write(out: Path, assignment: Assignment, grades: Sequence[Grade], counting: Collection[str]) -> None:
    """The class table, one file per submission, and the pages."""
    try:
        reports.write(out, assignment, grades, counting)
        site.render(out, assignment, grades, counting)
    except OSError as error:
        raise OperatorError(
            f"the report can't be written to {out} ({error.strerror}). Every grade is in the gradebook: make room or "
            "give another --out, and run the same command again; nothing is graded twice."
        ) from error


def _sort(entries: Sequence[Entry], known: dict[tuple[str, str], Grade]) -> tuple[dict[str, Grade], list[Entry]]:
    done: dict[str, Grade] = {}
    waiting = []
    for entry in entries:
        old = known.get((entry.id, _digest(entry))) if known else None
        if old is None:
            waiting.append(entry)
        else:
            done[entry.id] = old
    return done, waiting


def _digest(entry: Entry) -> str:
    try:
        return notebook.extract(entry).digest
    except UnreadableSubmission:
        return "unreadable"


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OperatorError(
            f"nothing can be written to {out} ({error.strerror}). Give a folder that can be written with --out."
        ) from error
