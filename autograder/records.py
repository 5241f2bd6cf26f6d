"""What the rooms hand to one another: frozen data, no behaviour."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, get_args


class Status(StrEnum):
    """How one check ended. `internal` is our own fault and never costs a point; `waiting` is for a person to grade."""

    PASSED = "passed"
    FAILED = "failed"
    RAISED = "raised"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    REFUSED = "refused"
    INTERNAL = "internal"
    WAITING = "waiting"


class Outcome(StrEnum):
    """How the grading of one submission ended. `internal` leaves the score pending."""

    GRADED = "graded"
    UNREADABLE = "unreadable"
    INTERNAL = "internal"


class Isolation(StrEnum):
    """What keeps a submission away from the rest of the machine, strongest first."""

    NAMESPACES = "namespaces"
    UID = "uid"
    SELF = "self"
    NO_OPEN = "no-open"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a submission may use. Times in seconds, sizes in bytes; CPU time counts all threads."""

    check_cpu: float = 10.0
    check_wall: float = 60.0
    cells_cpu: float = 20.0
    cells_wall: float = 120.0
    submission_cpu: float = 60.0
    memory: int = 2 * 2**30
    device_memory: int = 2 * 2**30
    reply: int = 256 * 2**20
    output: int = 16 * 2**20
    file: int = 64 * 2**20
    threads: int = 64
    submission_wall: float = 300.0


@dataclass(frozen=True, slots=True)
class Mistake:
    """A misconception as the smallest change of the solution.

    edits: (find, replace) pairs; each `find` occurs exactly once in `solution.py`.
    says:  the sentence a student reads when her submission behaves like this.
    fails: the checks that must be lost, no more and no fewer.
    """

    id: str
    says: str
    edits: tuple[tuple[str, str], ...]
    fails: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ByHand:
    """A question that no test can judge; a person does. Until then it is in neither score nor maximum."""

    id: str
    title: str
    points: float


@dataclass(frozen=True, slots=True)
class Share:
    """An amount of points, or with `percent` of the points that can be earned."""

    amount: float
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """When work is due, and what a late day costs. Moments have an offset.

    zone: whose days are counted, such as Europe/Berlin; days of 24 hours if empty.  grace: seconds that are not late.
    late_days: how many cost nothing.  cap: the most that is taken.  closes: after it nothing is accepted.
    file_times: whether a file's own time is a time stamp, where there is no other.
    """

    due: datetime
    zone: str = ""
    grace: float = 0.0
    late_days: int = 0
    per_day: Share = Share(0.0)
    cap: Share | None = None
    closes: datetime | None = None
    file_times: bool = True


@dataclass(frozen=True, slots=True)
class Extension:
    """More time for one student: days, or until a moment, or until a day at the deadline's time of day."""

    days: int = 0
    until: datetime | date | None = None


Visibility = Literal["visible", "after_due_date", "after_published", "hidden"]
VISIBILITIES: tuple[Visibility, ...] = get_args(Visibility)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One folder under `solutions/`, read. hidden_checks: when Gradescope shows a student what came of them."""

    name: str
    title: str
    folder: Path
    points: float
    minutes: int
    difficulty: str
    names: tuple[str, ...]
    forbidden: tuple[str, ...]
    operators: tuple[str, ...]
    limits: Limits
    mistakes: tuple[Mistake, ...]
    version: str
    summary: str = ""
    by_hand: tuple[ByHand, ...] = ()
    policy: Policy | None = None
    hidden_checks: Visibility = "visible"


@dataclass(frozen=True, slots=True)
class Cell:
    """One code cell. `number` counts code cells from 1, as a student would."""

    number: int
    source: str
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that was handed in, found but not yet opened.

    note: what is odd about its name, for everybody.  training: which of the checks that train to judge, all if None.
    only: the checks to judge, all if empty.  held: checks that are known to be passed, and are not judged.
    handed_in, clock, marked_late, people: as in Grade.
    """

    id: str
    student: str
    path: Path
    problem: str = ""
    note: str = ""
    training: tuple[str, ...] | None = None
    only: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    handed_in: str = ""
    clock: str = ""
    marked_late: bool = False
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Submission:
    """The code of one file that was handed in. `digest` is the SHA-256 of its code cells, in hex."""

    id: str
    student: str
    cells: tuple[Cell, ...]
    digest: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A hidden test function, with what it is worth.

    title: the first line of its docstring, which the student reads.
    alone: it changes lasting state in the worker, so it never shares one.
    last: it may leave something behind in the worker, so it is judged after the others.
    training: it trains a model, which is too dear to be done for its own sake.
    stand_ins: earlier steps that the reference may stand in for, where the submission's own fail.
    """

    name: str
    title: str
    points: float
    alone: bool = False
    cpu: float | None = None
    training: bool = False
    stand_ins: tuple[str, ...] = ()
    last: bool = False


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Why a check has other points than its verdict gave.

    was: those points, None where no test judged.  review: the code, or what the check is worth, has changed since.
    """

    was: float | None
    reason: str
    by: str = ""
    comment: str = ""
    review: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found. `detail` is for the instructor only; everything else a student may read.

    adjusted: set where an instructor has had the last word on its points. What is recorded never has it.
    """

    name: str
    title: str
    points: float
    max_points: float
    status: Status
    feedback: str = ""
    misconception: str | None = None
    detail: str = ""
    adjusted: Adjusted | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """What a submission's lateness cost, in points. days: begun since `due`, this student's own.  says: why."""

    raw_score: float
    penalty: float
    days: int
    due: str
    says: str


@dataclass(frozen=True, slots=True)
class Grade:
    """What one submission earned. Scores are None while they are pending through a fault of ours.

    notes: sentences about the submission as a whole, for the student.
    detail: for the instructor only (what the cells printed, their tracebacks).
    taken: the checks whose results were taken over from an earlier grading of the same code.
    cells: the code that was judged, on its way to the gradebook, which keeps it apart.
    handed_in: when, in ISO 8601 with an offset, empty where unknown.  clock: who says so: a platform, or the file.
    marked_late: by the platform, which may not say how late.
    people: who handed it in, as the platform knows them, each a query string such as `sid=7&email=ada%40x.org`.
    late: set where lateness has been settled, and then `score` is what is left. What is recorded never has it.
    batch: what it was graded with, of which its inputs were made.
    """

    submission: str
    student: str
    assignment: str
    status: Outcome
    score: float | None
    max_score: float | None
    isolation: str
    device: str
    seconds: float
    checks: tuple[CheckResult, ...] = ()
    notes: tuple[str, ...] = ()
    detail: str = ""
    digest: str = ""
    version: str = ""
    cpu_seconds: float = field(default=0.0)
    taken: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    handed_in: str = ""
    clock: str = ""
    marked_late: bool = False
    people: tuple[str, ...] = ()
    late: Late | None = None
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a grade rests on, beside the code that was handed in. Fingerprints are hex, and tell only whether two agree.

    shared: all that every check depends on.  checks: the name of each and its own function's fingerprint, in order.
    leaning: the checks for which earlier steps may be lent.  mistakes: what explains a lost check.
    secret: the course's.  seeds: how they are made of secret, batch and check.  The others are versions.
    """

    shared: str
    checks: tuple[tuple[str, str], ...]
    leaning: tuple[str, ...]
    mistakes: str
    secret: str
    seeds: str
    torch: str
    python: str
    autograder: str


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The instructor's word on one check of one submission; of several, the last counts.

    points: None takes the earlier words back.  max_points: what the check was worth then.
    digest: of the code that it was said of.
    """

    assignment: str
    submission: str
    check: str
    points: float | None
    max_points: float
    reason: str
    by: str = ""
    comment: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What `grade` was asked to do. workers: 0 for one per processor. gradebook: None for one in `out`.

    engine: local or ray.  address: of the cluster, empty for the one that Ray finds.  gpu_share: of each supervisor.
    """

    course: Path
    assignment: str
    paths: tuple[Path, ...]
    out: Path
    gradebook: Path | None = None
    workers: int = 0
    device: str = "auto"
    isolation: str = "require"
    engine: str = "local"
    address: str = ""
    gpu_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Start:
    """What is about to be graded. known: how many grades stand as they are; partly: how many do but for some checks."""

    total: int
    known: int
    workers: int
    device: str
    isolation: str
    partly: int = 0


@dataclass(frozen=True, slots=True)
class Graded:
    """A class with its grades, by submission id, as adjusted by the instructor.

    counting: the ids that count, one per student.  before: the grades of another version that this run replaced.
    review: sentences on adjustments that were made of something else.
    """

    assignment: Assignment
    grades: tuple[Grade, ...]
    counting: frozenset[str]
    before: tuple[Grade, ...] = ()
    review: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[Grade, ...]:
        """What could not be graded through a fault of ours."""
        return tuple(grade for grade in self.grades if grade.status is Outcome.INTERNAL)


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told as it goes on."""

    started: Callable[[Start], None]
    graded: Callable[[Grade], None]
