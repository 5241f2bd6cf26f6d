"""The JSON of the AI-For-Beginners quiz page, and of its sister courses: questions with one right option each.

The page shows texts as they stand, so formulas keep their dollars. `isCorrect` must be true or false: a text, even
`"false"`, counts as true in the page, so that every answer passes. `explanation` is written and read as the sister
course on IoT has it; this page does not show it.
"""

import json
from collections.abc import Sequence
from typing import Any

from autograder.quiz.exchange import forms, limits, markup
from autograder.quiz.exchange.forms import Draft, Export, Found
from autograder.quiz.records import Item, Kind, Quiz

_SAID = {
    "en": ("You have answered all questions.", "Not right. Try again."),
    "he": ("ענית על כל השאלות.", "לא נכון. נסו שוב."),
}
_BOOLEANS = {"true": True, "false": False}


def write(drafts: Sequence[Draft]) -> Export:
    left_out: dict[str, str] = {}
    quizzes = []
    for number, draft in enumerate(drafts, 1):
        shown = []
        for item in draft.quiz.items:
            if item.kind is Kind.SINGLE:
                shown.append(_question(item))
            else:
                left_out[f"{draft.quiz.name}/{item.id}"] = "since the page knows questions with one right option only"
        quizzes.append({"id": number, "title": draft.quiz.title, "quiz": shown})
    first = drafts[0].quiz
    complete, error = _SAID.get(first.language, _SAID["en"])
    whole = [{"title": first.title, "complete": complete, "error": error, "quizzes": quizzes}]
    notes = ("the page asks three questions a quiz, for no points, and shuffles nothing",)
    return Export(json.dumps(whole, ensure_ascii=False, indent=2).encode() + b"\n", left_out, notes)


def read(data: bytes, name: str, language: str) -> Found:
    warnings: list[tuple[str, str, str, str]] = []
    quizzes = []
    for lesson in limits.Reader(limits.load_json(data, name), name).list():
        for entry in lesson.get("quizzes").list():
            quizzes.append(_quiz(entry, language, warnings))
    return Found(tuple(quizzes), tuple(warnings))


def _question(item: Item) -> dict[str, Any]:
    options: list[dict[str, Any]] = []
    for each in item.choices:
        option: dict[str, Any] = {"answerText": each.text, "isCorrect": each.right}
        options.append(option | ({"explanation": each.why} if each.why else {}))
    return {"questionText": item.text, "answerOptions": options}


def _quiz(entry: limits.Reader, language: str, warnings: list[tuple[str, str, str, str]]) -> Quiz:
    number = entry.get("id").value
    title = entry.get("title").text()
    name = forms.quiz_name(f"quiz {number}" if isinstance(number, int | str) else "", title)
    items = []
    for place, question in enumerate(entry.get("quiz").list(), 1):
        items.append(_item(question, (name, f"q{place}"), warnings))
    said = " ".join(item.text for item in items)
    return Quiz(name, title, language or markup.language(said) or "en", tuple(items))


def _item(question: limits.Reader, place: tuple[str, str], warnings: list[tuple[str, str, str, str]]) -> Item:
    choices = []
    for option in question.get("answerOptions").list():
        right = _strict(option.get("isCorrect"), place, warnings)
        choices.append(forms.choice(option.get("answerText").text(), right, option.get("explanation").text("")))
    kind = Kind.MULTIPLE if sum(each.right for each in choices) > 1 else Kind.SINGLE
    return Item(place[1], kind, question.get("questionText").text(), tuple(choices), "", "", shuffle=False)


def _strict(given: limits.Reader, place: tuple[str, str], warnings: list[tuple[str, str, str, str]]) -> bool:
    if isinstance(given.value, bool):
        return given.value
    meant = _BOOLEANS.get(given.value.strip().lower()) if isinstance(given.value, str) else None
    if meant is None:
        raise given.wrong("true or false, without quotation marks")
    warning = (
        *place,
        "strict-boolean",
        f'isCorrect is a text such as "{str(meant).lower()}", and any text counts as true, so every answer would pass. '
        "Taken as true or false here: put it right in the file, without quotation marks.",
    )
    if warning[:3] not in [each[:3] for each in warnings]:
        warnings.append(warning)
    return meant
