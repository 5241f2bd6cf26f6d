"""Grades for whatever else there is: a table for spreadsheets, in which nothing is a formula, and JSON for scripts."""

import csv
import io
import json

from autograder.records import Grade
from autograder.reports import for_student, number
from autograder.roster import Person
from autograder.standing import Standing, Standings
from autograder.text import cell, line

WHO = ("student", "name", "id", "login", "email", "section")
WHAT = (
    "submission",
    "assignment",
    "status",
    "handed_in",
    "days_late",
    "raw_score",
    "penalty",
    "score",
    "max_score",
)


def table(standings: Standings) -> str:
    """CSV: one row for each student, who did not hand in last; then a column for the points of each check."""
    checks = list(dict.fromkeys(check.name for row in standings.rows for check in row.grade.checks))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow((*WHO, *WHAT, *map(cell, checks)))
    for row in standings.rows:
        points = {check.name: number(check.points) for check in row.grade.checks}
        rows.writerow((*_who(row.person), *_what(row.grade), *(points.get(name, "") for name in checks)))
    for person in standings.absent:
        missing = ("", cell(standings.assignment.name), "not handed in")
        rows.writerow((*_who(person), *missing, *[""] * (len(WHAT) - len(missing) + len(checks))))
    return text.getvalue()


def document(standings: Standings) -> str:
    """JSON: the assignment, what each student has, and who did not hand in. Nothing is for the instructor alone."""
    content = {
        "assignment": line(standings.assignment.name),
        "title": line(standings.assignment.title),
        "points": standings.assignment.points,
        "students": [_row(row) for row in standings.rows],
        "not_handed_in": [_person(person) for person in standings.absent],
    }
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _row(row: Standing) -> dict[str, object]:
    return {"who": _person(row.person), "handed_in": row.grade.handed_in or None, **for_student(row.grade)}


def _person(person: Person) -> dict[str, str]:
    known = dict(zip(WHO, _known(person), strict=True))
    return {key: line(value) for key, value in known.items() if value}


def _known(person: Person) -> tuple[str, ...]:
    name = person.name or f"{person.first_name} {person.last_name}".strip()
    return (person.student, name, person.number, person.login, person.email, person.section)


def _who(person: Person) -> tuple[str, ...]:
    return tuple(map(cell, _known(person)))


def _what(grade: Grade) -> tuple[str, ...]:
    late = grade.late
    return (
        cell(grade.submission),
        cell(grade.assignment),
        cell(grade.status),
        cell(grade.handed_in),
        str(late.days) if late else "",
        number(late.raw_score if late else grade.score),
        number(late.penalty if late else 0.0) if grade.score is not None else "",
        number(grade.score),
        number(grade.max_score),
    )
