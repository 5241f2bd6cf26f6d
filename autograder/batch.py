"""A whole class: finds what was handed in, has it graded, keeps every grade the moment it exists, writes the report.

Killed at any moment and run again, it goes on where it stopped: what the gradebook holds for the same code, the same
version of the assignment, device and isolation is not graded twice. Under another version only what the change can
touch is judged again. The last attempt in the gradebook is always what the report shows.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from autograder import adjustments, course, gpu, gradebook, intake, notebook, regrading, reports, site, standing
from autograder.engines import Job, LocalPool, most_workers
from autograder.errors import OperatorError, UnreadableSubmission
from autograder.gradebook import Attempt, Gradebook, Origin, Roll
from autograder.records import Assignment, Basis, Entry, Grade, Graded, Request, Start, Watcher
from autograder.roster import Roster
from autograder.sandbox import isolation
from autograder.scratch import private_folder


class Pool(Protocol):
    """What grades, in any order."""

    def grade(self, entries: Sequence[Entry]) -> Iterator[Grade]:
        """Grades as they are ready."""


class Engine(Protocol):
    """Where grading is done. profile, device: what it is done with.  workers: how many at once.

    incidents: sentences on what went wrong there and cost nobody anything.
    """

    @property
    def profile(self) -> isolation.Profile: ...
    @property
    def device(self) -> str: ...
    @property
    def workers(self) -> int: ...
    @property
    def incidents(self) -> Sequence[str]: ...

    def pool(self, job: Job) -> AbstractContextManager[Pool]:
        """What does a job there."""


@dataclass(frozen=True, slots=True)
class _Here:
    """This machine."""

    profile: isolation.Profile
    device: str
    workers: int
    incidents: tuple[str, ...] = ()

    def pool(self, job: Job) -> AbstractContextManager[Pool]:
        return LocalPool(job)


@dataclass(frozen=True, slots=True)
class _Now:
    """Under what this run grades."""

    assignment: Assignment
    basis: Basis
    device: str
    isolation: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """What stands, what is to be recorded without judging, and what is to be judged, whole or in part."""

    entries: dict[str, Entry]
    done: dict[str, Grade] = field(default_factory=dict)
    taken: list[tuple[Grade, Origin | None]] = field(default_factory=list)
    waiting: list[Entry] = field(default_factory=list)
    parts: dict[str, tuple[Grade, regrading.Part]] = field(default_factory=dict)
    before: dict[str, Grade] = field(default_factory=dict)


def grade(request: Request, watcher: Watcher) -> Graded:
    """Grade everything below `request.paths` and write table, results and report to `request.out`.

    Raises InstructorError for a wrong course, assignment or path, OperatorError for what the machine lacks.
    """
    assignment = course.load(request.course, request.assignment)
    known = standing.class_list(request.course)
    reports.make_folder(request.out)
    with (
        _engine(request, assignment) as engine,
        private_folder("intake") as scratch,
        Gradebook.open(request.gradebook or request.out / gradebook.FILE) as book,
        book.claimed(assignment.name),
    ):
        secret = course.secret(request.course)
        entries = intake.discover(request.paths, scratch, assignment.name)
        now = _Now(assignment, regrading.basis(assignment, secret), engine.device, engine.profile.level.value)
        plan = _plan(entries, book, now)
        book.record_all(plan.taken, datetime.now(UTC))
        workers = max(1, min(engine.workers, len(plan.waiting)))
        watcher.started(Start(len(entries), len(plan.done), workers, now.device, now.isolation, len(plan.parts)))
        if plan.waiting:
            words = book.adjustments(assignment.name)
            job = Job(assignment, secret, engine.profile, now.device, workers, batch=notebook.together(entries))
            with engine.pool(job) as pool:
                for judged in _judge(pool, plan, assignment):
                    fresh = _dated(judged, plan.entries[judged.submission])
                    book.record(fresh, datetime.now(UTC), Origin(now.basis, _suffix(plan.entries[fresh.submission])))
                    plan.done[fresh.submission] = replace(fresh, cells=())
                    final = adjustments.apply(fresh, words.get(fresh.submission, ()))
                    watcher.graded(*standing.settled(assignment, [final], known))
        counting = intake.counting(entries)
        book.call_the_roll(assignment.name, Roll(request.out, {id_: id_ in counting for id_ in plan.done}))
        graded = _settled(_graded(plan, book, assignment, counting), known)
        graded = replace(graded, review=(*graded.review, *engine.incidents))
    write(request.out, assignment, graded.grades, counting)
    return graded


@contextmanager
def _engine(request: Request, assignment: Assignment) -> Iterator[Engine]:
    if request.engine == "local":
        profile = isolation.choose(request.isolation, private=[assignment.folder])
        device = gpu.find_device(request.device)
        workers = most_workers(request.workers or len(os.sched_getaffinity(0)), device, assignment.limits)
        yield _Here(profile, device, workers)
        return
    from autograder import cluster

    wanted = cluster.Wanted(
        request.address, request.isolation, request.device, request.workers, gpu_share=request.gpu_share
    )
    with cluster.Cluster(wanted) as found:
        yield found


def write(out: Path, assignment: Assignment, grades: Sequence[Grade], counting: Collection[str]) -> None:
    """The class table, one file per submission, and the pages. Lateness is settled where it was not before."""
    grades = standing.settled(assignment, grades, standing.class_list(assignment.folder.parent.parent))
    try:
        reports.write(out, assignment, grades, counting)
        site.render(out, assignment, grades, counting)
    except OSError as error:
        raise OperatorError(
            f"the report can't be written to {out} ({error.strerror}). Every grade is in the gradebook: make room or "
            "give another --out, and run the same command again; nothing is graded twice."
        ) from error


def _plan(entries: Sequence[Entry], book: Gradebook, now: _Now) -> _Plan:
    known, last = book.known(now.assignment.name, now.device), book.numbers(now.assignment.name)
    plan = _Plan({entry.id: entry for entry in entries})
    for entry in entries:
        old = known.get((entry.id, _digest(entry))) if known else None
        if old is None:
            plan.waiting.append(entry)
        elif old.grade.version != now.assignment.version:
            _plan_regrading(plan, entry, replace(old, grade=_dated(old.grade, entry)), now)
        elif old.grade.isolation != now.isolation:
            plan.waiting.append(entry)
        else:
            plan.done[entry.id] = _dated(old.grade, entry)
            graded_since = old.number != last[entry.id]  # and otherwise: this is what holds again
            if graded_since or plan.done[entry.id] != old.grade:
                plan.taken.append((plan.done[entry.id], Origin(old.basis, old.suffix) if old.basis else None))
    return plan


def _plan_regrading(plan: _Plan, entry: Entry, old: Attempt, now: _Now) -> None:
    plan.before[entry.id] = old.grade
    same = old.grade.isolation == now.isolation
    part = regrading.part(old.grade, old.basis, now.basis) if same else None
    if part is None:
        plan.waiting.append(entry)
    elif part.judged:
        plan.waiting.append(replace(entry, only=tuple(sorted(part.judged)), held=tuple(sorted(part.held))))
        plan.parts[entry.id] = (old.grade, part)
    else:
        stands = regrading.taken_over(old.grade, now.assignment.version)
        plan.done[entry.id] = adjustments.with_questions(stands, now.assignment.by_hand)
        plan.taken.append((plan.done[entry.id], Origin(now.basis, old.suffix)))


def _judge(pool: Pool, plan: _Plan, assignment: Assignment) -> Iterator[Grade]:
    """Whole grades as they come. What a part does not settle is judged as a whole."""
    unsettled = []
    for fresh in pool.grade(plan.waiting):
        known = plan.parts.get(fresh.submission)
        whole = regrading.merged(*known, fresh, assignment.limits) if known else fresh
        if whole is None:
            unsettled.append(plan.entries[fresh.submission])
        else:
            yield adjustments.with_questions(whole, assignment.by_hand)
    for fresh in pool.grade(unsettled):
        yield adjustments.with_questions(fresh, assignment.by_hand)


def _graded(plan: _Plan, book: Gradebook, assignment: Assignment, counting: Collection[str]) -> Graded:
    words = book.adjustments(assignment.name)
    grades = tuple(adjustments.apply(plan.done[id_], words.get(id_, ())) for id_ in sorted(plan.done))
    before = tuple(adjustments.apply(plan.before[id_], words.get(id_, ())) for id_ in sorted(plan.before))
    review = tuple(
        f"{grade.submission}: {said}"
        for grade in grades
        for said in adjustments.to_review(grade, words.get(grade.submission, ()))
    )
    return Graded(assignment, grades, frozenset(counting), before, review)


def _settled(graded: Graded, known: Roster) -> Graded:
    now, before = (tuple(standing.settled(graded.assignment, each, known)) for each in (graded.grades, graded.before))
    return replace(graded, grades=now, before=before)


def _dated(grade: Grade, entry: Entry) -> Grade:
    """The grade with what is known of its file's way here: when it came, and from whom."""
    return replace(
        grade,
        handed_in=entry.handed_in,
        clock=entry.clock,
        marked_late=entry.marked_late,
        people=entry.people,
    )


def _suffix(entry: Entry) -> str:
    """How its file is read."""
    return ".ipynb" if entry.path.suffix.lower() == ".ipynb" else ".py"


def _digest(entry: Entry) -> str:
    try:
        return notebook.extract(entry).digest
    except UnreadableSubmission as error:
        return notebook.unreadable(str(error))
