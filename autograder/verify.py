"""Proves an assignment against itself: its solution, its stub, its known mistakes and its correct variants.

Each is graded like a student's work, in the sandbox. The solution and every variant must earn all points, the stub
none, and each mistake must lose exactly the checks it names and be named to the student. Without one of the steps that
can be lent, the solution must pass every check that it is lent to.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder import build, course
from autograder.engines import Job, LocalPool, find_device
from autograder.judge import hold_session
from autograder.records import Assignment, Check, Entry, Grade, Mistake, Outcome, Status
from autograder.sandbox import isolation

UNWRITTEN = """

# %%
def {name}(*args, **kwargs):
    raise NotImplementedError("{name}")
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """One graded piece of an assignment. problem: empty if it is as it should be."""

    kind: str
    name: str
    grade: Grade
    problem: str


@dataclass(frozen=True, slots=True)
class Manner:
    """How to verify.

    every_alone: each check in a worker of its own; the verdicts must not change.
    rounds: how often, each time with other inputs; what holds by luck does not hold every time.
    """

    every_alone: bool = False
    rounds: int = 1
    device: str = "auto"
    isolation: str = "best"


def verify(root: Path, name: str, manner: Manner) -> Iterator[Proof]:
    """Proofs for one assignment, as they come. Raises BrokenAssignment if it can't be loaded or built."""
    secret = course.secret(root)
    for number in range(manner.rounds):
        yield from _verify_once(course.load(root, name), hashlib.sha256(b"%d:" % number + secret).digest(), manner)


def _verify_once(assignment: Assignment, secret: bytes, manner: Manner) -> Iterator[Proof]:
    with tempfile.TemporaryDirectory(prefix="autograder-verify-") as folder:
        lent = _lent(assignment)
        entries = _entries(assignment, Path(folder), lent)
        job = Job(
            assignment,
            secret,
            isolation.choose(manner.isolation, private=[assignment.folder]),
            find_device(manner.device),
            len(os.sched_getaffinity(0)),
            manner.every_alone,
            batch="verify",
        )
        with LocalPool(job) as pool:
            for grade in pool.grade(entries):
                yield _prove(assignment, grade, lent)


def _lent(assignment: Assignment) -> dict[str, list[Check]]:
    """The checks that each step is lent to, by its name."""
    found: list[Check] = []
    hold_session(assignment.folder / "test_hidden.py", lambda judge: found.extend(judge.checks))
    names = dict.fromkeys(name for check in found for name in check.stand_ins)
    return {name: [check for check in found if name in check.stand_ins] for name in names}


def _entries(assignment: Assignment, folder: Path, lent: Mapping[str, Sequence[Check]]) -> list[Entry]:
    stub = build.build(assignment)[f"assignments/{assignment.name}/{assignment.name}.py"].decode()
    sources = {("solution", "solution"): course.source(assignment), ("stub", "stub"): stub}
    for mistake in assignment.mistakes:
        sources["mistake", mistake.id] = course.mutant(assignment, mistake)
    for name, path in course.variants(assignment).items():
        sources["variant", name] = path.read_text(encoding="utf-8")
    for name in lent:
        sources["without", name] = course.source(assignment) + UNWRITTEN.format(name=name)
    training = {("mistake", mistake.id): mistake.fails for mistake in assignment.mistakes}
    training |= {("without", name): tuple(check.name for check in checks) for name, checks in lent.items()}
    entries = []
    for (kind, name), text in sources.items():
        path = folder / f"{kind}-{name}.py"
        path.write_text(text, encoding="utf-8")
        entries.append(Entry(f"{kind}:{name}", name, path, training=training.get((kind, name))))
    return entries


def _prove(assignment: Assignment, grade: Grade, lent: Mapping[str, Sequence[Check]]) -> Proof:
    kind, _, name = grade.submission.partition(":")
    if grade.status is not Outcome.GRADED:
        return Proof(kind, name, grade, f"could not be graded: {grade.detail or ' '.join(grade.notes)}")
    lost = [check for check in grade.checks if check.status is not Status.PASSED]
    if kind in ("solution", "variant"):
        problem = "".join(f"\n    {check.name}: {check.status}: {check.detail}" for check in lost)
        return Proof(kind, name, grade, f"should earn every point, and loses{problem}" if lost else "")
    if kind == "stub":
        kept = [check.name for check in grade.checks if check.status is Status.PASSED]
        return Proof(kind, name, grade, f"should earn nothing, and passes {', '.join(kept)}" if kept else "")
    if kind == "without":
        wanted = {check.name for check in lent[name]}
        problem = "".join(
            f"\n    {check.name}: {check.status}: {check.detail}" for check in lost if check.name in wanted
        )
        return Proof(kind, name, grade, f"should pass what {name} is lent to, and loses{problem}" if problem else "")
    mistake = next(mistake for mistake in assignment.mistakes if mistake.id == name)
    return Proof(kind, name, grade, _misjudged(mistake, grade))


def _misjudged(mistake: Mistake, grade: Grade) -> str:
    lost = {check.name: check for check in grade.checks if check.status is not Status.PASSED}
    said = []
    unexpected, missed = sorted(set(lost) - set(mistake.fails)), sorted(set(mistake.fails) - set(lost))
    if unexpected:
        said.append(f"loses {', '.join(unexpected)}, which `fails` does not list")
    if missed:
        said.append(f"passes {', '.join(missed)}, which `fails` lists")
    repeatable = [check for check in lost.values() if check.status in (Status.FAILED, Status.RAISED)]
    unnamed = [check.name for check in repeatable if check.misconception != mistake.id]
    if unnamed:
        named = sorted({str(check.misconception) for check in repeatable if check.misconception != mistake.id})
        said.append(f"is not named in {', '.join(unnamed)} (named there: {', '.join(named)})")
    return "; ".join(said)
