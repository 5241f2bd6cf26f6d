"""nbgrader's eleven columns, and its own gradebook.db, written through its own interface.

In its table each student has a row in each assignment, also where nothing was handed in. Times are in UTC and don't say
so. Unlike nbgrader's own, the table is quoted, and no cell of it is a formula.
"""

import csv
import importlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder import policy
from autograder.errors import AutograderError, InstructorError, OperatorError
from autograder.records import Assignment, Grade, Status
from autograder.reports import number
from autograder.roster import Person
from autograder.standing import Standings
from autograder.text import cell, line

COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
)
DATABASE = ".db"


@dataclass(frozen=True, slots=True)
class Record:
    """What nbgrader knows of one student in one assignment. grade: None where nothing was handed in."""

    student: str
    first_name: str
    last_name: str
    email: str
    grade: Grade | None = None

    @property
    def penalty(self) -> float:
        return self.grade.late.penalty if self.grade and self.grade.late else 0.0

    @property
    def raw_score(self) -> float:
        score = self.grade.score if self.grade else None
        return (score or 0.0) + self.penalty


def table(standings: Standings) -> str:
    """CSV. A grade that is pending has no row; the notes of an export name it."""
    text = io.StringIO()
    rows = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    rows.writerow(COLUMNS)
    for record in _records(standings):
        rows.writerow(_row(standings.assignment, record))
    return text.getvalue()


def write_database(standings: Standings, path: Path) -> None:
    """Write the grades into nbgrader's gradebook at `path`, which may exist.

    Raises OperatorError without nbgrader or where it fails, InstructorError if that gradebook has an assignment of this
    name that is nbgrader's own.
    """
    api = _nbgrader()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _write(api, standings, path)
    except AutograderError:
        raise
    except FileNotFoundError as error:
        raise OperatorError(
            f"nbgrader begins its gradebook with a program that was not found: {error.filename}. Activate the virtual "
            "environment that nbgrader is in, so that its programs are on PATH."
        ) from error
    except Exception as error:
        said = line(str(error), 300)
        raise OperatorError(f"nbgrader could not write {path} ({said}). Give another file with --out.") from error


def _write(api: ModuleType, standings: Standings, path: Path) -> None:
    name = standings.assignment.name
    records = list(_records(standings))
    checks = {check.name: check for record in records if record.grade for check in record.grade.checks}
    with api.Gradebook(f"sqlite:///{path.absolute()}") as book:
        _refuse_anothers(api, book, path, name, set(checks))
        book.update_or_create_assignment(name, duedate=_utc(_due(standings.assignment)))
        book.update_or_create_notebook(name, name)
        for check in checks.values():
            book.update_or_create_grade_cell(check.name, name, name, max_score=check.max_points, cell_type="code")
        for record in records:
            _enter(book, name, record)
        book.db.commit()


def _enter(book: Any, name: str, record: Record) -> None:
    known = {"first_name": record.first_name, "last_name": record.last_name, "email": record.email}
    book.update_or_create_student(record.student, **{key: text for key, text in known.items() if text})
    if record.grade is None:
        return
    at = policy.moment(record.grade.handed_in)
    submission = book.update_or_create_submission(name, record.student, timestamp=_utc(at))
    submission.notebooks[0].late_submission_penalty = record.penalty
    extra = record.raw_score - sum(check.points for check in record.grade.checks)
    for check in record.grade.checks:
        entered = book.find_grade(check.name, name, name, record.student)
        entered.auto_score, entered.manual_score = check.points, None
        entered.needs_manual_grade = check.status is Status.WAITING
        entered.extra_credit, extra = round(extra, 4), 0.0


def _refuse_anothers(api: ModuleType, book: Any, path: Path, name: str, ours: set[str]) -> None:
    try:
        known = book.find_assignment(name)
    except api.MissingEntry:
        return
    cells = {cell.name for notebook in known.notebooks for cell in notebook.grade_cells}
    if cells - ours or {notebook.name for notebook in known.notebooks} - {name}:
        raise InstructorError(
            f"{path} has an assignment {name!r} with notebooks and cells of its own, which would be mixed up with "
            "these grades. Give another file with --out."
        )


def _nbgrader() -> ModuleType:
    try:
        return importlib.import_module("nbgrader.api")
    except ImportError as error:
        raise OperatorError(
            "nbgrader is not installed here, and its gradebook is written through it: pip install nbgrader, or give a "
            "file that ends in .csv with --out."
        ) from error


def _records(standings: Standings) -> Iterator[Record]:
    """By student id; of two people of one id the first."""
    found: dict[str, Record] = {}
    for row in standings.rows:
        if row.grade.score is not None:
            found.setdefault(_id(row.person), _record(row.person, row.grade))
    for person in standings.absent:
        found.setdefault(_id(person), _record(person, None))
    yield from (found[key] for key in sorted(found))


def _record(person: Person, grade: Grade | None) -> Record:
    first, last = person.first_name, person.last_name
    if not (first or last):
        before, comma, after = person.name.partition(",")
        first, last = (after.strip(), before.strip()) if comma else ("", person.name)
    return Record(_id(person), line(first), line(last), line(person.email), grade)


def _id(person: Person) -> str:
    """The name she hands in under, which is nbgrader's id where its own folders were graded; else what is known."""
    return line(person.student or person.login or person.number or person.email or person.shown)


def _row(assignment: Assignment, record: Record) -> tuple[str, ...]:
    grade = record.grade
    most = number(grade.max_score if grade else assignment.points)
    due, at = _due(assignment), policy.moment(grade.handed_in) if grade else None
    who = (record.student, record.last_name, record.first_name, record.email)
    score = number(grade.score if grade else 0.0)
    points = (number(record.raw_score), number(record.penalty), score, most)
    return (cell(assignment.name), _shown(due), _shown(at), *map(cell, who), *points)


def _due(assignment: Assignment) -> datetime | None:
    return assignment.policy.due if assignment.policy else None


def _utc(when: datetime | None) -> datetime | None:
    """Naive, in UTC, as nbgrader keeps it."""
    return when.astimezone(UTC).replace(tzinfo=None) if when else None


def _shown(when: datetime | None) -> str:
    naive = _utc(when)
    return naive.isoformat(" ", "seconds") if naive else ""
