"""A quiz's results as pages: the class's, and each student's with her questions, her answers, and why."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from autograder import site
from autograder.quiz import feedback, marking, words
from autograder.quiz.press import Press
from autograder.quiz.records import Item, Kind, Sheet
from autograder.quiz.sheet import variable
from autograder.quiz.typesetting import html, inline
from autograder.quiz.words import Words
from autograder.records import CheckResult, Grade, Outcome
from autograder.text import file_names, write_whole


@dataclass(frozen=True, slots=True)
class Asked:
    """One question on a student's page, with what became of it. listed: choices by letter, in one list or two."""

    check: CheckResult
    number: int
    text: Markup
    lists: tuple[tuple[str, tuple[tuple[str, Markup], ...]], ...]
    answer: str
    says: Markup


def render(out: Path, at: Press, grades: Sequence[Grade], counting: Collection[str], told: Mapping[str, Grade]) -> None:
    """Write `index.html` and `pages/*.html`. told: what students see instead of their grades while nothing is told."""
    (out / "pages").mkdir(parents=True, exist_ok=True)
    names = file_names(grade.submission for grade in grades)
    page = site.templates().get_template("quiz_answers.html")
    for grade in grades:
        shown = told.get(grade.submission, grade)
        said = words.load(feedback.language(grade) or at.quiz.language)
        text = page.render(
            assignment=at.assignment,
            title=at.deck(said.language).quiz.title,
            grade=shown,
            said=said,
            language=said.language,
            direction=said.direction,
            asked=asked(at, grade, shown, said),
            refused=grade.status is Outcome.UNREADABLE,
        )
        write_whole(out / "pages" / f"{names[grade.submission]}.html", text)
    site.write_index(out, at.assignment, grades, counting)


def asked(at: Press, grade: Grade, shown: Grade, said: Words) -> tuple[Asked, ...]:
    """The questions of a graded sheet as they are told; none of a sheet that could not be graded."""
    sheet = at.sheet_of(grade)
    if sheet is None:
        return ()
    known = {check.name: (check, told) for check, told in zip(grade.checks, shown.checks, strict=True)}
    numbered = enumerate(sheet.quiz.items, 1)
    return tuple(_asked(sheet, n, *known[item.id], said) for n, item in numbered if item.id in known)


def _asked(sheet: Sheet, number: int, check: CheckResult, shown: CheckResult, said: Words) -> Asked:
    item = sheet.quiz.items[number - 1]
    try:
        plain = json.loads(check.detail or "{}")
    except ValueError:
        plain = {}
    answer = str(plain.get("answer", ""))
    if shown is check and check.feedback:
        mark = marking.mark(item, answer, sheet.shown.get(item.id, ()))
        says = html(feedback.compose(sheet, number, mark, not check.feedback.startswith(_missing(item, said))))
    else:
        says = html(shown.feedback)
    return Asked(shown, number, html(item.text), tuple(_lists(sheet, item, said)), answer, says)


def _missing(item: Item, said: Words) -> str:
    return feedback.plain(said("mark.missing", name=variable(item.id)))


def _lists(sheet: Sheet, item: Item, said: Words) -> list[tuple[str, tuple[tuple[str, Markup], ...]]]:
    if item.kind in (Kind.NUMERIC, Kind.SHORT):
        return []
    shown = sheet.shown.get(item.id) or tuple(range(len(item.choices)))
    if item.kind is Kind.MATCHING:
        left = [choice.text for choice in item.choices if choice.text]
        right = [item.choices[place].match for place in shown]
        numbered = tuple((str(n), inline(text)) for n, text in enumerate(left, 1))
        lettered = tuple((letter, inline(text)) for letter, text in zip(said.letters, right, strict=False))
        return [(said("sheet.left"), numbered), (said("sheet.right"), lettered)]
    texts = [item.choices[place].text for place in shown]
    head = said("sheet.steps") if item.kind is Kind.ORDERING else ""
    return [(head, tuple((letter, inline(text)) for letter, text in zip(said.letters, texts, strict=False)))]
