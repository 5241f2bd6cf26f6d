"""The instructor's last word on a check: refused if it can't be meant, kept in the gradebook, shown in the report."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from autograder import adjustments, course, gradebook, standing
from autograder.errors import AutograderError, InstructorError
from autograder.gradebook import Gradebook
from autograder.quiz import catalog
from autograder.records import Adjustment, Assignment, CheckResult, Grade, Status
from autograder.reports import number
from autograder.text import line


@dataclass(frozen=True, slots=True)
class Word:
    """What the instructor says. points: None takes earlier words back.  bonus: to give more than there are is meant."""

    submission: str
    check: str
    points: float | None
    reason: str
    by: str = ""
    comment: str = ""
    bonus: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look. gradebook: a file or a folder.  course: where to look for the course, which the report needs."""

    gradebook: Path | None
    assignment: str | None
    course: Path


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of it: the grade before and after, with lateness settled where the course is at hand.

    report: its folder if it was rewritten; else why_not says why, where there is more to say than that there is none.
    """

    check: str
    before: Grade
    after: Grade
    report: Path | None = None
    why_not: str = ""


def adjust(place: Place, word: Word) -> Heard:
    """Keep a word, and rewrite the last report if there is one. Nothing that was recorded changes.

    Raises InstructorError for an unknown gradebook, assignment, submission or check, and for points out of bounds.
    """
    with Gradebook.open(gradebook.find(place.gradebook)) as book:
        name = book.meant(place.assignment)
        book.known_submission(name, word.submission)
        recorded = book.attempts(name, word.submission)[-1].grade
        earlier = book.adjustments(name).get(word.submission, [])
        before = adjustments.apply(recorded, earlier)
        said = _adjustment(before, earlier, word)
        book.adjust(said, datetime.now(UTC))
        heard = Heard(word.check, before, adjustments.apply(recorded, [*earlier, said]))
        try:
            assignment = catalog.load(course.find(place.course), name)
            heard = _settled(heard, assignment)
            return replace(heard, report=_rewrite(book, assignment))
        except AutograderError as error:
            return replace(heard, why_not=str(error))


def render(heard: Heard) -> str:
    """What came of it, for a terminal."""
    said = [f"{line(heard.after.submission)}, {line(heard.check)}: {_came_of(heard)}"]
    said.append(f"Score: {_score(heard.after)}, was {_score(heard.before)}.")
    if heard.report is not None:
        said.append(f"Report: {heard.report / 'index.html'}")
    else:
        why = f" ({heard.why_not})" if heard.why_not else ""
        said.append(f"The report was not rewritten{why}: `autograder grade` again does that, and grades nothing twice.")
    return "\n".join(said)


def _settled(heard: Heard, assignment: Assignment) -> Heard:
    known = standing.class_list(assignment.folder.parent.parent)
    before, after = standing.settled(assignment, (heard.before, heard.after), known)
    return replace(heard, before=before, after=after)


def _came_of(heard: Heard) -> str:
    """What the check gives now, and what it gave before."""
    before, after = (_named(grade, heard.check) for grade in (heard.before, heard.after))
    if before is None or after is None:
        return "taken back. There is no such check any more."
    was, now = _points(before), _points(after)
    if after.adjusted is None:
        return f"{now} again, was {was} ({line(before.adjusted.reason if before.adjusted else '', 400)})."
    return f"{now}, was {was}. {line(after.adjusted.reason, 400)}"


def _points(check: CheckResult) -> str:
    if check.adjusted is None and check.status in (Status.WAITING, Status.INTERNAL):
        return "not graded" if check.status is Status.WAITING else "pending"
    return f"{number(check.points)} of {number(check.max_points)} points"


def _score(grade: Grade) -> str:
    if grade.score is None:
        return "pending"
    late = f" ({number(grade.late.penalty)} taken away for lateness)" if grade.late and grade.late.penalty else ""
    return f"{number(grade.score)} / {number(grade.max_score)}{late}"


def _adjustment(grade: Grade, earlier: Sequence[Adjustment], word: Word) -> Adjustment:
    """The word as it is kept. Raises InstructorError if it can't be meant."""
    if not word.reason.strip():
        raise InstructorError("--reason is empty: say why, for the student and for whoever looks at this next year.")
    check, last = _named(grade, word.check), adjustments.standing(earlier).get(word.check)
    if check is None and (word.points is not None or last is None):
        raise _no_such_check(grade, word)
    if word.points is None and last is None:
        raise InstructorError(f"{word.check} of {line(grade.submission)} is not adjusted: nothing to take back.")
    if word.points is not None and check is not None:
        _refuse_out_of_bounds(check, word.points, word.bonus)
    return Adjustment(
        assignment=grade.assignment,
        submission=grade.submission,
        check=word.check,
        points=word.points,
        max_points=check.max_points if check else 0.0,
        reason=word.reason.strip(),
        by=word.by.strip(),
        comment=word.comment.strip(),
        digest=grade.digest,
    )


def _named(grade: Grade, name: str) -> CheckResult | None:
    return next((check for check in grade.checks if check.name == name), None)


def _no_such_check(grade: Grade, word: Word) -> InstructorError:
    names = ", ".join(line(check.name) for check in grade.checks) or "none, because it could not be graded"
    return InstructorError(
        f"{line(word.submission)} has no check {line(word.check)!r}. It has: {names}. A question graded by hand is "
        "named below [[by_hand]] in assignment.toml; then run `autograder grade` once more."
    )


def _refuse_out_of_bounds(check: CheckResult, points: float, bonus: bool) -> None:
    if not math.isfinite(points) or points < 0:
        raise InstructorError(f"points: found {points:g}, expected a number from 0 to {check.max_points:g}.")
    if points > check.max_points and not bonus:
        raise InstructorError(
            f"points: found {points:g}, and {check.name} is worth {check.max_points:g}. Give at most that, or add "
            "--bonus if more is meant."
        )


def _rewrite(book: Gradebook, assignment: Assignment) -> Path | None:
    """Write the report of the last run anew, if it is still there."""
    roll = book.roll(assignment.name)
    if roll is None or not _shows(roll.folder / "grades.csv", assignment.name):
        return None
    grades = [grade for grade in book.latest(assignment.name) if grade.submission in roll.counts]
    counting = {submission for submission, counts in roll.counts.items() if counts}
    catalog.write(roll.folder, assignment, grades, counting)
    return roll.folder


def _shows(table: Path, assignment: str) -> bool:
    """Whether a folder holds a report, and of this assignment."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file), {})
    except (OSError, ValueError, csv.Error):
        return False
    return row.get("assignment") == assignment
