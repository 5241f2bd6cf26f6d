"""Takes an order for an export, finds the class it is about, and has it written in the form that was asked for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder import course, gradebook, standing
from autograder.errors import InstructorError, OperatorError
from autograder.exports import canvas, gradescope, junit, moodle, nbgrader, plain
from autograder.exports.sheet import Filled
from autograder.gradebook import Gradebook
from autograder.quiz import catalog
from autograder.records import Grade, Outcome, Visibility
from autograder.standing import Standings
from autograder.text import file_names, line, write_whole

FILLED = ("canvas", "moodle")
FORMATS = ("gradescope", *FILLED, "csv", "junit", "json", "nbgrader")


@dataclass(frozen=True, slots=True)
class Order:
    """What `export` was asked for. out: a folder for gradescope, else a file; None for standard output.

    column: the heading in the template, where it is not the assignment's.  scale: points to the template's maximum.
    hidden: when Gradescope shows a student the results of hidden checks, where not as the assignment says.
    """

    format: str
    course: Path
    gradebook: Path | None = None
    assignment: str | None = None
    template: Path | None = None
    roster: Path | None = None
    out: Path | None = None
    column: str | None = None
    scale: bool = False
    hidden: Visibility | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of it. content: what was not written to a file.  missed: whether somebody's grade is not in it."""

    content: bytes
    notes: tuple[str, ...]
    missed: bool


def deliver(order: Order) -> Delivery:
    """Write the grades as ordered. Raises InstructorError and OperatorError; then nothing is written."""
    _refuse_what_does_not_fit(order)
    class_ = _class(order)
    if order.format == "gradescope":
        return _each_to_a_file(order, class_)
    if order.format in FILLED:
        filled = _filled(order, class_)
        return _delivered(order, filled.data, (*class_.notes, *filled.notes), filled.missed)
    pending = _pending(row.grade for row in class_.rows)
    notes = (*class_.notes, *pending)
    if order.format == "nbgrader" and order.out and order.out.suffix == nbgrader.DATABASE:
        nbgrader.write_database(class_, order.out)
        return Delivery(b"", notes, bool(pending))
    return _delivered(order, WRITERS[order.format](class_), notes, bool(pending))


WRITERS: dict[str, Callable[[Standings], bytes]] = {
    "csv": lambda class_: plain.table(class_).encode("utf-8-sig"),
    "json": lambda class_: plain.document(class_).encode(),
    "junit": junit.document,
    "nbgrader": lambda class_: nbgrader.table(class_).encode(),
}


def _refuse_what_does_not_fit(order: Order) -> None:
    if order.format in FILLED and order.template is None:
        whose = "gradebook export" if order.format == "canvas" else "grading worksheet"
        raise InstructorError(
            f"{order.format} takes its own file back: download your {whose} there and name it with --template."
        )
    if order.format not in FILLED and order.template is not None:
        raise InstructorError(f"--template is for {' and '.join(FILLED)}; {order.format} is written from nothing.")
    if order.format == "gradescope" and order.out is None:
        raise InstructorError("gradescope takes one file for each submission: name a folder for them with --out.")
    if order.out and order.template and order.out.exists() and order.out.samefile(order.template):
        raise InstructorError(f"--out is {order.template} itself, which is yours and is kept. Name another file.")


def _class(order: Order) -> Standings:
    home = course.find(order.course)
    with Gradebook.open(gradebook.find(order.gradebook)) as book:
        name = book.meant(order.assignment)
        grades, roll = book.latest(name), book.roll(name)
    known = standing.class_list(home, order.roster)
    return standing.standings(catalog.load(home, name), grades, roll.counts if roll else {}, known)


def _filled(order: Order, class_: Standings) -> Filled:
    template = order.template or Path()
    if order.format == "canvas":
        return canvas.fill(template, class_, order.column, order.scale)
    return moodle.fill(template, class_, order.scale)


def _each_to_a_file(order: Order, class_: Standings) -> Delivery:
    folder = order.out or Path()
    names = file_names(grade.submission for grade in class_.grades)
    hidden = order.hidden or class_.assignment.hidden_checks
    ready = [grade for grade in class_.grades if grade.score is not None]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for grade in ready:
            write_whole(folder / f"{names[grade.submission]}.json", gradescope.document(grade, hidden))
    except OSError as error:
        raise _can_not_be_written(folder, error) from error
    notes = _pending(class_.grades)
    return Delivery(b"", (*notes, f"{len(ready)} files written to {folder}."), bool(notes))


def _delivered(order: Order, content: bytes, notes: tuple[str, ...], missed: bool) -> Delivery:
    if order.out is None:
        return Delivery(content, notes, missed)
    try:
        order.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(order.out, content)
    except OSError as error:
        raise _can_not_be_written(order.out, error) from error
    return Delivery(b"", notes, missed)


def _pending(grades: Iterable[Grade]) -> tuple[str, ...]:
    waiting = [grade for grade in grades if grade.score is None or grade.status is Outcome.INTERNAL]
    return tuple(f"{line(grade.student, 80)} ({line(grade.submission, 80)}): is pending." for grade in waiting)


def _can_not_be_written(path: Path, error: OSError) -> OperatorError:
    return OperatorError(f"{path} can't be written ({error.strerror}). Give another place with --out.")
