"""One submission's grade as Gradescope's `results.json`."""

import json
from collections.abc import Iterable
from typing import Any

from autograder.adjustments import sentence
from autograder.public import Open
from autograder.records import CheckResult, Grade, Outcome, Status, Visibility
from autograder.site import code, paragraphs
from autograder.text import line

PENDING = (Status.INTERNAL, Status.WAITING)


def results(grade: Grade, hidden: Visibility = "visible", public: Iterable[Open] = ()) -> dict[str, Any]:
    """The object that Gradescope reads. Everything in it is for the student's eyes.

    hidden: when a student may see the results of hidden checks; while one is unseen, Gradescope shows her no total.
    public: tests that have no points. These, and what concerns the whole submission, she always sees.
    A grade that is pending has no score: Gradescope then shows what went wrong instead of points. What is said is HTML,
    in which every word of a stranger is escaped.
    """
    said = [*grade.notes, *([grade.late.says] if grade.late else [])]
    shown: dict[str, Any] = {
        "output": _html(said),
        "output_format": "html",
        "test_output_format": "html",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "execution_time": round(grade.seconds, 1),
        "tests": [
            *({**_test(number, check), "visibility": hidden} for number, check in enumerate(grade.checks, start=1)),
            *(_public(number, test) for number, test in enumerate(public, start=1)),
        ],
        "extra_data": {"submission": line(grade.submission), "status": str(grade.status), **_late(grade)},
    }
    if grade.score is not None and grade.status is not Outcome.INTERNAL:
        shown["score"] = round(grade.score, 4)
    return shown


def document(grade: Grade, hidden: Visibility = "visible", public: Iterable[Open] = ()) -> str:
    """`results` as JSON."""
    return json.dumps(results(grade, hidden, public), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _test(number: int, check: CheckResult) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": line(check.title, 400) or line(check.name),
        "number": str(number),
        "max_score": check.max_points,
        "output": _html([check.feedback, sentence(check)]),
        "output_format": "html",
        "tags": ["hidden"],
        "extra_data": {"check": line(check.name), "status": str(check.status)},
    }
    if check.status in PENDING and check.adjusted is None:
        return shown
    return {**shown, "score": check.points, "status": "passed" if check.status is Status.PASSED else "failed"}


def _public(number: int, test: Open) -> dict[str, Any]:
    return {
        "name": line(test.title, 400),
        "number": f"P{number}",
        "status": "passed" if test.passed else "failed",
        "output": _html([test.message]),
        "output_format": "html",
        "tags": ["public"],
        "visibility": "visible",
    }


def _html(texts: Iterable[str]) -> str:
    """Each paragraph as one, with code as code; what means something in HTML is escaped, what hides is spelled out."""
    parts = (part for text in texts for part in paragraphs(text))
    return "\n".join(f"<p>{str(code(part)).replace(chr(10), '<br>')}</p>" for part in parts)


def _late(grade: Grade) -> dict[str, object]:
    if grade.late is None:
        return {}
    return {"raw_score": grade.late.raw_score, "penalty": grade.late.penalty, "days_late": grade.late.days}
