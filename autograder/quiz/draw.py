"""Draws sheets: from the course's secret, a student's own numbers and her own order of the choices, again and again."""

import hmac
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from types import ModuleType

from autograder import course
from autograder.errors import BrokenAssignment, BrokenBank
from autograder.quiz import bank
from autograder.quiz.records import Choice, Item, Kind, Quiz, Sheet

FILE = "draws.py"
SEEDS = "hmac-sha256 of quiz, student and attempt; Random of that and the item"
MOST = 100

Values = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Deck:
    """What the sheets of one quiz in one language are drawn from. source: the quiz in the bank's own language."""

    quiz: Quiz
    source: Quiz
    draws: ModuleType | None
    secret: bytes


def sheet(root: Path, quiz: Quiz, student: str, attempt: int) -> Sheet:
    """The student's sheet: the same at every call and in every language, and nothing like another's.

    Raises BrokenBank where the bank and its draws don't fit.
    """
    return deal(deck(root, quiz), student, attempt)


def deck(root: Path, quiz: Quiz) -> Deck:
    """All that is needed for many sheets."""
    source = quiz if quiz.language == bank.SOURCE else bank.load(root, quiz.name)
    return Deck(quiz, source, draws(root, quiz.name), course.secret(root))


def deal(deck: Deck, student: str, attempt: int) -> Sheet:
    """One student's sheet."""
    mine = seed(deck.secret, deck.quiz.name, student, attempt)
    filled = fill(deck.quiz, deck.draws, mine, deck.source)
    orders = {item.id: _order(item, mine) for item in filled.items}
    items = tuple(
        replace(item, choices=tuple(item.choices[place] for place in orders[item.id])) for item in filled.items
    )
    shown = {item.id: _letters(item, mine) for item in items if item.kind in (Kind.MATCHING, Kind.ORDERING)}
    return Sheet(replace(filled, items=items), student, attempt, shown, orders)


def seed(secret: bytes, name: str, student: str, attempt: int) -> int:
    """What all of a sheet follows from."""
    message = "\0".join(("quiz", name, student, str(attempt))).encode("utf-8", "surrogatepass")
    return int.from_bytes(hmac.digest(secret, message, "sha256")[:16], "big")


def draws(root: Path, name: str) -> ModuleType | None:
    """The functions beside a bank, as a module that stays out of `sys.modules`; None if there are none."""
    path = root / bank.FOLDER / name / FILE
    if not path.is_file():
        return None
    try:
        return course.load_source(f"{name}_draws", path.read_text("utf-8"), str(path))
    except BrokenAssignment as error:
        raise BrokenBank(str(error)) from error
    except (OSError, ValueError) as error:
        raise BrokenBank(f"{path} can't be read ({error}). Save it as UTF-8.") from error


def fill(quiz: Quiz, draws: ModuleType | None, seed: int, source: Quiz | None = None) -> Quiz:
    """The quiz with every `{{name}}` replaced, its choices in the bank's order.

    source: the quiz in the bank's own language, by which is told when to draw anew, so that all languages agree.
    """
    originals = (source or quiz).items
    pairs = zip(quiz.items, originals, strict=True)
    items = tuple(_filled(quiz, item, original, draws, seed) for item, original in pairs)
    return replace(quiz, items=items)


def options(item: Item) -> tuple[int, ...]:
    """Of a matching item the choices with the right sides to choose from, each side once, in the item's order."""
    first: dict[str, int] = {}
    for place, choice in enumerate(item.choices):
        first.setdefault(choice.match, place)
    return tuple(first.values())


def _filled(quiz: Quiz, item: Item, source: Item, draws: ModuleType | None, seed: int) -> Item:
    if not item.draw:
        return item
    where = f"{bank.FOLDER}/{quiz.name}/{quiz.language}.md, {item.id}"
    draw = getattr(draws, item.draw, None)
    if not callable(draw):
        found = f"no function {item.draw!r} in {FILE}" if draws is not None else f"no {FILE} beside it"
        raise BrokenBank(f"{where}: draw: found {found}, expected `def {item.draw}(rng)` there.")
    rng = Random(f"{seed}/{item.id}")
    for _ in range(MOST):
        values = _values(where, item.draw, draw, rng)
        if _apart(source, _with(source, values, where)):
            return _with(item, values, where)
    raise BrokenBank(
        f"{where}: {item.draw} was called {MOST} times, and two choices were alike each time. Let it draw "
        "from more, or let the choices say more."
    )


def _values(where: str, name: str, draw: Callable[[Random], object], rng: Random) -> Values:
    try:
        values = draw(rng)
    except Exception as error:
        raise BrokenBank(f"{where}: {name} in {FILE} raised {type(error).__name__}: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(value, str | int | float) for value in values.values()):
        raise BrokenBank(f"{where}: {name} gave {values!r:.80}, expected a dict of texts and numbers.")
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise BrokenBank(f"{where}: {name} gave {value} as {key!r}, expected a finite number.")
    return values


def _with(item: Item, values: Values, where: str) -> Item:
    def put(text: str) -> str:
        return bank.VALUE.sub(lambda found: _shown(found[1], (found[2] or ":")[1:], values, where), text)

    choices = tuple(
        replace(choice, text=put(choice.text), match=put(choice.match), why=put(choice.why)) for choice in item.choices
    )
    if item.kind is Kind.NUMERIC:
        choices = tuple(_number(choice, where) for choice in choices)
    return replace(item, text=put(item.text), why=put(item.why), choices=choices)


def _shown(name: str, form: str, values: Values, where: str) -> str:
    if name not in values:
        raise BrokenBank(f"{where}: found {{{{{name}}}}}, expected one of {', '.join(sorted(values))}.")
    try:
        return format(values[name], form)
    except ValueError as error:
        raise BrokenBank(f"{where}: {{{{{name}:{form}}}}} does not fit {values[name]!r} ({error}).") from error


def _number(choice: Choice, where: str) -> Choice:
    found = bank.split_tolerance(choice.text)
    if found is None or bank.number(found[0]) is None:
        raise BrokenBank(f"{where}: found {choice.text!r}, expected a number such as 659592 or 0.25 ± 0.005.")
    text, tolerance, relative = found
    if "±" not in choice.text:
        return choice
    return replace(choice, text=text, tolerance=tolerance, relative=relative)


def _apart(template: Item, item: Item) -> bool:
    """Whether what differs in the bank still does, and no foreseen wrong number would pass for the key."""
    for side in ("text", "match"):
        before = {getattr(choice, side) for choice in template.choices}
        if len({getattr(choice, side) for choice in item.choices}) < len(before):
            return False
    if item.kind is not Kind.NUMERIC:
        return True
    keys = [choice for choice in item.choices if choice.right]
    wrong = [bank.number(choice.text) or 0.0 for choice in item.choices if not choice.right]
    return not any(near(value, key) for value in wrong for key in keys)


def near(value: float, choice: Choice) -> bool:
    """Whether a number counts as this one."""
    centre = bank.number(choice.text)
    if centre is None:
        return False
    width = abs(centre) * choice.tolerance if choice.relative else choice.tolerance
    return abs(value - centre) <= width * (1 + 1e-9) + 1e-9 * abs(centre) + 1e-300


def _order(item: Item, seed: int) -> tuple[int, ...]:
    """Where the choices of a sheet stand in the bank. What is typed, and what is to be put in order, is not moved."""
    places = tuple(range(len(item.choices)))
    if item.kind is Kind.MATCHING:
        pairs = [place for place in places if item.choices[place].text]
        rest = [place for place in places if not item.choices[place].text]
        return (*_shuffled(pairs, f"{seed}/{item.id}/order"), *rest) if item.shuffle else (*pairs, *rest)
    if item.kind in bank.PICKED and item.shuffle:
        return _shuffled(places, f"{seed}/{item.id}/order")
    return places


def _letters(item: Item, seed: int) -> tuple[int, ...]:
    """What is behind each letter. Never the right order, where there is another."""
    places = options(item) if item.kind is Kind.MATCHING else tuple(range(len(item.choices)))
    found = _shuffled(places, f"{seed}/{item.id}/letters")
    return found if found != places or item.kind is Kind.MATCHING else (*places[1:], places[0])


def _shuffled(places: Sequence[int], seed: str) -> tuple[int, ...]:
    rng = Random(seed)
    return tuple(sorted(places, key=lambda _: rng.random()))
