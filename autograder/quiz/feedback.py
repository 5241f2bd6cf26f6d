"""What is said of an answer: right or not, why, and what would have been; and nothing of that before it may be."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from autograder.quiz import terminal, words
from autograder.quiz.marking import text_of
from autograder.quiz.records import Choice, Item, Kind, Mark, Quiz, Sheet, Trouble
from autograder.quiz.sheet import variable, when
from autograder.quiz.words import Words
from autograder.records import CheckResult, Grade, Status
from autograder.text import line, visible

ANSWER = 300
TITLE = 160


def compose(sheet: Sheet, number: int, mark: Mark, there: bool = True) -> str:
    """The paragraphs under an item, in Markdown. there: whether the sheet had a place for the answer."""
    item = sheet.quiz.items[number - 1]
    said = words.load(sheet.quiz.language)
    parts = [_verdict(item, mark, there, said), mark.feedback]
    if mark.points < item.points - 1e-9:
        parts.append(f"{said('mark.key')}: {key(sheet, item, said)}")
        parts += [item.choices[place].why for place in mark.missed if item.kind in _ONE_KEY]
    return "\n\n".join(dict.fromkeys(part for part in parts if part))


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Markdown as plain text, with no mark in it that can't be seen."""
    return terminal.plain(text, words.load("en"))


def later(quiz: Quiz) -> str:
    """What is said instead while nothing may be."""
    said = words.load(quiz.language)
    return said("mark.later", due=when(quiz)) if quiz.due else said("mark.later_undated")


def veiled(grade: Grade, quiz: Quiz) -> Grade:
    """The grade as a student may see it while nothing is told: which questions were answered, and no score."""
    said = words.load(language(grade) or quiz.language)
    checks = tuple(_veiled(check, said, later(replace(quiz, language=said.language))) for check in grade.checks)
    if not kept(grade):
        return replace(grade, checks=tuple(replace(check, feedback="") for check in grade.checks))
    return replace(grade, score=None, checks=checks, detail="", late=None)


def key(sheet: Sheet, item: Item, said: Words) -> str:
    """The right answer as a student would give it, in Markdown."""
    if item.kind in (Kind.NUMERIC, Kind.SHORT):
        choice = next(choice for choice in item.choices if choice.right)
        if item.kind is Kind.SHORT:
            return choice.text
        return f"${choice.text}{around(choice, 'TeX')}$ {item.unit}".strip()
    shown = sheet.shown.get(item.id) or tuple(range(len(item.choices)))
    if item.kind is Kind.MATCHING:
        sides = [item.choices[place].match for place in shown]
        left = [choice for choice in item.choices if choice.text]
        return ", ".join(f"{n}{said.letters[sides.index(each.match)]}" for n, each in enumerate(left, 1))
    if item.kind is Kind.ORDERING:
        return " ".join(said.letters[shown.index(place)] for place in range(len(item.choices)))
    keys = [(place, choice) for place, choice in enumerate(item.choices) if choice.right]
    if len(keys) > 1:
        return ", ".join(said.letters[place] for place, _ in keys)
    return "; ".join(f"{said.letters[place]}) {choice.text}" for place, choice in keys)


def around(choice: Choice, kind: str = "") -> str:
    """How far off an answer may be, as text or TeX; empty where it may not be at all."""
    if not choice.tolerance:
        return ""
    sign, percent = (" \\pm ", "\\%") if kind == "TeX" else (" ± ", "%")
    return f"{sign}{choice.tolerance * 100:g}{percent}" if choice.relative else f"{sign}{choice.tolerance:g}"


def title(sheet: Sheet, number: int) -> str:
    """A question on one line. Where numbers are drawn, what it is about instead: those are one student's."""
    item = sheet.quiz.items[number - 1]
    text = item.objective if item.draw and item.objective else item.text.split("\n\n")[0]
    return f"{number}. {line(plain(text), TITLE)}"


def shown_answer(answer: object) -> str:
    """What a student wrote, to be kept and read by people; never too much of it."""
    text = text_of(answer)
    return visible(text if text is not None else str(type(answer).__name__), ANSWER)


def in_the_bank(sheet: Sheet, item: Item, places: Sequence[int]) -> list[int]:
    """What was chosen, as places in the bank; of a matching item for each left side in the bank's order."""
    origin = sheet.origin.get(item.id) or tuple(range(len(item.choices)))
    found = [origin[place] if place >= 0 else -1 for place in places]
    if item.kind is not Kind.MATCHING:
        return found
    left = [origin[place] for place, choice in enumerate(item.choices) if choice.text]
    return [each for _, each in sorted(zip(left, found, strict=False))]


def kept(grade: Grade) -> dict[str, object]:
    """What a grade keeps of its sheet; empty where it is of none."""
    try:
        plain = json.loads(grade.detail) if grade.detail else {}
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) else {}


def language(grade: Grade) -> str:
    """The language of the sheet that was graded, if known."""
    sheet = kept(grade).get("sheet")
    return str(sheet.get("language", "")) if isinstance(sheet, dict) else ""


_ONE_KEY = (Kind.SINGLE, Kind.NUMERIC, Kind.SHORT)


def _verdict(item: Item, mark: Mark, there: bool, said: Words) -> str:
    if not there:
        return said("mark.missing", name=variable(item.id))
    if mark.trouble is Trouble.BLANK:
        return said("mark.blank")
    if mark.trouble is Trouble.UNREAD:
        return said("mark.unread", hint=said.hint(item))
    if mark.points >= item.points - 1e-9:
        return said("mark.right")
    return said("mark.partly") if mark.points > 0 else said("mark.wrong")


def _veiled(check: CheckResult, said: Words, instead: str) -> CheckResult:
    try:
        blank = json.loads(check.detail or "{}").get("trouble") == Trouble.BLANK
    except ValueError:
        blank = False
    answered = said("mark.blank") if blank else said("mark.answered")
    return replace(
        check,
        points=0.0,
        status=Status.WAITING,
        feedback=f"{answered} {instead}",
        misconception=None,
        detail="",
    )
