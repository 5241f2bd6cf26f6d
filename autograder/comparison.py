"""Two gradings side by side: who gained, who lost, and which checks moved."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autograder import gradebook
from autograder.errors import InstructorError
from autograder.gradebook import FILE, Gradebook
from autograder.records import Adjusted, CheckResult, Grade, Outcome, Status
from autograder.reports import number
from autograder.text import line

SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Side:
    """One grading of one assignment. label: what it is called: a version, a path."""

    label: str
    assignment: str
    grades: tuple[Grade, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A check whose points are others. None: there was no such check, or it was not decided."""

    check: str
    title: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float:
        """Points won, or lost if below 0."""
        return (self.after or 0.0) - (self.before or 0.0)


@dataclass(frozen=True, slots=True)
class Change:
    """A submission whose score or checks are others. recoded: its code is another.

    before, after: its scores as earned, before lateness; None while pending.
    """

    submission: str
    student: str
    before: float | None
    after: float | None
    moves: tuple[Move, ...]
    recoded: bool

    @property
    def change(self) -> float:
        """Points won, or lost if below 0; 0 where a score is pending."""
        return 0.0 if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two gradings. unchanged: how many do not.  gone, added: ids that only one of them has."""

    old: Side
    new: Side
    changes: tuple[Change, ...]
    unchanged: int
    gone: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def gained(self) -> tuple[Change, ...]:
        """Who has more points than before, the most first."""
        return tuple(sorted((c for c in self.changes if c.change > SAME), key=lambda c: -c.change))

    @property
    def lost(self) -> tuple[Change, ...]:
        """Who has fewer points than before, the most lost first."""
        return tuple(sorted((c for c in self.changes if c.change < -SAME), key=lambda c: c.change))

    @property
    def otherwise(self) -> tuple[Change, ...]:
        """Whose checks moved while the score did not, or whose score is or was pending."""
        return tuple(c for c in self.changes if abs(c.change) <= SAME)


def between(old: Path, new: Path, assignment: str | None) -> Comparison:
    """Compare what two gradebooks, or two folders that `grade --out` wrote, hold last.

    Raises InstructorError where there is no grading, and where the two are of different assignments.
    """
    one, two = _load(old, assignment), _load(new, assignment)
    if one.assignment != two.assignment:
        raise InstructorError(
            f"{old} holds {line(one.assignment)} and {new} holds {line(two.assignment)}: give two gradings of one "
            "assignment."
        )
    return compare(one, two)


def last_two(place: Path | None, assignment: str | None) -> Comparison:
    """Compare the last two versions of an assignment in one gradebook. Raises InstructorError if there is only one."""
    path = gradebook.find(place)
    with Gradebook.open(path) as book:
        name = book.meant(assignment)
        versions = book.versions(name)
        if len(versions) < 2:
            raise InstructorError(
                f"{path} holds {name} in one version only ({versions[0]}): nothing to compare. Change the assignment "
                "and grade again, or give two gradebooks."
            )
        old, new = (Side(f"version {each}", name, tuple(book.latest(name, each))) for each in versions[-2:])
    return compare(old, new)


def regraded(before: Sequence[Grade], after: Sequence[Grade]) -> Comparison:
    """Compare grades of an earlier version with those of the same submissions that took their place."""
    ids = {grade.submission for grade in before}
    name = before[0].assignment
    now = tuple(grade for grade in after if grade.submission in ids)
    return compare(Side("the version before", name, tuple(before)), Side("this one", name, now))


def compare(old: Side, new: Side) -> Comparison:
    """What differs, by submission id."""
    before = {grade.submission: grade for grade in old.grades}
    after = {grade.submission: grade for grade in new.grades}
    both = sorted(before.keys() & after.keys())
    changes = [_change(before[id_], after[id_]) for id_ in both]
    real = tuple(change for change in changes if change.moves or _differ(change.before, change.after))
    return Comparison(
        old=old,
        new=new,
        changes=real,
        unchanged=len(both) - len(real),
        gone=tuple(sorted(before.keys() - after.keys())),
        added=tuple(sorted(after.keys() - before.keys())),
    )


def table(comparison: Comparison, most: int | None = None) -> RenderableType:
    """For a terminal. most: so many submissions at most."""
    told = (*comparison.lost, *comparison.gained, *comparison.otherwise)
    if not told:
        return Text(summary(comparison))
    shown = Table(header_style="bold", pad_edge=False, box=None)
    for heading, style in (("student", 32), ("submission", 40)):
        shown.add_column(heading, max_width=style, overflow="fold")
    for heading in ("before", "after", "change"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("checks that moved", ratio=1, overflow="fold")
    for change in told[:most]:
        shown.add_row(
            Text(line(change.student, 60)),
            Text(line(change.submission, 80)),
            Text(_score(change.before)),
            Text(_score(change.after)),
            _colored(change),
            Text(", ".join(f"{line(move.check)} {_signed(move.change)}" for move in change.moves)),
        )
    more = len(told) - len(told[:most])
    rest = [Text(f"... and {more} more; `autograder compare` shows them all.")] if more else []
    return Group(shown, *rest, Text(""), _by_check(comparison), Text(""), Text(summary(comparison)))


def summary(comparison: Comparison) -> str:
    """One line: how many gained and lost, and by how much in all."""
    total = sum(change.change for change in comparison.changes)
    said = [
        f"{len(comparison.gained)} gained, {len(comparison.lost)} lost",
        f"{comparison.unchanged} unchanged",
        f"{_signed(total)} points in all",
    ]
    if comparison.otherwise:
        said.insert(1, f"{len(comparison.otherwise)} changed without a change of score, or pending")
    recoded = sum(change.recoded for change in comparison.changes)
    late = any(grade.late for side in (comparison.old, comparison.new) for grade in side.grades)
    said += ["what lateness costs is left out"] * late
    said += [f"{recoded} of those that changed had handed in other code"] * bool(recoded)
    said += [f"{len(comparison.gone)} only in the old"] * bool(comparison.gone)
    said += [f"{len(comparison.added)} only in the new"] * bool(comparison.added)
    which = f"{line(comparison.old.label)} to {line(comparison.new.label)}"
    return f"{line(comparison.new.assignment)}, {which}: {'; '.join(said)}."


def as_json(comparison: Comparison) -> dict[str, object]:
    """The same for a script."""
    return {
        "assignment": line(comparison.new.assignment),
        "old": line(comparison.old.label),
        "new": line(comparison.new.label),
        "gained": len(comparison.gained),
        "lost": len(comparison.lost),
        "unchanged": comparison.unchanged,
        "total": sum(change.change for change in comparison.changes),
        "changes": [
            {
                "submission": line(change.submission),
                "student": line(change.student),
                "before": change.before,
                "after": change.after,
                "recoded": change.recoded,
                "checks": [{"name": line(m.check), "before": m.before, "after": m.after} for m in change.moves],
            }
            for change in comparison.changes
        ],
        "checks": [
            {"name": line(name), "title": line(title, 400), "gained": gained, "lost": lost, "points": points}
            for name, title, gained, lost, points in _checks(comparison)
        ],
        "only_old": [line(each) for each in comparison.gone],
        "only_new": [line(each) for each in comparison.added],
    }


def _change(before: Grade, after: Grade) -> Change:
    was = {check.name: check for check in before.checks}
    is_ = {check.name: check for check in after.checks}
    moves = [
        Move(name, (is_.get(name) or was[name]).title, _points(was.get(name)), _points(is_.get(name)))
        for name in dict.fromkeys((*was, *is_))
    ]
    return Change(
        submission=after.submission,
        student=after.student,
        before=_earned(before),
        after=_earned(after),
        moves=tuple(move for move in moves if abs(move.change) > SAME),
        recoded=bool(before.digest and after.digest) and before.digest != after.digest,
    )


def _differ(before: float | None, after: float | None) -> bool:
    return before != after and (before is None or after is None or abs(after - before) > SAME)


def _earned(grade: Grade) -> float | None:
    return grade.late.raw_score if grade.late else grade.score


def _points(check: CheckResult | None) -> float | None:
    if check is None or (check.adjusted is None and check.status in (Status.INTERNAL, Status.WAITING)):
        return None
    return check.points


def _checks(comparison: Comparison) -> list[tuple[str, str, int, int, float]]:
    """Of each check that moved: name, title, how many gained and lost by it, points in all."""
    moves: dict[str, list[Move]] = {}
    for change in comparison.changes:
        for move in change.moves:
            moves.setdefault(move.check, []).append(move)
    return [
        (
            name,
            moved[0].title,
            sum(move.change > 0 for move in moved),
            sum(move.change < 0 for move in moved),
            sum(move.change for move in moved),
        )
        for name, moved in moves.items()
    ]


def _by_check(comparison: Comparison) -> Table:
    shown = Table(header_style="bold", pad_edge=False, box=None)
    shown.add_column("check", overflow="fold")
    for heading in ("gained", "lost", "points"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("title", ratio=1)
    for name, title, gained, lost, points in _checks(comparison):
        shown.add_row(Text(line(name)), Text(str(gained)), Text(str(lost)), Text(_signed(points)), Text(line(title)))
    return shown


def _score(score: float | None) -> str:
    return "pending" if score is None else number(score)


def _colored(change: Change) -> Text:
    if change.before is None or change.after is None:
        return Text("")
    return Text(_signed(change.change), style="green" if change.change > 0 else "red" if change.change < 0 else "")


def _signed(points: float) -> str:
    return f"+{number(points)}" if points > SAME else number(points) if points < -SAME else "0"


def _load(place: Path, assignment: str | None) -> Side:
    if place.is_dir() and not (place / FILE).is_file() and (place / "results").is_dir():
        grades = [_read(path) for path in sorted((place / "results").glob("*.json"))]
        return Side(str(place), _only(place, assignment, grades), tuple(grades))
    with Gradebook.open(gradebook.find(place)) as book:
        name = book.meant(assignment)
        return Side(str(place), name, tuple(book.latest(name)))


def _only(place: Path, assignment: str | None, grades: Sequence[Grade]) -> str:
    names = sorted({grade.assignment for grade in grades})
    if len(names) == 1 and assignment in (None, names[0]):
        return names[0]
    found = ", ".join(map(line, names)) or "none"
    raise InstructorError(f"{place} holds results of {found}: expected those of {assignment or 'one assignment'}.")


def _read(path: Path) -> Grade:
    """A file of `results/`, as far as it goes."""
    try:
        plain = json.loads(path.read_text("utf-8"))
        return Grade(
            submission=str(plain["submission"]),
            student=str(plain["student"]),
            assignment=str(plain["assignment"]),
            status=Outcome(plain["status"]),
            score=plain.get("late", plain).get("raw_score", plain["score"]),
            max_score=plain["max_score"],
            isolation=str(plain["isolation"]),
            device=str(plain["device"]),
            seconds=float(plain["seconds"]),
            checks=tuple(_read_checks(plain["checks"])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InstructorError(
            f"{path} is no result as `autograder grade` writes it ({type(error).__name__}: {error}). Give the folder "
            "that was named with --out, or its gradebook."
        ) from error


def _read_checks(plain: Iterable[dict[str, Any]]) -> Iterable[CheckResult]:
    for each in plain:
        points, most = float(each["points"]), float(each["max_points"])
        said = each.get("adjusted")
        adjusted = Adjusted(said["points_before"], str(said["reason"])) if said else None
        named = (str(each["name"]), str(each["title"]))
        yield CheckResult(*named, points, most, Status(each["status"]), adjusted=adjusted)
