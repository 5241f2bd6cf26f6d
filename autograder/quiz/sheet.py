"""Makes answer sheets: a notebook for each student, with her questions, empty cells for the answers, and no key."""

import json
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder import standing
from autograder.errors import InstructorError, OperatorError
from autograder.quiz import bank, draw, token, typesetting, words
from autograder.quiz.records import Item, Kind, Quiz, Sheet, Shown
from autograder.quiz.words import Words
from autograder.text import file_names, write_whole

SECONDS = "quiz_seconds"
ABOUT = {Shown.AT_ONCE: "sheet.at_once", Shown.SUBMITTED: "sheet.submitted", Shown.DUE: "sheet.at_due"}

_FENCED = re.compile(r"(?ms)^( {0,3})(`{3,}|~{3,}).*?^\1\2[`~]* *$")
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_NO_PARAGRAPH = re.compile(r" {0,3}(?:[-*+|] |\||#{1,6} |\d+[.)] |\ue000| {4}|> )")


@dataclass(frozen=True, slots=True)
class Order:
    """Which sheets are wanted. students: ids; roster: a class list whose students get one as well."""

    course: Path
    quiz: str
    out: Path
    students: tuple[str, ...] = ()
    roster: Path | None = None
    attempt: int = 1
    language: str = bank.SOURCE


def make(order: Order) -> list[Path]:
    """Write a notebook for each student. Raises InstructorError where nobody is named, or there is no such attempt."""
    quiz = bank.load(order.course, order.quiz, order.language)
    if quiz.attempts and order.attempt > quiz.attempts:
        raise InstructorError(f"{quiz.name} allows {quiz.attempts} attempts, and --attempt says {order.attempt}.")
    students = list(dict.fromkeys([*order.students, *(_of_roster(order) if order.roster else ())]))
    if not students:
        raise InstructorError("Nobody is named: give --roster with a class list, or --student for each student.")
    deck = draw.deck(order.course, quiz)
    written = []
    try:
        order.out.mkdir(parents=True, exist_ok=True)
        for student, name in file_names(students).items():
            path = order.out / f"{name}.ipynb"
            sheet = draw.deal(deck, student, order.attempt)
            write_whole(path, json.dumps(notebook(sheet, deck.secret), ensure_ascii=False, indent=1) + "\n")
            written.append(path)
    except OSError as error:
        raise OperatorError(f"nothing can be written to {order.out} ({error.strerror}). Give another --out.") from error
    return written


def notebook(sheet: Sheet, secret: bytes, timed: bool = False) -> dict[str, Any]:
    """A sheet as a notebook of format 4.5. What it holds of the key is nothing: not even the seed.

    timed: with a place for the seconds that it took.
    """
    quiz, said = sheet.quiz, words.load(sheet.quiz.language)
    line = token.make(sheet, secret)
    mine = f"# {said('sheet.token')}\n{token.VARIABLE} = {line!r}".replace("'", '"')
    if timed:
        mine += f"\n{SECONDS} = 0"
    cells = [_prose("about", _about(sheet, said), said), _code("sheet", mine, {"editable": False, "deletable": False})]
    for number, item in enumerate(quiz.items, 1):
        cells.append(_prose(f"{item.id[:50]}-q", question(sheet, number, said), said))
        cells.append(_code(f"{item.id[:50]}-a", f'{variable(item.id)} = ""  # {_hint(item)}'))
    return {
        "cells": cells,
        "metadata": {
            "autograder": {"quiz": quiz.name, "sheet": line},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def variable(id_: str) -> str:
    """The name that an item's answer is given: `sum_of_weights` for `sum-of-weights`."""
    name = id_.replace("-", "_")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return f"{name}_"
    return name if name[0].isalpha() else f"q_{name}"


def question(sheet: Sheet, number: int, said: Words) -> str:
    """One question with its choices, in Markdown."""
    item = sheet.quiz.items[number - 1]
    head = f"### {number} · {said.points(item.points)}"
    return "\n\n".join([head, item.text, *_choices(item, sheet, said)])


def _choices(item: Item, sheet: Sheet, said: Words) -> list[str]:
    if item.kind in (Kind.NUMERIC, Kind.SHORT):
        return [f"*{said.hint(item)}*"]
    shown = sheet.shown.get(item.id) or tuple(range(len(item.choices)))
    if item.kind is Kind.MATCHING:
        left = [choice.text for choice in item.choices if choice.text]
        right = [item.choices[place].match for place in shown]
        numbered = _listed([(str(number), text) for number, text in enumerate(left, 1)])
        lettered = _listed(list(zip(said.letters, right, strict=False)))
        return [said("sheet.left"), numbered, said("sheet.right"), lettered, f"*{said.hint(item)}*"]
    texts = [item.choices[place].text for place in shown]
    listed = _listed(list(zip(said.letters, texts, strict=False)))
    before = [said("sheet.steps")] if item.kind is Kind.ORDERING else []
    return [*before, listed, f"*{said.hint(item)}*"]


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    lines = []
    for letter, text in pairs:
        first, *others = text.split("\n")
        if text.lstrip().startswith(("```", "~~~")):
            first, others = "", text.split("\n")
        lines.append(f"- **{letter})** {first}".rstrip() + ("\n" if others and not first else ""))
        lines += [f"  {line}" if line else "" for line in others]
    return "\n".join(lines)


def _about(sheet: Sheet, said: Words) -> str:
    quiz = sheet.quiz
    points = f"{sum(item.points for item in quiz.items):g}"
    rules = [
        said("sheet.attempt", attempt=sheet.attempt, attempts=quiz.attempts)
        if quiz.attempts
        else said("sheet.attempt_free", attempt=sheet.attempt)
    ]
    if quiz.due is not None:
        rules.append(said("sheet.due", due=when(quiz)))
    rules.append(said(ABOUT[quiz.shown]))
    about = said("sheet.about", items=len(quiz.items), points=points, minutes=quiz.minutes)
    return "\n\n".join([f"# {quiz.title}", about, " ".join(rules), said("sheet.how")])


def when(quiz: Quiz) -> str:
    """The moment that a quiz closes, as people write it."""
    return f"{quiz.due:%Y-%m-%d %H:%M} (UTC{quiz.due:%z})" if quiz.due else ""


def _hint(item: Item) -> str:
    """In the code, English in every language: a line of code runs from left to right."""
    english = words.load(bank.SOURCE)
    return english("hint.numeric") if item.kind is Kind.NUMERIC else english.hint(item)


def _prose(id_: str, text: str, said: Words) -> dict[str, Any]:
    if said.direction == "rtl":
        text = _right_to_left(text, said.language)
    return {"cell_type": "markdown", "id": id_, "metadata": {}, "source": text}


def _right_to_left(text: str, language: str) -> str:
    """Markdown for text that runs from right to left, with code the other way; formulas are, wherever they are typeset.

    Jupyter sets every paragraph of Markdown flush left, so they stand in a `<div>` of their own.
    """
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        held.append(f'<div dir="ltr">\n\n{found[0]}\n\n</div>')
        return f"\n\n\ue000{len(held) - 1}\ue001\n\n"

    blocks = re.split(r"\n{2,}", _FENCED.sub(hold, text).strip())
    shown = "\n\n".join(_marked(block) if _NO_PARAGRAPH.match(block) else _paragraph(block) for block in blocks)
    whole = re.sub(r"\ue000(\d+)\ue001", lambda found: held[int(found[1])], shown)
    return f'<div dir="rtl" lang="{language}">\n\n{whole}\n\n</div>'


def _marked(block: str) -> str:
    return _CODE.sub(lambda found: f'<span dir="ltr">{found[0]}</span>', block)


def _paragraph(text: str) -> str:
    return f'<div style="margin: .6em 0">{typesetting.inline_with_tex(text)}</div>'


def _code(id_: str, text: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": id_,
        "metadata": metadata or {},
        "outputs": [],
        "source": text,
    }


def _of_roster(order: Order) -> list[str]:
    """What each student of the class list hands in under, or else the first id there is of her."""
    known = standing.class_list(order.course, order.roster)
    people = [row.person for row in known.rows]
    return [each.student or each.number or each.login or each.email or each.shown for each in people]
