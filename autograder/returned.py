"""A student's own work given back: her notebook as a page, with the results of each step beside her answer."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from markupsafe import escape

from autograder import course, gradebook, intake, notebook, site, standing, steps
from autograder.errors import InstructorError, OperatorError, UnreadableSubmission
from autograder.gradebook import Gradebook
from autograder.records import Assignment, CheckResult, Entry, Grade, Outcome, Status, Submission
from autograder.scratch import private_folder
from autograder.text import file_names, line, visible, write_whole
from autograder.typeset import Piece, Typesetter

UNKNOWN = "this file, as it is, has no grade in the gradebook. Grade it, then do this again."
PLAIN = "This notebook could not be set as a page, so only its code is shown."
NEEDED = ("nbconvert", "nh3", "latex2mathml")


@dataclass(frozen=True, slots=True)
class Request:
    """What `feedback` was asked to do. gradebook: a file or the folder of a report; None for the one that is near."""

    course: Path
    assignment: str
    paths: tuple[Path, ...]
    out: Path
    gradebook: Path | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """The pages that were written, by submission id, and why others were not: a sentence each."""

    pages: dict[str, Path]
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """The results of one step. names: what it asks for.  cell: the code cell that they stand beside; 0 for none.

    level: of their heading, below the last one before them.
    """

    id: str
    names: tuple[str, ...]
    cell: int
    checks: tuple[CheckResult, ...]
    level: int = 3

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks)

    @property
    def max_points(self) -> float:
        return sum(check.max_points for check in self.checks if check.status is not Status.WAITING)

    @property
    def passed(self) -> int:
        return sum(check.status is Status.PASSED for check in self.checks)

    @property
    def quiet(self) -> tuple[CheckResult, ...]:
        """Checks of which there is no more to say than that they passed."""
        return tuple(check for check in self.checks if check.status is Status.PASSED and check.adjusted is None)

    @property
    def telling(self) -> tuple[CheckResult, ...]:
        return tuple(check for check in self.checks if check not in self.quiet)


def give_back(request: Request) -> Returned:
    """Write a page for each file below `paths` that has a grade.

    Raises InstructorError for a wrong course, assignment, gradebook or path, and where nbconvert is missing.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InstructorError(
            f"`autograder feedback` needs {' and '.join(missing)}: pip install 'attention-autograder[feedback]'"
        )
    assignment = course.load(request.course, request.assignment)
    with Gradebook.open(gradebook.find(request.gradebook)) as book:
        found = book.latest(book.meant(assignment.name))
    known = standing.class_list(request.course)
    grades = {grade.submission: grade for grade in standing.settled(assignment, found, known)}
    pages: dict[str, Path] = {}
    missed: list[str] = []
    with private_folder("intake") as scratch, Typesetter() as typesetter:
        entries = intake.discover(request.paths, scratch, assignment.name)
        names = file_names(entry.id for entry in entries)
        binder = _Binder(assignment, steps.names(assignment), typesetter)
        for entry in entries:
            text = binder.page(entry, grades.get(entry.id))
            if text is None:
                missed.append(f"{line(entry.id)}: {UNKNOWN}")
                continue
            pages[entry.id] = request.out / f"{names[entry.id]}.html"
            _write(pages[entry.id], text)
    return Returned(pages, tuple(missed))


def panels(
    checks: Sequence[CheckResult], about: Mapping[str, tuple[str, ...]], submission: Submission | None
) -> list[Panel]:
    """The checks by step, in their order. about: as `steps.names` has it."""
    groups: dict[tuple[str, ...], list[CheckResult]] = {}
    for check in checks:
        groups.setdefault(about.get(check.name, ()), []).append(check)
    ordered = sorted(groups.items(), key=lambda item: not item[0])  # what belongs to no step comes last
    return [
        Panel(f"step-{number}", names, _place(submission, names), tuple(group))
        for number, (names, group) in enumerate(ordered, 1)
    ]


@dataclass(frozen=True, slots=True)
class _Binder:
    """Puts together what is typeset and what was found. about: as `steps.names` has it."""

    assignment: Assignment
    about: Mapping[str, tuple[str, ...]]
    typesetter: Typesetter

    def page(self, entry: Entry, grade: Grade | None) -> str | None:
        """The page, or None where the file is not what was graded."""
        try:
            submission = notebook.extract(entry)
        except UnreadableSubmission:
            submission = None
        if grade is None or (submission is None) != (grade.status is Outcome.UNREADABLE):
            return None
        if submission is not None and grade.digest != submission.digest:
            return None
        pieces = self._pieces(entry, submission) if submission is not None else None
        levels = _levels(pieces or ())
        environment = site.templates()
        return environment.get_template("returned.html").render(
            policy=f"{environment.globals['policy']}; img-src data:",
            assignment=self.assignment,
            grade=grade,
            causes=site.causes(self.assignment, grade),
            panels=[
                replace(panel, level=levels.get(panel.cell, panel.level))
                for panel in panels(grade.checks, self.about, submission)
            ],
            pieces=pieces if pieces is not None else list(_plain(submission)),
            notes=[PLAIN] if pieces is None and submission is not None else [],
        )

    def _pieces(self, entry: Entry, submission: Submission) -> tuple[Piece, ...] | None:
        """What is typeset, if it has the cells that were graded."""
        module = entry.path.suffix.lower() != ".ipynb"
        data = _as_notebook(submission) if module else entry.path.read_bytes()
        pieces = self.typesetter.typeset(data)
        if pieces is None or sum(piece.kind == "code" for piece in pieces) != len(submission.cells):
            return None
        return pieces


def _place(submission: Submission | None, names: Sequence[str]) -> int:
    """The last code cell that defines one of the names at its left edge; 0 if none does."""
    if submission is None or not names:
        return 0
    either = "|".join(map(re.escape, names))
    defines = re.compile(rf"^(?:(?:async )?def|class) (?:{either})\b|^(?:{either})\b[^=\n(]*=(?!=)", re.MULTILINE)
    return max((cell.number for cell in submission.cells if not cell.skip and defines.search(cell.source)), default=0)


def _levels(pieces: Sequence[Piece]) -> dict[int, int]:
    """By code cell: the level of a heading that belongs to it, of which one more is to follow."""
    found, level = {}, 3
    for piece in pieces:
        for heading in re.findall(r"<h([3-6])", piece.html):
            level = min(int(heading) + 1, 5)
        if piece.kind == "code":
            found[piece.number] = level
    return found


def _plain(submission: Submission | None) -> Iterator[Piece]:
    for cell in submission.cells if submission is not None else ():
        source = escape(visible(cell.source, 10 * len(cell.source) + 10))
        yield Piece("code", cell.number, f"<pre>{source}</pre>")


def _as_notebook(submission: Submission) -> bytes:
    cells = [{"cell_type": "code", "source": cell.source} for cell in submission.cells]
    return json.dumps({"nbformat": 4, "cells": cells}).encode()


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise OperatorError(
            f"{path} can't be written ({error.strerror}). Make room, or name another folder with --out."
        ) from error
