"""Grades one submission in the folders of a hosted service, and writes what it shows to the student.

    source/       the unpacked archive: files/autograder is this package, files/course a course of one assignment
    submission/   what was handed in; submission_metadata.json beside it says when, and by whom
    results/      results.json, complete at the end; until then it tells what is known so far

Run as `python -m autograder.hosted HOME DEADLINE`, by the archive's run_autograder, which ends it at DEADLINE.
"""

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import torch

from autograder import adjustments, course, intake, notebook, public, standing
from autograder.errors import AutograderError, InstructorError, OperatorError, UnreadableSubmission
from autograder.exports import gradescope
from autograder.grader import Grader, Setting
from autograder.judge import Bench, Finding, Judge, hold_session
from autograder.public import Open
from autograder.records import Assignment, Check, CheckResult, Entry, Grade, Limits, Outcome, Status
from autograder.sandbox import isolation
from autograder.sandbox.spawn import Refused, Zygote, ZygoteDied
from autograder.scratch import private_folder
from autograder.text import line, write_whole

SERVICE = "Gradescope"
SHARE = 0.8
PUBLIC_SHARE = 0.1
OWN_MEMORY = 448 * 2**20
LEAST_MEMORY = 192 * 2**20
CGROUPS = Path("/sys/fs/cgroup")
UNFINISHED = "Not judged to the end, so it earns nothing yet. Hand the same file in once more, or tell your instructor."
OURS = "This submission could not be graded, through no fault of yours. Tell your instructor."


@dataclass(frozen=True, slots=True)
class Place:
    """The service's folders. deadline: when we are ended, in seconds since 1970."""

    home: Path
    deadline: float

    @property
    def course(self) -> Path:
        """The course in the archive."""
        return self.home / "source" / "files" / "course"

    @property
    def results(self) -> Path:
        """What the service reads."""
        return self.home / "results" / "results.json"


@dataclass(slots=True)
class Notes:
    """What the first judging of each check has found: enough for a result when the time is up."""

    entry: Entry
    assignment: Assignment
    level: str
    checks: tuple[Check, ...] = ()
    found: dict[str, Status] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def grade(self) -> Grade:
        """The grade as if nothing more came."""
        results = tuple(self._result(check) for check in self.checks)
        note = f"Grading was cut short: {len(self.found)} of {len(self.checks)} checks were judged."
        return Grade(
            submission=self.entry.id,
            student=self.entry.student,
            assignment=self.assignment.name,
            status=Outcome.GRADED,
            score=sum(result.points for result in results),
            max_score=sum(check.points for check in self.checks),
            isolation=self.level,
            device="cpu",
            seconds=round(time.monotonic() - self.began, 3),
            checks=results,
            notes=(note,),
            handed_in=self.entry.handed_in,
            clock=self.entry.clock,
            people=self.entry.people,
        )

    def _result(self, check: Check) -> CheckResult:
        status = self.found.get(check.name, Status.TIMED_OUT)
        points = check.points if status is Status.PASSED else 0.0
        said = "" if status is Status.PASSED else UNFINISHED
        return CheckResult(check.name, check.title, points, check.points, status, said)


class NotingJudge:
    """A judge that tells of the first finding of each check. Later ones may be of the solution, rehearsing."""

    def __init__(self, judge: Judge, notes: Notes, tell: Callable[[], None]) -> None:
        self.checks = notes.checks = judge.checks
        self._judge, self._notes, self._tell = judge, notes, tell

    def run(self, name: str, bench: Bench) -> Finding:
        """As `Judge.run`."""
        finding = self._judge.run(name, bench)
        if name not in self._notes.found:
            self._notes.found[name] = finding.status
            self._tell()
        return finding


def grade(place: Place) -> Grade:
    """The grade of what lies in `submission/`, written with what the public tests find in it.

    Raises AutograderError where it can't be had for a reason of ours.
    """
    names = course.names(place.course)
    if len(names) != 1:
        raise InstructorError(f"{place.course} holds {len(names)} assignments, expected one: build the archive anew.")
    assignment = course.load(place.course, names[0])
    _close_to_others(place)
    profile = isolation.choose("require", private=[place.course])
    print(f"isolation: {profile.level}; {_seconds(place):.0f} s left; {_memory() or 'no'} bytes for all of it")
    with private_folder("intake") as scratch:
        entry = _entry(place, assignment, scratch)
        assignment = replace(assignment, limits=_limits(assignment, _seconds(place)))
        graded, found = _graded(place, assignment, profile, entry)
    dated = replace(graded, handed_in=entry.handed_in, clock=entry.clock, people=entry.people)
    whole = _settled(place, assignment, adjustments.with_questions(dated, assignment.by_hand))
    _tell(place, assignment, whole, found)
    return whole


def main(home: Path, deadline: float) -> int:
    """Grade and write. Exit status 1 where a person must look: nothing is then written that could be a score."""
    place = Place(home, deadline)
    try:
        graded = grade(place)
    except Exception as error:
        print(f"could not be graded: {error}" if isinstance(error, AutograderError) else traceback.format_exc())
        write_whole(place.results, json.dumps({"output": OURS, "stdout_visibility": "hidden"}) + "\n")
        return 1
    print(f"{graded.status}: {graded.score} of {graded.max_score}{graded.detail}")
    return 1 if graded.status is Outcome.INTERNAL else 0


def _tell(place: Place, assignment: Assignment, grade: Grade, found: Iterable[Open]) -> None:
    write_whole(place.results, gradescope.document(grade, assignment.hidden_checks, found))


def _graded(
    place: Place, assignment: Assignment, profile: isolation.Profile, entry: Entry
) -> tuple[Grade, tuple[Open, ...]]:
    secret = course.secret(place.course)
    notes = Notes(entry, assignment, profile.level.value)
    grades: list[Grade] = []
    found: list[Open] = []

    def start() -> Zygote:
        zygote = Zygote(profile, Refused(assignment.forbidden, assignment.operators))
        zygote.await_ready()
        return zygote

    def tell() -> None:
        known = adjustments.with_questions(notes.grade(), assignment.by_hand)
        _tell(place, assignment, _settled(place, assignment, known), found)

    def serve(judge: Judge) -> None:
        noting = cast(Judge, NotingJudge(judge, notes, tell))
        setting = Setting(assignment, course.reference(assignment), torch.device("cpu"), secret, profile.level)
        zygote = start()
        with contextlib.suppress(UnreadableSubmission, ZygoteDied):  # grading will say so, or start anew
            found.extend(public.results(assignment, notebook.extract(entry), zygote, PUBLIC_SHARE * _seconds(place)))
        grader = Grader(setting, noting, start, zygote)
        try:
            grades.append(grader.grade(entry))
        finally:
            grader.close()

    hold_session(assignment.folder / "test_hidden.py", serve)
    return grades[0], tuple(found)


def _entry(place: Place, assignment: Assignment, scratch: Path) -> Entry:
    """The file to grade: where there are several, a notebook of the assignment's name before others."""
    found = intake.discover([place.home / "submission"], scratch, assignment.name)

    def rank(entry: Entry) -> tuple[bool, bool, bool, str]:
        ours = entry.path.stem.startswith(assignment.name)
        return bool(entry.problem), not ours, entry.path.suffix.lower() != ".ipynb", entry.id

    chosen, *others = sorted(found, key=rank)
    note = f"Several files were handed in; {line(chosen.path.name)} was graded." if others else chosen.note
    about = _metadata(place.home / "submission_metadata.json")
    people = tuple(urlencode(person) for person in about.people)
    who = ", ".join(person["name"] for person in about.people if "name" in person) or chosen.student
    return replace(
        chosen,
        id=about.id or chosen.id,
        student=line(who),
        note=note,
        people=people,
        handed_in=about.created,
        clock=SERVICE if about.created else "",
    )


@dataclass(frozen=True, slots=True)
class _About:
    """What the service says of a submission."""

    id: str = ""
    created: str = ""
    people: tuple[dict[str, str], ...] = ()


def _metadata(path: Path) -> _About:
    """Nothing of it is needed: a service that says nothing, or something else, has its submissions graded too."""
    try:
        read: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return _About()
    if not isinstance(read, dict):
        return _About()
    users = read.get("users")
    known = [user for user in users if isinstance(user, dict)] if isinstance(users, list) else []
    people = [
        {key: line(str(user[theirs])) for key, theirs in _USER.items() if isinstance(user.get(theirs), str)}
        for user in known
    ]
    id = f"submission_{read['id']}" if isinstance(read.get("id"), (int, str)) else ""
    return _About(line(id), _moment(read.get("created_at")), tuple(person for person in people if person))


_USER: Mapping[str, str] = {"name": "name", "number": "sid", "email": "email"}


def _moment(text: Any) -> str:
    try:
        read = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return ""
    return read.isoformat() if read.tzinfo is not None else ""


def _settled(place: Place, assignment: Assignment, graded: Grade) -> Grade:
    return standing.settled(assignment, [graded], standing.class_list(place.course))[0]


def _close_to_others(place: Place) -> None:
    """Spare users must read neither tests nor solution; the owner always may, and Landlock sees to the rest."""
    for folder in (place.course, place.home / "source" / "tests"):
        for path in (folder, *folder.rglob("*")):
            if path.stat().st_uid == os.geteuid():
                path.chmod(path.stat().st_mode & 0o700)


def _limits(assignment: Assignment, seconds: float) -> Limits:
    """The assignment's limits within what the service leaves: its time, and its memory beside our own."""
    limits, most = assignment.limits, _memory()
    if seconds <= 0:
        raise OperatorError("no time is left to grade in: give the service a longer limit.")
    memory = limits.memory if most is None else min(limits.memory, max(most - OWN_MEMORY, LEAST_MEMORY))
    return replace(limits, submission_wall=min(limits.submission_wall, SHARE * seconds), memory=memory)


def _seconds(place: Place) -> float:
    return place.deadline - time.time()


def _memory() -> int | None:
    """The most that this container may take, in bytes; None where nothing is said."""
    for path in _memory_files(Path("/proc/self/cgroup")):
        try:
            said = path.read_text("ascii").strip()
        except OSError:
            continue
        if said.isdigit() and int(said) < 2**50:
            return int(said)
    return None


def _memory_files(groups: Path) -> Iterator[Path]:
    """Where the kernel keeps that limit, in both versions of control groups: our own group's, else all we can see."""
    lines = groups.read_text("ascii", "replace").splitlines() if groups.exists() else []
    own = {kind: path.strip("/") for _, kind, path in (line.split(":", 2) for line in lines if line.count(":") > 1)}
    for kind, folder, file in (("", CGROUPS, "memory.max"), ("memory", CGROUPS / "memory", "memory.limit_in_bytes")):
        yield folder / own.get(kind, "") / file
        yield folder / file


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
