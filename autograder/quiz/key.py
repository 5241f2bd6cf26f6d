"""A drawn quiz with its key, for the instructor: what a student gets, what is right, what is said of each answer."""

from collections.abc import Iterator
from pathlib import Path

from autograder.quiz import bank, draw, terminal, words
from autograder.quiz.feedback import around
from autograder.quiz.records import Choice, Item, Kind, Sheet
from autograder.quiz.words import Words


def show(root: Path, name: str, student: str, attempt: int, language: str) -> str:
    """One student's sheet with everything that the bank knows of it. Raises InstructorError."""
    sheet = draw.sheet(root, bank.load(root, name, language), student, attempt)
    said = words.load(language)
    quiz = sheet.quiz
    head = f"{quiz.title} · {name} · {language} · {student}, {attempt}\n{_about(sheet, said)}"
    return "\n\n".join([head, *("\n".join(_item(sheet, n, said)) for n in range(1, len(quiz.items) + 1))]) + "\n"


def _about(sheet: Sheet, said: Words) -> str:
    quiz = sheet.quiz
    points = f"{sum(item.points for item in quiz.items):g}"
    about = said("sheet.about", items=len(quiz.items), points=points, minutes=quiz.minutes)
    return f"{about} · {quiz.shown}" + (f" · {quiz.due.isoformat()}" if quiz.due else "")


def _item(sheet: Sheet, number: int, said: Words) -> Iterator[str]:
    item = sheet.quiz.items[number - 1]
    yield f"── {item.id} " + "─" * max(3, 90 - len(item.id))
    yield terminal.question(sheet, number, said)
    yield ""
    for letter, choice in _lettered(item, sheet, said):
        right = choice.right and bool(choice.text)
        yield f"  {'✓' if right else '✗'} {letter}{_value(item, choice, said)}"
        notes = [f"credit {choice.credit:g}"] if choice.credit not in (0.0, 1.0) else []
        notes += [f"mistake {choice.mistake}"] if choice.mistake else []
        if choice.why:
            yield "\n".join(f"      {line}" for line in terminal.plain(choice.why, said).split("\n"))
        if notes:
            yield f"      [{', '.join(notes)}]"
    if item.why:
        yield "\n".join(f"  › {line}" for line in terminal.plain(item.why, said).split("\n"))
    yield f"  ({'; '.join(filter(None, (item.objective, item.source, item.draw and f'{item.draw} in draws.py')))})"


def _lettered(item: Item, sheet: Sheet, said: Words) -> Iterator[tuple[str, Choice]]:
    """Each choice with what a student types for it, in the order of the key."""
    if item.kind in (Kind.NUMERIC, Kind.SHORT):
        yield from (("", choice) for choice in item.choices)
        return
    if item.kind in bank.PICKED:
        yield from ((f"{said.letters[place]}) ", choice) for place, choice in enumerate(item.choices))
        return
    shown = sheet.shown[item.id]
    behind = [item.choices[place].match or place for place in shown]
    for place, choice in enumerate(item.choices):
        letter = said.letters[behind.index(choice.match or place)]
        number = f"{place + 1}" if choice.match and choice.text else ""
        yield f"{number}{letter}) ", choice


def _value(item: Item, choice: Choice, said: Words) -> str:
    text = terminal.plain(choice.text, said)
    if item.kind is Kind.MATCHING:
        return f"{text} {said.arrow} {terminal.plain(choice.match, said)}"
    if item.kind is not Kind.NUMERIC:
        return text
    return f"{text}{around(choice)} {item.unit}".rstrip()
