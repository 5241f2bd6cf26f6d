"""Where a class stands: the grade of each student that counts, with her lateness settled, and who she is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from autograder import course, policy, roster
from autograder.records import Assignment, Extension, Grade, Outcome
from autograder.roster import Listed, Person, Roster
from autograder.text import line

UNSURE = "The class list has several people who may have handed this in, and one of them has more time."


@dataclass(frozen=True, slots=True)
class Standing:
    """One student and the grade she gets. person: all that submission, platform and class list know of her."""

    person: Person
    grade: Grade


@dataclass(frozen=True, slots=True)
class Standings:
    """A class as it stands in one assignment.

    rows: one for each student; work of a group has one for each member.  grades: of every submission, by id.
    absent: people of the class list of whom nothing was handed in.  notes: sentences on what could not be told.
    """

    assignment: Assignment
    rows: tuple[Standing, ...]
    grades: tuple[Grade, ...]
    absent: tuple[Person, ...] = ()
    notes: tuple[str, ...] = ()


def class_list(home: Path, given: Path | None = None) -> Roster:
    """The roster that is given, else the one beside the course's assignments, else an empty one."""
    path = given or home / "solutions" / roster.FILE
    return roster.read(path, course.gradable(home)) if given or path.is_file() else Roster()


def settled(assignment: Assignment, grades: Iterable[Grade], known: Roster) -> list[Grade]:
    """The grades with the cost of lateness taken off, by the assignment's policy and each student's own extension."""
    if assignment.policy is None:
        return list(grades)
    return [_settled(assignment, grade, known) for grade in grades]


def standings(assignment: Assignment, grades: Sequence[Grade], counts: Mapping[str, bool], known: Roster) -> Standings:
    """Where everybody stands. counts: of submissions that the last run covered, whether they count."""
    finals = settled(assignment, grades, known)
    rows: list[Standing] = []
    notes: list[str] = []
    present: set[Person] = set()
    for grade in _that_count(finals, counts):
        for person in roster.submitters(grade):
            found = known.find(person)
            present.update(row.person for row in found)
            if len(found) == 1:
                rows.append(Standing(roster.merged(person, found[0].person), grade))
                continue
            rows.append(Standing(person, grade))
            if known.rows:
                notes.append(_not_found(person, grade, found))
    absent = [row for row in known.rows if row.person not in present]
    waiting = [row for row in absent if row.extension(assignment.name) or _handed_in(row, assignment)]
    notes += [f"{line(row.person.shown)}: has an extension, and no submission is known to be hers." for row in waiting]
    return Standings(assignment, tuple(rows), tuple(finals), tuple(row.person for row in absent), tuple(notes))


def _settled(assignment: Assignment, grade: Grade, known: Roster) -> Grade:
    found = [known.find(person) for person in roster.submitters(grade)]
    unsure = [row for rows in found if len(rows) > 1 for row in rows]
    if any(row.extension(assignment.name) or _handed_in(row, assignment) for row in unsure):
        return policy.unsettled(grade, UNSURE)
    sure = [rows[0] for rows in found if len(rows) == 1]
    stamp = next(filter(None, (_handed_in(row, assignment) for row in sure)), "")
    dated = replace(grade, handed_in=stamp, clock="roster") if stamp else grade
    return policy.settle(assignment.policy, dated, _most_time(assignment, sure))


def _most_time(assignment: Assignment, rows: Iterable[Listed]) -> Extension | None:
    """Of a group's extensions the longest."""
    rules = assignment.policy
    given = [extension for row in rows if (extension := row.extension(assignment.name))]
    if rules is None:
        return None
    return max(given, key=lambda each: policy.deadline(rules, each).astimezone(UTC), default=None)


def _handed_in(row: Listed, assignment: Assignment) -> str:
    return row.handed_in.get(assignment.name, "")


def _that_count(grades: Iterable[Grade], counts: Mapping[str, bool]) -> list[Grade]:
    """One of each student: what the last run says, else the latest that can be read."""
    best: dict[str, Grade] = {}
    for grade in grades:
        if not counts.get(grade.submission, True):
            continue
        if grade.student not in best or _rank(grade, counts) > _rank(best[grade.student], counts):
            best[grade.student] = grade
    return list(best.values())


def _rank(grade: Grade, counts: Mapping[str, bool]) -> tuple[bool, bool, float, str]:
    at = policy.moment(grade.handed_in)
    readable = grade.status is not Outcome.UNREADABLE
    return (grade.submission in counts, readable, at.timestamp() if at else 0.0, grade.submission)


def _not_found(person: Person, grade: Grade, found: Sequence[Listed]) -> str:
    who = f"{line(person.shown, 80)} ({line(grade.submission, 80)})"
    if not found:
        return f"{who}: is not on the class list."
    return f"{who}: may be {' or '.join(line(row.person.shown, 80) for row in found)} on the class list."
