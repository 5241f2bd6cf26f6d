"""A Grade as one line of JSON, and back: complete and exact, for the gradebook and between trusted processes."""

import json
from dataclasses import fields
from typing import Any

from autograder.records import CheckResult, Grade, Outcome, Status


def to_json(grade: Grade) -> str:
    plain = _plain(grade)
    plain["checks"] = [_plain(check) for check in grade.checks]
    return json.dumps(plain, separators=(",", ":"))


def from_json(text: str) -> Grade:
    """The grade that `to_json` wrote; fields that were not yet known then have their defaults.

    Raises ValueError where it is no such line.
    """
    try:
        plain = json.loads(text)
        checks = tuple(CheckResult(**{**check, "status": Status(check["status"])}) for check in plain["checks"])
        known = {**plain, "status": Outcome(plain["status"]), "checks": checks, "notes": tuple(plain["notes"])}
        return Grade(**known)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a grade as this version writes it: {error}; found {text[:60]!r}") from error


def _plain(record: Grade | CheckResult) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
