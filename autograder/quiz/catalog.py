"""Finds what a name means, an assignment or a quiz, for all who work with grades of either."""

import hashlib
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path

from autograder import course
from autograder.errors import InstructorError
from autograder.quiz import bank, draw
from autograder.quiz.records import Quiz
from autograder.records import Assignment, Grade, Limits, Mistake, Policy


def load(root: Path, name: str) -> Assignment:
    """The assignment or quiz of that name. Raises InstructorError, with the names there are."""
    if name not in course.quizzes(root):
        return course.load(root, name)
    if name in course.names(root):
        raise InstructorError(f"{name} is both an assignment and a quiz of this course: rename one of the folders.")
    return assignment(root, bank.load(root, name))


def is_quiz(assignment: Assignment) -> bool:
    """Whether it was made of a quiz."""
    return assignment.folder.parent.name == bank.FOLDER


def write(out: Path, assignment: Assignment, grades: Sequence[Grade], counting: Collection[str]) -> None:
    """The report of a class, in the form that an assignment's or a quiz's has."""
    if is_quiz(assignment):
        from autograder.quiz import grading

        grading.write(out, assignment, grades, counting)
        return
    from autograder import batch

    batch.write(out, assignment, grades, counting)


def assignment(root: Path, quiz: Quiz) -> Assignment:
    """A quiz in the form in which grades and reports know assignments. After `due` nothing is accepted."""
    return Assignment(
        name=quiz.name,
        title=quiz.title,
        folder=root / bank.FOLDER / quiz.name,
        points=sum(item.points for item in quiz.items),
        minutes=quiz.minutes,
        difficulty="",
        names=(),
        forbidden=(),
        operators=(),
        limits=Limits(),
        mistakes=_mistakes(root, quiz),
        version=version(root, quiz.name),
        policy=Policy(quiz.due, closes=quiz.due) if quiz.due else None,
    )


def version(root: Path, name: str) -> str:
    """Tells one state of a quiz from another: all its languages, its draws, and how sheets are drawn."""
    digest = hashlib.sha256(draw.SEEDS.encode())
    folder = root / bank.FOLDER / name
    for path in sorted([*folder.glob("*.md"), *folder.glob(draw.FILE)]):
        data = path.read_bytes()
        digest.update(b"%d:%s:%d:" % (len(path.name), path.name.encode(), len(data)) + data)
    return digest.hexdigest()[:16]


def _mistakes(root: Path, quiz: Quiz) -> tuple[Mistake, ...]:
    """The known mistakes of the assignment that the quiz belongs to: their ids and sentences alone."""
    path = root / "solutions" / quiz.assignment / "assignment.toml"
    if not quiz.assignment or not path.is_file():
        return ()
    try:
        plain = tomllib.loads(path.read_text("utf-8"))
        return tuple(Mistake(str(each["id"]), str(each["says"]), (), ()) for each in plain.get("mistakes", ()))
    except (ValueError, KeyError, TypeError):
        return ()
