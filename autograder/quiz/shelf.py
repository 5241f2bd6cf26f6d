"""Puts banks that came from elsewhere beside those of the course, and hands those of the course on."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.errors import InstructorError, OperatorError
from autograder.quiz import bank, draw, exchange
from autograder.quiz.records import Quiz
from autograder.text import line, write_whole


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `export` was asked for. names: the quizzes.  count: of variants of each drawn item.  out: file or folder."""

    course: Path
    format: str
    names: tuple[str, ...]
    out: Path
    language: str = bank.SOURCE
    count: int = 10
    seed: int = 0


def put(root: Path, quizzes: tuple[Quiz, ...], name: str = "") -> list[Path]:
    """Write each quiz as a bank of the course. name: for a single one, instead of its own.

    A quiz that is not in English, and has no English bank yet, stands alone there until it gets one. Raises
    InstructorError where a bank is there already; then nothing is written.
    """
    if name and len({quiz.name for quiz in quizzes}) > 1:
        found = ", ".join(line(quiz.name) for quiz in quizzes)
        raise InstructorError(f"The file holds several quizzes ({found}): leave out --name.")
    texts = {}
    for quiz in quizzes:
        called = _identifier(name or quiz.name)
        path = root / bank.FOLDER / called / f"{quiz.language or bank.SOURCE}.md"
        if path.exists() or path in texts:
            raise InstructorError(f"{path} exists. Move it away first, or give another --name.")
        texts[path] = bank.write(replace(quiz, name=called))
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
    except OSError as error:
        raise OperatorError(f"{root / bank.FOLDER} can't be written ({error.strerror}).") from error
    return list(texts)


def send(wanted: Wanted) -> exchange.Written:
    """Write quizzes of the course in another system's format."""
    quizzes = [bank.load(wanted.course, name, wanted.language) for name in wanted.names]
    modules = {quiz.name: draw.draws(wanted.course, quiz.name) for quiz in quizzes}
    sources = {quiz.name: bank.load(wanted.course, quiz.name) for quiz in quizzes}
    variants = exchange.Variants(modules, wanted.count, wanted.seed, sources)
    return exchange.write(wanted.format, quizzes, wanted.out, variants)


def _identifier(name: str) -> str:
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()[:60]
    return plain if plain[:1].isalpha() else f"quiz_{plain}".rstrip("_")
