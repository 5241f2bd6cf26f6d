"""One submission's grade as Gradescope's `results.json`."""

import json
from typing import Any

from autograder.adjustments import sentence
from autograder.records import CheckResult, Grade, Outcome, Status
from autograder.text import line, visible

PENDING = (Status.INTERNAL, Status.WAITING)


def results(grade: Grade) -> dict[str, Any]:
    """The object that Gradescope reads. Everything in it is for the student's eyes.

    A grade that is pending has no score: Gradescope then shows what went wrong instead of points.
    """
    said = [*grade.notes, *([grade.late.says] if grade.late else [])]
    shown: dict[str, Any] = {
        "output": "\n\n".join(visible(text) for text in said),
        "output_format": "text",
        "execution_time": round(grade.seconds, 1),
        "tests": [_test(number, check) for number, check in enumerate(grade.checks, start=1)],
        "extra_data": {"submission": line(grade.submission), "status": str(grade.status), **_late(grade)},
    }
    if grade.score is not None and grade.status is not Outcome.INTERNAL:
        shown["score"] = round(grade.score, 4)
    return shown


def document(grade: Grade) -> str:
    """`results` as JSON."""
    return json.dumps(results(grade), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _test(number: int, check: CheckResult) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": line(check.title, 400) or line(check.name),
        "number": str(number),
        "max_score": check.max_points,
        "output": "\n\n".join(filter(None, (visible(check.feedback), sentence(check)))),
        "output_format": "text",
        "extra_data": {"check": line(check.name), "status": str(check.status)},
    }
    if check.status in PENDING and check.adjusted is None:
        return shown
    return {**shown, "score": check.points, "status": "passed" if check.status is Status.PASSED else "failed"}


def _late(grade: Grade) -> dict[str, object]:
    if grade.late is None:
        return {}
    return {"raw_score": grade.late.raw_score, "penalty": grade.late.penalty, "days_late": grade.late.days}
