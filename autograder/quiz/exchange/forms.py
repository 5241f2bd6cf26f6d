"""What the six formats share: what a reader hands over, general remarks, ids, and what an export loses."""

import html as entities
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from autograder.quiz import bank
from autograder.quiz.exchange import markup
from autograder.quiz.records import Choice, Item, Kind, Quiz, Shown

PICKED = (Kind.SINGLE, Kind.MULTIPLE)
TYPED = (Kind.NUMERIC, Kind.SHORT)


@dataclass(frozen=True, slots=True)
class Draft:
    """A quiz as it is to be written. families: by the id of each drawn variant, the item that it was drawn from."""

    quiz: Quiz
    families: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Export:
    """A written file. left_out: by `quiz/item`, why the format can't hold it. notes: what else is not as it was."""

    data: bytes
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What a reader found. warnings: by quiz and item, the rule and what was put right on the way."""

    quizzes: tuple[Quiz, ...]
    warnings: tuple[tuple[str, str, str, str], ...] = ()


def choice(text: str, right: bool, why: str = "", **more: object) -> Choice:
    """A choice that earns what it earns by default."""
    return replace(Choice(text, right, why, credit=1.0 if right else 0.0), **more)  # type: ignore[arg-type]


def ids(proposed: Iterable[str]) -> list[str]:
    """An id for each item: kebab case, each once."""
    taken: set[str] = set()
    found = []
    for number, name in enumerate(proposed, 1):
        base = markup.slug(name) or f"q{number}"
        id_, suffix = base, 2
        while id_ in taken:
            id_, suffix = f"{base}-{suffix}", suffix + 1
        taken.add(id_)
        found.append(id_)
    return found


def quiz_name(text: str, fallback: str) -> str:
    """A folder's name: an identifier."""
    name = markup.slug(text).replace("-", "_") or markup.slug(fallback).replace("-", "_") or "quiz"
    return name if name[0].isalpha() else f"quiz_{name}"


def groups(draft: Draft) -> Iterator[tuple[str, list[Item]]]:
    """The items in order; the variants of one question together, under its id; others under an empty one."""
    group: list[Item] = []
    current = ""
    for item in draft.quiz.items:
        family = draft.families.get(item.id, "")
        if group and family != current:
            yield current, group
            group = []
        current = family
        group.append(item)
    if group:
        yield current, group


def asked(item: Item, language: str) -> str:
    """The question as HTML, with the unit that a number is wanted in."""
    text = markup.html(item.text, language)
    return f'{text} <span class="quiz-unit">({markup.html(item.unit)})</span>' if item.unit else text


def unasked(text: str) -> tuple[str, str]:
    """The question in Markdown, and the unit that it asks for."""
    root = markup.fragment(text)
    unit = _of_class(root, "quiz-unit")
    if unit is None:
        return markup.of(root), ""
    for node in markup.walk(root):
        node.children = [child for child in node.children if child is not unit]
    return markup.of(root), " ".join(markup.of(unit).split())[1:-1]


def remarks(item: Item, language: str) -> str:
    """What is said to everybody afterwards, as HTML: why, what each pair or step rests on, the objective, the source.

    Of a numeric or short item the why belongs to unknown answers, and is not here.
    """
    parts = []
    if item.why and item.kind not in TYPED:
        parts.append(f'<div class="quiz-why">{markup.html(item.why, language)}</div>')
    if item.kind in (Kind.MATCHING, Kind.ORDERING) and any(each.why for each in item.choices):
        whys = "".join(f"<li>{markup.html(each.why, language)}</li>" for each in item.choices)
        parts.append(f'<ol class="quiz-whys">{whys}</ol>')
    for name in ("objective", "source"):
        if said := getattr(item, name):
            parts.append(f'<div class="quiz-{name}">{markup.html(said, language)}</div>')
    return "".join(parts)


def remarked(item: Item, text: str) -> Item:
    """The item with what its general remarks say; foreign remarks are its why."""
    root = markup.fragment(text)
    known = {name: _of_class(root, f"quiz-{name}") for name in ("why", "whys", "objective", "source")}
    if not any(known.values()):
        why = markup.markdown(text)
        return replace(item, why=item.why or why)
    said = {name: markup.of(node) for name, node in known.items() if node is not None and name != "whys"}
    choices = item.choices
    if (listed := known["whys"]) is not None:
        whys = [markup.of(node) for node in listed.children if node.tag == "li"]
        if len(whys) == len(choices):
            choices = tuple(replace(each, why=why) for each, why in zip(choices, whys, strict=True))
    return replace(
        item,
        why=said.get("why", item.why),
        choices=choices,
        objective=" ".join(said.get("objective", "").split()),
        source=" ".join(said.get("source", "").split()),
    )


def value(each: Choice) -> float:
    """A numeric choice's value."""
    found = bank.number(each.text)
    return math.nan if found is None else found


def around(each: Choice) -> float:
    """A numeric choice's tolerance in the item's unit."""
    return abs(value(each)) * each.tolerance if each.relative else each.tolerance


def digits(number: float) -> str:
    """A number in plain decimals, without an exponent, that reads as the same number again."""
    plain = format(Decimal(repr(number)), "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def numeral(number: float) -> str:
    """A number as a bank writes it: with an exponent where that is shorter."""
    plain = digits(number)
    return plain if len(plain) <= 20 else repr(number)


def wrong_share(item: Item) -> float:
    """What a wrong choice of a `multiple` item takes, as a share of the points."""
    return -1 / max(1, sum(each.right for each in item.choices))


def own(item: Item, each: Choice) -> float:
    """The share of the points that a choice earns or, of a `multiple` item, takes."""
    if each.credit != (1.0 if each.right else 0.0):
        return each.credit
    if item.kind is Kind.MULTIPLE:
        return -wrong_share(item) if each.right else wrong_share(item)
    return each.credit


def by_shares(texts: list[tuple[str, float, str]], multiple: bool) -> tuple[Choice, ...]:
    """Choices from texts, shares of the points and explanations, as other systems give them."""
    most = max((share for _, share, _ in texts), default=0.0)
    rights = [share > 0 and math.isclose(share, most, rel_tol=1e-3) for _, share, _ in texts]
    full = 1 / max(1, sum(rights)) if multiple else 1.0
    usual = math.isclose(most, full, rel_tol=1e-3)
    if multiple and not usual:
        rights = [share > 0 for _, share, _ in texts]
    found = []
    for (text, share, why), right in zip(texts, rights, strict=True):
        expected = full if right else -full if multiple else 0.0
        plain = math.isclose(share, expected, abs_tol=1e-4) or (multiple and not right and share <= 0)
        credit = (1.0 if right else 0.0) if plain else min(1.0, max(0.0, share))
        found.append(Choice(text, right, why, credit=credit))
    return tuple(found)


def losses(drafts: Iterable[Draft], found: Found, export: Export) -> tuple[str, ...]:
    """What the file does not hold, from reading it back: each thing once, with the items that it concerns."""
    read = {_key(quiz): quiz for quiz in found.quizzes}
    unnamed = list(found.quizzes)
    lost: dict[str, list[str]] = {}
    drafts = list(drafts)
    for place, draft in enumerate(drafts):
        back = read.get(_key(draft.quiz)) or (unnamed[place] if len(unnamed) == len(drafts) else None)
        for what, id_ in _differences(draft.quiz, back, export):
            where = draft.families.get(id_, id_)
            lost.setdefault(what, []).append(where if len(drafts) == 1 else f"{draft.quiz.name}/{where}")
    return (*(f"{what}: {', '.join(dict.fromkeys(where))}" for what, where in lost.items()), *export.notes)


def _differences(mine: Quiz, back: Quiz | None, export: Export) -> Iterator[tuple[str, str]]:
    theirs = list(back.items) if back else []
    kept = [item for item in mine.items if f"{mine.name}/{item.id}" not in export.left_out]
    for item in mine.items:
        if reason := export.left_out.get(f"{mine.name}/{item.id}"):
            yield f"left out, {reason}", item.id
    if len(theirs) != len(kept):
        yield "not found again in the file", ", ".join(item.id for item in kept)
        return
    if back is not None:
        yield from _of_the_quiz(mine, back)
    by_id = {item.id: item for item in theirs}
    for item, other in zip(kept, theirs, strict=True):
        yield from _of_an_item(item, by_id.get(item.id, other))


def _of_the_quiz(mine: Quiz, back: Quiz) -> Iterator[tuple[str, str]]:
    plain = Quiz("", "", "", ())
    for name in ("name", "title", "language", "assignment", "attempts", "minutes", "due"):
        if getattr(mine, name) != getattr(back, name) and getattr(mine, name) != getattr(plain, name):
            yield f"the quiz's {name}", str(getattr(mine, name))
    if mine.shown is not back.shown and mine.shown is not Shown.SUBMITTED:
        yield "when answers are shown", str(mine.shown)


def _of_an_item(mine: Item, back: Item) -> Iterator[tuple[str, str]]:
    if mine.id != back.id:
        yield "the item's id", mine.id
    if mine.kind is not back.kind:
        yield f"that the item is {mine.kind} (it is {back.kind} in the file)", mine.id
    for name, said in _TEXTS.items():
        if not markup.same(getattr(mine, name), getattr(back, name)):
            yield said, mine.id
    if not math.isclose(mine.points, back.points, rel_tol=1e-6):
        yield "the points", mine.id
    if mine.unit != back.unit:
        yield "the unit", mine.id
    if mine.shuffle != back.shuffle:
        yield "whether the choices are shuffled", mine.id
    if len(mine.choices) != len(back.choices):
        yield "some of the answers that the bank knows", mine.id
        return
    for one, other in zip(mine.choices, back.choices, strict=True):
        for what in _of_a_choice(mine.kind, one, other):
            yield what, mine.id


_TEXTS = {
    "text": "the question's exact wording",
    "why": "what is said to whoever gives an unknown answer, or none",
    "objective": "the objective",
    "source": "the source",
}


def _of_a_choice(kind: Kind, one: Choice, other: Choice) -> Iterator[str]:
    if kind is Kind.NUMERIC:
        if not math.isclose(value(one), value(other), rel_tol=1e-9, abs_tol=1e-12):
            yield "a numeric value"
        elif not math.isclose(around(one), around(other), rel_tol=1e-6, abs_tol=1e-12):
            yield "a tolerance"
        elif one.relative != other.relative:
            yield "that a tolerance is a share of the value (it is the same amount in the file)"
    elif not (markup.same(one.text, other.text) and markup.same(one.match, other.match)):
        yield "a choice's exact wording"
    if one.right != other.right:
        yield "which choices are right"
    if not markup.same(one.why, other.why):
        yield "the explanations of choices"
    if not math.isclose(one.credit, other.credit, abs_tol=1e-4):
        yield "the credit of choices"
    if one.mistake != other.mistake:
        yield "the mistake that a choice reveals"


def _of_class(root: markup.Node, name: str) -> markup.Node | None:
    return next((node for node in markup.walk(root) if node.has_class(name)), None)


def _key(quiz: Quiz) -> tuple[str, str]:
    return quiz.name, quiz.language


def escaped(text: str) -> str:
    return entities.escape(markup.legal(text), quote=True)
