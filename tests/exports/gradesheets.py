"""Small classes with every awkward name, as they stand after grading."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from autograder import standing
from autograder.records import Adjusted, Assignment, CheckResult, Grade, Limits, Outcome, Policy, Share, Status
from autograder.roster import Listed, Person, Roster

NAMES = (
    'O\'Neil, Zoë "Zo"',
    "=1+1",
    "-2",
    "+3",
    "@x",
    "x;=1",
    "נועה לוי",
    "محمد علي",
    "Lee, Kim",
    "two\nlines",
    "a | b",
    "李雷",
)
TOY = Assignment("toy", "Scale and shift", Path("toy"), 10, 10, "gentle", (), (), (), Limits(), (), "v1")
DUE = datetime.fromisoformat("2026-03-12T23:59:00+01:00")
POLICY = Policy(DUE, per_day=Share(10, percent=True))
LATE = "2026-03-13T12:00:00+01:00"
EVIL = "\x1b[31mred\x00 ]]> <b>&amp; =1+1 \ud800\n\u202ex"


def grade(student, score=8.0, **more):
    checks = (
        CheckResult("test_scale", "Multiplies each number.", min(score or 0, 6.0), 6.0, Status.PASSED),
        CheckResult(
            "test_affine", "Agrees with the reference.", max(0.0, (score or 0) - 6), 4.0, Status.FAILED, "Look again."
        ),
    )
    known = {"submission": student, "status": Outcome.GRADED, "max_score": 10.0, "checks": checks, "seconds": 1.25}
    return Grade(**{"student": student, "assignment": "toy", "score": score, "isolation": "self", "device": "cpu", **known, **more})  # fmt: skip  # noqa: E501


DECIDED = CheckResult(
    "essay",
    "Says why.",
    3.0,
    4.0,
    Status.FAILED,
    "Look again.",
    adjusted=Adjusted(1.0, "A good idea.", "Emmy", "Go on."),
)
PENDING = {"score": None, "max_score": None, "status": Outcome.INTERNAL, "checks": ()}


def standings(*grades, people=(), policy=None):
    roster = Roster(tuple(Listed(person, {}, {}) for person in people))
    return standing.standings(replace(TOY, policy=policy), list(grades), {}, roster)


def whole_class():
    """One student of each name, known by number, with scores from 0 to 10, and one who did not hand in."""
    people = [Person(f"s{n}", name, number=f"00{n}", email=f"s{n}@x.org", section="B") for n, name in enumerate(NAMES)]
    grades = [grade(person.student, n % 11 + (0.5 if n % 3 == 0 else 0)) for n, person in enumerate(people)]
    return standings(*grades, people=[*people, Person("idle", "=idle, I", number="0099")])
