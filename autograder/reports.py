"""Grades as files for people and scripts, and as a table for a terminal: nothing in them acts, nothing leaks."""

import csv
import io
import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from autograder.errors import OperatorError
from autograder.records import Assignment, CheckResult, Grade, Outcome
from autograder.text import cell, file_names, line, visible, write_whole

COLUMNS = ("submission", "student", "assignment", "score", "max_score", "status", "isolation", "device", "seconds")

_DETAIL = 200_000


def make_folder(out: Path) -> None:
    """Make the folder that reports go to, and see that it can be written. Raises OperatorError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OperatorError(
            f"nothing can be written to {out} ({error.strerror}). Give a folder that can be written with --out."
        ) from error


def write(
    out: Path,
    assignment: Assignment,
    grades: Sequence[Grade],
    counting: Collection[str],
    told: Mapping[str, Grade] | None = None,
) -> None:
    """Write `grades.csv`, `results/*.json` for the students and `instructor/*.json` for nobody else.

    counting: ids of the submissions that count, where a student handed in several.
    told: by id, what a student is told where that is not all of her grade yet.
    """
    results, instructor = out / "results", out / "instructor"
    results.mkdir(parents=True, exist_ok=True)
    instructor.mkdir(mode=0o700, exist_ok=True)
    ordered = sorted(grades, key=lambda grade: grade.submission)
    names = file_names(grade.submission for grade in ordered)
    for grade in ordered:
        name = f"{names[grade.submission]}.json"
        write_whole(results / name, _json(for_student((told or {}).get(grade.submission, grade))))
        everything = for_instructor(grade, assignment, grade.submission in counting)
        write_whole(instructor / name, _json(everything), mode=0o600)
    write_whole(out / "grades.csv", gradebook_csv(ordered))


def gradebook_csv(grades: Sequence[Grade]) -> str:
    """One row for each grade; a pending score is an empty cell."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for grade in grades:
        table.writerow(
            (
                cell(grade.submission),
                cell(grade.student),
                cell(grade.assignment),
                number(grade.score),
                number(grade.max_score),
                cell(grade.status),
                cell(grade.isolation),
                cell(grade.device),
                f"{grade.seconds:.1f}",
            )
        )
    return text.getvalue()


def for_student(grade: Grade) -> dict[str, object]:
    """What a student may read about her submission. Seconds are rounded, so that time tells nothing."""
    return {
        "submission": line(grade.submission),
        "student": line(grade.student),
        "assignment": line(grade.assignment),
        "score": grade.score,
        "max_score": grade.max_score,
        "status": str(grade.status),
        "isolation": line(grade.isolation),
        "device": line(grade.device),
        "seconds": round(grade.seconds, 1),
        "notes": [visible(note) for note in grade.notes],
        "checks": [_check(check) for check in grade.checks],
        **_late(grade),
    }


def for_instructor(grade: Grade, assignment: Assignment, counts: bool) -> dict[str, object]:
    """Everything that is known, for the instructor's eyes."""
    details = [{**_check(check), **_private(check)} for check in grade.checks]
    return {
        **for_student(grade),
        "checks": details,
        "title": line(assignment.title),
        "counts": counts,
        "seconds": round(grade.seconds, 3),
        "cpu_seconds": round(grade.cpu_seconds, 3),
        "digest": line(grade.digest),
        "version": line(grade.version),
        "taken_over": [line(name) for name in grade.taken],
        "detail": visible(grade.detail, _DETAIL),
    }


def table(grades: Sequence[Grade]) -> Table:
    """The class at a glance, for a terminal."""
    shown = Table(header_style="bold", pad_edge=False, box=None)
    shown.add_column("student", max_width=32)
    shown.add_column("submission", max_width=40, overflow="fold")
    shown.add_column("score", justify="right", no_wrap=True)
    shown.add_column("status", no_wrap=True)
    shown.add_column("first misconception", ratio=1)
    for grade in sorted(grades, key=lambda grade: grade.submission):
        style = "" if grade.status is Outcome.GRADED else "yellow"
        score = "pending" if grade.score is None else f"{number(grade.score)} / {number(grade.max_score)}"
        found = next((check.misconception for check in grade.checks if check.misconception), "")
        shown.add_row(
            Text(line(grade.student, 60)),
            Text(line(grade.submission, 80)),
            Text(score),
            Text(f"{grade.status}{', adjusted' * any(check.adjusted for check in grade.checks)}", style=style),
            Text(line(found or "")),
        )
    return shown


def number(points: float | None) -> str:
    """Points as a person writes them: 20, 17.5, and nothing where they are pending."""
    return "" if points is None else f"{round(points, 4):.15g}"


def _private(check: CheckResult) -> dict[str, object]:
    review = {} if check.adjusted is None else {"review": check.adjusted.review}
    return {"detail": visible(check.detail, _DETAIL), **review}


def _check(check: CheckResult) -> dict[str, object]:
    """A check whose points the instructor has decided says so; the others have no such key."""
    adjusted = check.adjusted
    said = (
        {}
        if adjusted is None
        else {
            "adjusted": {
                "points_before": adjusted.was,
                "reason": visible(adjusted.reason),
                "by": line(adjusted.by),
                "comment": visible(adjusted.comment),
            }
        }
    )
    return {
        "name": line(check.name),
        "title": line(check.title, 400),
        "points": check.points,
        "max_points": check.max_points,
        "status": str(check.status),
        "feedback": visible(check.feedback),
        "misconception": None if check.misconception is None else visible(check.misconception),
        **said,
    }


def _late(grade: Grade) -> dict[str, object]:
    """What lateness cost, where the assignment has a policy for it; `score` is what is left."""
    late = grade.late
    if late is None:
        return {}
    known: dict[str, object] = {"handed_in": line(grade.handed_in) or None, "clock": line(grade.clock)}
    cost = {"days": late.days, "raw_score": late.raw_score, "penalty": late.penalty, "says": visible(late.says)}
    return {"late": {**known, "due": late.due or None, **cost}}


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
