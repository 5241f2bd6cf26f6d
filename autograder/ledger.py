"""A Grade as one line of JSON, and back: complete and exact, for the gradebook and between trusted processes."""

import json
from dataclasses import fields
from typing import Any

from autograder.records import Adjusted, Cell, CheckResult, Grade, Late, Outcome, Status

SELDOM = ("adjusted", "taken", "cells", "handed_in", "clock", "marked_late", "people", "late", "batch")


def to_json(grade: Grade) -> str:
    plain = _plain(grade)
    plain["checks"] = [_plain(check) for check in grade.checks]
    return json.dumps(plain, separators=(",", ":"), default=_plain)


def from_json(text: str) -> Grade:
    """The grade that `to_json` wrote; fields that were not yet known then have their defaults.

    Raises ValueError where it is no such line.
    """
    try:
        plain = json.loads(text)
        known = {
            **plain,
            "status": Outcome(plain["status"]),
            "checks": tuple(map(_check, plain["checks"])),
            "notes": tuple(plain["notes"]),
            "taken": tuple(plain.get("taken", ())),
            "cells": tuple(Cell(**cell) for cell in plain.get("cells", ())),
            "people": tuple(plain.get("people", ())),
            "late": Late(**plain["late"]) if plain.get("late") else None,
        }
        return Grade(**known)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a grade as this version writes it: {error}; found {text[:60]!r}") from error


def _check(plain: dict[str, Any]) -> CheckResult:
    found = {**plain, "status": Status(plain["status"])}
    if "adjusted" in plain:
        found["adjusted"] = Adjusted(**plain["adjusted"])
    return CheckResult(**found)


def _plain(record: Any) -> dict[str, Any]:
    """Its fields by name; those that are seldom set only where they are."""
    known = ((field.name, getattr(record, field.name)) for field in fields(record))
    return {name: value for name, value in known if value or name not in SELDOM}
