"""What the rooms hand to one another: frozen data, no behaviour."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Status(StrEnum):
    """How one check ended. `internal` is our own fault and never costs a point."""

    PASSED = "passed"
    FAILED = "failed"
    RAISED = "raised"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    REFUSED = "refused"
    INTERNAL = "internal"


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
class Assignment:
    """One folder under `solutions/`, read."""

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
    """

    id: str
    student: str
    path: Path
    problem: str = ""
    note: str = ""
    training: tuple[str, ...] | None = None


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


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found. `detail` is for the instructor only; everything else a student may read."""

    name: str
    title: str
    points: float
    max_points: float
    status: Status
    feedback: str = ""
    misconception: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Grade:
    """What one submission earned. Scores are None while they are pending through a fault of ours.

    notes: sentences about the submission as a whole, for the student.
    detail: for the instructor only (what the cells printed, their tracebacks).
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
