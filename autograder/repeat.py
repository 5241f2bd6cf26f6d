"""A recorded grading once more, from what the gradebook kept of it: code, batch, versions, the secret's fingerprint.

Seeds follow from the course's secret, the batch and the check's name, so the same inputs come again. Where anything
that a grade rests on is not what it was, nothing is run: it is said what was and what is.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder import course, gpu, gradebook, notebook, regrading
from autograder.engines import Job, LocalPool
from autograder.errors import InstructorError
from autograder.gradebook import Attempt, Gradebook
from autograder.quiz import grading
from autograder.quiz.press import Press, press
from autograder.records import Assignment, Basis, Cell, CheckResult, Entry, Grade, Isolation, Outcome, Status
from autograder.reports import number
from autograder.sandbox import isolation
from autograder.scratch import private_folder
from autograder.text import line

PLACES = re.compile(r"0x[0-9a-f]+|test_hidden\.py:\d+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which grading to repeat. number: of the attempt, the last if None.  start: where to look for the course."""

    gradebook: Path | None
    assignment: str | None
    submission: str
    number: int | None
    start: Path


@dataclass(frozen=True, slots=True)
class Repetition:
    """What was recorded and what came now. differences: sentences, none where all is the same."""

    attempt: Attempt
    now: Grade
    differences: tuple[str, ...]


def repeat(wanted: Wanted) -> Repetition:
    """Grade once more what was recorded.

    Raises InstructorError where the record is missing or too old, or where something that it rests on is another now;
    OperatorError where this machine lacks the device or the isolation.
    """
    with Gradebook.open(gradebook.find(wanted.gradebook)) as book:
        name = book.meant(wanted.assignment)
        book.known_submission(name, wanted.submission)
        attempt = _chosen(book.attempts(name, wanted.submission), wanted)
        cells = book.code(attempt)
    old = attempt.grade
    root = course.find(wanted.start)
    if name in course.quizzes(root):
        return _of_quiz(press(root, name, attempt.recorded), attempt, cells)
    assignment, secret = course.load(root, name), course.secret(root)
    _refuse_others(attempt, cells, assignment, regrading.basis(assignment, secret))
    level = Isolation(old.isolation)
    only = None if level is Isolation.NONE else level
    profile = isolation.choose("off" if only is None else "require", only=only, private=[assignment.folder])
    with private_folder("repeat") as folder:
        entry = _entry(folder, attempt, cells)
        job = Job(assignment, secret, profile, gpu.find_device(old.device), batch=old.batch)
        with LocalPool(job) as pool:
            (now,) = pool.grade([entry])
    return Repetition(attempt, now, tuple(_differences(old, now)))


def render(repetition: Repetition) -> str:
    """What came of it, for a terminal."""
    attempt, now = repetition.attempt, repetition.now
    which = f"{line(now.submission)}, attempt {attempt.number} of {attempt.recorded:%Y-%m-%d %H:%M} UTC"
    if not repetition.differences:
        return f"{which}: identical. {_score(now)}, {len(now.checks)} checks, every verdict and word the same."
    return "\n".join([f"{which}: not identical.", *(f"  {line(each, 1000)}" for each in repetition.differences)])


def _of_quiz(at: Press, attempt: Attempt, cells: Sequence[Cell]) -> Repetition:
    """An answer sheet once more, as of the hour at which it was graded."""
    _refuse_others(attempt, cells, at.assignment, grading.basis_of(at))
    with private_folder("repeat") as folder:
        entry = replace(_entry(folder, attempt, cells), people=attempt.grade.people)
        now = grading.graded(entry, at)
    return Repetition(attempt, now, tuple(_differences(attempt.grade, now)))


def _chosen(attempts: Sequence[Attempt], wanted: Wanted) -> Attempt:
    if wanted.number is None:
        return attempts[-1]
    found = next((attempt for attempt in attempts if attempt.number == wanted.number), None)
    if found is None:
        numbers = ", ".join(str(attempt.number) for attempt in attempts)
        raise InstructorError(
            f"{line(wanted.submission)} has no attempt {wanted.number}: it has {numbers}. Name one with --attempt."
        )
    return found


def _refuse_others(attempt: Attempt, cells: Sequence[Cell], assignment: Assignment, basis: Basis) -> None:
    old = attempt.grade
    which = f"attempt {attempt.number} at {line(old.submission)} can't be repeated"
    if old.status is Outcome.UNREADABLE:
        raise InstructorError(f"{which}: its file could not be read, so no code was judged.")
    if attempt.basis is None or not cells:
        raise InstructorError(
            f"{which}: the record holds no code, or not on what the grade rests. It comes from a fault of ours, or "
            "from an older version of the autograder. Grade the file itself with `autograder grade`."
        )
    changed = regrading.differences(attempt.basis, basis)
    if changed and old.version != assignment.version:
        changed.insert(0, f"{old.assignment} (version {old.version} then, {assignment.version} now)")
    if changed:
        raise InstructorError(
            f"{which}: it rests on what is no longer here. What differs: {'; '.join(changed)}. Put that back, from the "
            "course's history or a backup, and repeat."
        )


def _entry(folder: Path, attempt: Attempt, cells: Sequence[Cell]) -> Entry:
    """The code as a file that is read as the one that was handed in."""
    path = folder / f"submission{attempt.suffix}"
    if attempt.suffix == ".ipynb":
        plain: list[dict[str, object]] = [
            {"cell_type": "code", "metadata": {}, "source": cell.source, "outputs": [], "execution_count": None}
            for cell in cells
        ]
        path.write_text(json.dumps({"cells": plain, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}), "utf-8")
    else:
        path.write_text("".join(f"# %%\n{cell.source}\n" for cell in cells), "utf-8")
    entry = Entry(attempt.grade.submission, attempt.grade.student, path)
    again = notebook.extract(entry)
    if (again.digest, again.cells) != (attempt.grade.digest, tuple(cells)):
        raise InstructorError(
            f"attempt {attempt.number} at {line(entry.id)} can't be repeated: its code can't be put back into a file "
            "that reads the same. Grade the file itself with `autograder grade`."
        )
    return entry


def _differences(old: Grade, now: Grade) -> Iterator[str]:
    if (old.status, old.score, old.max_score) != (now.status, now.score, now.max_score):
        yield f"the score: {_score(old)} then, {_score(now)} now"
    before = {check.name: check for check in old.checks if check.status is not Status.WAITING}
    for check in now.checks:
        yield from _check_differences(before.pop(check.name, None), check, old)
    yield from (f"{name}: judged then, not now" for name in before)
    said = old.notes[1:] if len(old.notes) == len(now.notes) + 1 else old.notes  # the first may be of its name alone
    if said != now.notes:
        yield f"what is said of the whole: {' '.join(said) or 'nothing'} then, {' '.join(now.notes) or 'nothing'} now"


def _check_differences(before: CheckResult | None, now: CheckResult, old: Grade) -> Iterator[str]:
    if before is None:
        yield f"{now.name}: not judged then"
    elif (before.status, before.points, before.max_points) != (now.status, now.points, now.max_points):
        yield f"{now.name}: {before.status}, {before.points:g} points then; {now.status}, {now.points:g} points now"
    elif (before.title, before.feedback, before.misconception) != (now.title, now.feedback, now.misconception):
        yield f"{now.name}: the student reads other words ({before.misconception} then, {now.misconception} now)"
    elif now.name not in old.taken and PLACES.sub("", before.detail) != PLACES.sub("", now.detail):
        yield f"{now.name}: the same verdict for another reason ({before.detail[:200]} then, {now.detail[:200]} now)"


def _score(grade: Grade) -> str:
    return "pending" if grade.score is None else f"{grade.status}, {number(grade.score)} / {number(grade.max_score)}"
