"""Proves an assignment against itself: its solution, its stub, its known mistakes and its correct variants.

Each is graded like a student's work, in the sandbox. The solution and every variant must earn all points, the stub
none, and each mistake must lose exactly the checks it names and be named to the student. Without one of the steps that
can be lent, the solution must pass every check that it is lent to.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from autograder import build, course, gpu, mutation, notebook, regrading
from autograder.engines import Job, LocalPool, warm_zygote
from autograder.judge import hold_session
from autograder.mutation import Mutant
from autograder.records import Assignment, Basis, Check, Entry, Grade, Mistake, Outcome, Status
from autograder.sandbox import isolation
from autograder.sandbox.spawn import Zygote
from autograder.scratch import private_folder

UNWRITTEN = """

# %%
def {name}(*args, **kwargs):
    raise NotImplementedError("{name}")
"""

Lent = Mapping[str, Sequence[Check]]


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


@dataclass(frozen=True, slots=True)
class _Proved:
    """What a piece was worth, and on what that rests."""

    grade: Grade
    basis: Basis
    training: tuple[str, ...] | None


class Fate(StrEnum):
    """What becomes of a mutant. UNNOTICED: it loses no check.  UNNAMED: its wrong answers fit no known mistake.

    TOLD: its student reads which mistake it is, or which line raised an error.
    """

    UNNOTICED = "unnoticed"
    UNNAMED = "unnamed"
    TOLD = "told"
    UNGRADED = "not graded"


class Verifier:
    """Verifies assignments, and does so again at little cost: it stays warm, and judges what a change can touch.

    Use as a context manager.
    """

    def __init__(self, root: Path, manner: Manner) -> None:
        self.root = root
        self.manner = manner
        self.device = gpu.find_device(manner.device)
        self._warm: tuple[Job, Zygote] | None = None
        self._proved: dict[tuple[str, int, str], _Proved] = {}

    def __enter__(self) -> "Verifier":
        return self

    def __exit__(self, *_: object) -> None:
        if self._warm is not None:
            self._warm[1].close()

    def proofs(self, name: str) -> Iterator[Proof]:
        """Proofs for one assignment, as they come. Raises BrokenAssignment if it can't be loaded or built."""
        for number in range(self.manner.rounds):
            yield from self._round(course.load(self.root, name), number)

    def mutants(self, name: str) -> Iterator[tuple[Mutant, Fate]]:
        """Each small change of the solution and what becomes of it, as they come; checks that train are not judged.

        Raises BrokenAssignment.
        """
        assignment = course.load(self.root, name)
        build.build(assignment)
        source = course.source(assignment)
        found = {f"mutant:{n}": each for n, each in enumerate(mutation.mutants(source, build.regions(source)))}
        with private_folder("mutants") as folder:
            entries = {}
            for id_, mutant in found.items():
                path = folder / f"{id_.partition(':')[2]}.py"
                path.write_text(mutant.source, encoding="utf-8")
                entries[id_] = Entry(id_, id_, path, training=())
            for id_, grade in self._judged(assignment, self._secret(0), list(entries.values()), entries, {}):
                yield found[id_], _fate(grade)

    def _secret(self, number: int) -> bytes:
        return hashlib.sha256(b"%d:" % number + course.secret(self.root)).digest()

    def _round(self, assignment: Assignment, number: int) -> Iterator[Proof]:
        secret = self._secret(number)
        checks = _checks(assignment)
        lent = _lent(checks)
        basis = regrading.basis(assignment, secret)
        with private_folder("verify") as folder:
            entries = {entry.id: entry for entry in _entries(assignment, folder, lent)}
            waiting: list[Entry] = []
            parts: dict[str, tuple[Grade, regrading.Part]] = {}
            for entry in entries.values():
                old, part = self._known(assignment.name, number, entry, basis, checks)
                if old is None or part is None:
                    waiting.append(entry)
                elif part.judged:
                    parts[entry.id] = old, part
                    judged, held = tuple(sorted(part.judged)), tuple(sorted(part.held))
                    waiting.append(replace(entry, only=judged, held=held))
                else:
                    stands = regrading.taken_over(old, assignment.version)
                    yield self._proof(assignment, number, entry, stands, basis, lent)
            for id_, grade in self._judged(assignment, secret, waiting, entries, parts):
                yield self._proof(assignment, number, entries[id_], grade, basis, lent)

    def _known(
        self, name: str, number: int, entry: Entry, basis: Basis, checks: Sequence[Check]
    ) -> tuple[Grade | None, regrading.Part | None]:
        """The earlier grade of the same code, and what of it to judge again; all of it if that is None."""
        known = self._proved.get((name, number, entry.id))
        if known is None or known.training != entry.training:
            return None, None
        if notebook.extract(entry).digest != known.grade.digest:
            return None, None
        asleep = {check.name for check in checks if check.training and check.name not in (entry.training or ())}
        then, now = (_without(each, asleep if entry.training is not None else set()) for each in (known.basis, basis))
        return known.grade, regrading.part(known.grade, then, now)

    def _judged(
        self,
        assignment: Assignment,
        secret: bytes,
        waiting: Sequence[Entry],
        entries: Mapping[str, Entry],
        parts: Mapping[str, tuple[Grade, regrading.Part]],
    ) -> Iterator[tuple[str, Grade]]:
        """Whole grades. What a part does not settle is judged as a whole."""
        if not waiting:
            return
        profile = isolation.choose(self.manner.isolation, private=[assignment.folder])
        workers, alone = len(os.sched_getaffinity(0)), self.manner.every_alone
        job = Job(assignment, secret, profile, self.device, workers, alone, batch="verify")
        with LocalPool(job, self._zygote(job)) as pool:
            unsettled = []
            for grade in pool.grade(waiting):
                part = parts.get(grade.submission)
                whole = regrading.merged(*part, grade, assignment.limits) if part else grade
                if whole is None:
                    unsettled.append(entries[grade.submission])
                else:
                    yield grade.submission, whole
            for grade in pool.grade(unsettled):
                yield grade.submission, grade

    def _proof(
        self, assignment: Assignment, number: int, entry: Entry, grade: Grade, basis: Basis, lent: Lent
    ) -> Proof:
        self._proved[assignment.name, number, entry.id] = _Proved(grade, basis, entry.training)
        return _prove(assignment, grade, lent)

    def _zygote(self, job: Job) -> Zygote:
        """One that is warm, and refuses what the job's assignment forbids."""
        if self._warm is not None:
            old, zygote = self._warm
            if _needed(old) == _needed(job) and zygote.process.poll() is None:
                return zygote
            zygote.close()
            self._warm = None
        self._warm = job, warm_zygote(job)
        return self._warm[1]


def verify(root: Path, name: str, manner: Manner) -> Iterator[Proof]:
    """Proofs for one assignment, as they come. Raises BrokenAssignment if it can't be loaded or built."""
    with Verifier(root, manner) as verifier:
        yield from verifier.proofs(name)


def _needed(job: Job) -> tuple[object, ...]:
    """What a zygote is made of."""
    return job.profile, job.assignment.forbidden, job.assignment.operators


def _without(basis: Basis, names: Collection[str]) -> Basis:
    return replace(basis, checks=tuple((name, digest) for name, digest in basis.checks if name not in names))


def _checks(assignment: Assignment) -> list[Check]:
    found: list[Check] = []
    hold_session(assignment.folder / "test_hidden.py", lambda judge: found.extend(judge.checks))
    return found


def _lent(checks: Sequence[Check]) -> dict[str, list[Check]]:
    """The checks that each step is lent to, by its name."""
    names = dict.fromkeys(name for check in checks for name in check.stand_ins)
    return {name: [check for check in checks if name in check.stand_ins] for name in names}


def _entries(assignment: Assignment, folder: Path, lent: Lent) -> list[Entry]:
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


def _prove(assignment: Assignment, grade: Grade, lent: Lent) -> Proof:
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


def _fate(grade: Grade) -> Fate:
    if grade.status is not Outcome.GRADED:
        return Fate.UNGRADED
    lost = [check for check in grade.checks if check.status is not Status.PASSED]
    if not lost:
        return Fate.UNNOTICED
    unnamed = [check for check in lost if check.status is Status.FAILED and not check.misconception]
    return Fate.UNNAMED if unnamed else Fate.TOLD


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
