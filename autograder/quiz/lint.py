"""What is wrong with a bank before a student meets it: each rule a function, each finding what to do about it."""

import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from autograder.errors import InstructorError
from autograder.quiz import bank, draw, encoding, formulas, pictures
from autograder.quiz.records import Choice, Item, Kind, Quiz
from autograder.text import line

SEEDS = 1_000
_ENDING = re.compile(r"[.!?。؟]$")
_ALL_OF_THEM = re.compile(
    r"\b(all|none|both|neither|any) of (the )?(above|these|them|below|previous)\b|^(all|both|neither) (answers|choices)"
    r"|\b[ab] (and|or|nor) [bcd]\b|\b(alle|keine) (der|dieser) (genannten|obigen|antworten)|todas las anteriores"
    r"|ninguna de las anteriores|כל התשובות|כל האפשרויות|אף תשובה|אף אחת מה|תשובות [א-ד]",
    re.IGNORECASE,
)
_HEDGES = re.compile(
    r"\b(usually|typically|generally|often|sometimes|mostly|tends? to|may|might|in most cases|normalerweise|meistens"
    r"|oft|generalmente|normalmente|a menudo)\b|בדרך כלל|לרוב|לעיתים|לפעמים|עשוי|עלול",
    re.IGNORECASE,
)
_ABSOLUTES = re.compile(
    r"\b(always|never|only|must|immer|niemals|nie|nur|siempre|nunca|solo)\b|תמיד|אף פעם|לעולם|(?<!\w)רק(?!\w)|חייב",
    re.IGNORECASE,
)
_LEFTOVER = re.compile(r"\{\{\s*[A-Za-z_]\w*\s*(?::[^{}]*)?\}\}")
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_WORDS = re.compile(r"\\(?:text|mathrm|operatorname)\{[^{}]*\}")
_LONGER = 1.5
_LONGER_BY = 20
_CHANCE = 0.01
_POSITION_CHANCE = 0.02

_POSITIONS = re.compile(r"posi[tc]i|konum|pozis|ตำแหน่ง|מיקומ|מיקום|позици|位置|θέση", re.IGNORECASE)
_STEPS = re.compile(
    r"\bsteps?\b|\bpasos?\b|\bétapes?\b|\bpas\b|\bschritt|צעדים|מספר הצעדים|שלבים|adım|ขั้น|шаг|步", re.IGNORECASE
)
_YES = re.compile(
    r"^\W*(true|yes|correct|verdadero|cierto|sí|vrai|oui|wahr|richtig|ja|נכון|כן|верно|да|真|正确|对)\W*$", re.I
)
_ATTENTION = re.compile(r"attention|atenci|aufmerksamkeit|קשב|תשומת|вниман|注意", re.IGNORECASE)
_TRANSFORMER = re.compile(r"transformer|transformador|טרנספורמר|трансформ|变换器|变压器", re.IGNORECASE)
_TWO = re.compile(r"^\W*(2|two|twice|dos|zwei|deux|שתיים|שניים|שתי|שני|два|两|二)\b", re.IGNORECASE)
_THREE = re.compile(r"^\W*(3|three|thrice|tres|drei|trois|שלוש|שלושה|три|三)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. item: its id, empty if it is the whole quiz's. says: what was found and what to do."""

    quiz: str
    language: str
    item: str
    rule: str
    says: str


@dataclass(frozen=True, slots=True)
class Around:
    """What the rules look at besides the quiz. folder: where its pictures and draws are, None for an import.

    source: the quiz in the bank's own language, None if this is it.  mistakes: the ids that choices may name, None if
    they can't be known.
    """

    folder: Path | None = None
    source: Quiz | None = None
    mistakes: frozenset[str] | None = None
    draws: ModuleType | None = None
    imported: bool = False


Rule = Callable[[Quiz, Around], Iterator[tuple[str, str]]]


def lint(root: Path, names: Sequence[str] = ()) -> list[Finding]:
    """What is wrong with these quizzes of the course, or with all of them, in every language."""
    found: list[Finding] = []
    for name in names or bank.names(root):
        found += _of_one(root, name)
    return found


def imported(quiz: Quiz) -> list[Finding]:
    """What is wrong with a quiz that another system gave."""
    return check(quiz, Around(imported=True))


def check(quiz: Quiz, around: Around) -> list[Finding]:
    """What the rules find in one quiz in one language."""
    found = []
    for name, rule in RULES.items():
        found += [Finding(quiz.name, quiz.language, item, name, says) for item, says in rule(quiz, around)]
    return found


def text(findings: Sequence[Finding]) -> str:
    """The findings for a terminal, one a line."""
    lines = []
    for each in findings:
        place = "/".join(line(part) for part in (each.quiz, each.language, each.item) if part)
        lines.append(f"{place}: {line(each.says, 600)} [{each.rule}]")
    return "\n".join(lines)


def _of_one(root: Path, name: str) -> list[Finding]:
    folder = root / bank.FOLDER / name
    found: list[Finding] = []
    source: Quiz | None = None
    for language in bank.languages(root, name) or [bank.SOURCE]:
        try:
            written = encoding.read(folder / f"{language}.md")
            quiz = bank.parse(written, name, language, source)
            draws = draw.draws(root, name)
        except (InstructorError, OSError) as error:
            rule = "encoding" if isinstance(error, encoding.WronglyDecoded) else "readable"
            found.append(Finding(name, language, "", rule, str(error)))
            if language == bank.SOURCE:
                break
            continue
        found += check(quiz, Around(folder, source, _mistakes(root, quiz.assignment), draws))
        source = source or quiz
    return found


def _mistakes(root: Path, assignment: str) -> frozenset[str] | None:
    path = root / "solutions" / assignment / "assignment.toml"
    if not assignment:
        return frozenset()
    try:
        listed = tomllib.loads(path.read_text("utf-8")).get("mistakes", [])
        return frozenset(str(each["id"]) for each in listed)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keys(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    for item in quiz.items:
        rights = sum(choice.right for choice in item.choices)
        if not item.text.strip():
            yield item.id, "there is no question. Write one after an empty line."
        if item.kind is Kind.SINGLE and rights != 1:
            yield item.id, f"{rights} choices are right. Mark exactly one, or declare the item `multiple`."
        elif not rights:
            yield item.id, "no answer is right. Mark one with [x]."
        least = 2 if item.kind not in (Kind.NUMERIC, Kind.SHORT) else 1
        if len(item.choices) < least:
            yield item.id, f"there are {len(item.choices)} answers, expected at least {least}."
        if item.kind is Kind.MULTIPLE and rights == len(item.choices) > 1:
            yield item.id, "every choice is right, so whoever ticks all needs to know nothing. Add a wrong one."
        yield from ((item.id, says) for says in _credits(item))
        yield from ((item.id, says) for says in _twice(item))


def _credits(item: Item) -> Iterator[str]:
    for choice in item.choices:
        if not (math.isfinite(choice.credit) and 0 <= choice.credit <= 1):
            yield f"a choice has credit {choice.credit}, expected a share from 0 to 1."
        elif not choice.right and choice.credit == 1:
            yield f"{choice.text[:40]!r} is wrong and earns everything. Mark it right or give it less credit."
    if not (math.isfinite(item.points) and item.points > 0):
        yield f"it is worth {item.points} points, expected more than 0."


def _twice(item: Item) -> Iterator[str]:
    pairs = Counter((_folded(choice.text), _folded(choice.match)) for choice in item.choices)
    for (said, _), count in pairs.items():
        if count > 1:
            yield f"the answer {said[:40]!r} stands there {count} times. Keep one."


def _unique(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    for id_, count in Counter(item.id for item in quiz.items).items():
        if count > 1:
            yield id_, f"the id is used {count} times. Give each item its own."
    for one, other in pairwise(sorted(quiz.items, key=lambda item: item.text.strip())):
        if one.text.strip() == other.text.strip() and not one.draw and one.text.strip():
            same = {_folded(each.text) for each in one.choices} == {_folded(each.text) for each in other.choices}
            if same:
                yield other.id, f"it asks the same as {one.id}. Keep one of them."


def _explained(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    for item in quiz.items:
        silent = [choice for choice in item.choices if not choice.why.strip()]
        if silent:
            said = ", ".join(repr((choice.text or choice.match)[:30]) for choice in silent[:4])
            yield (
                item.id,
                f"{len(silent)} of {len(item.choices)} answers are not explained ({said}). Say why, below each.",
            )
        if item.kind in (Kind.NUMERIC, Kind.SHORT) and not item.why.strip():
            yield item.id, "nothing is said to whoever gives an answer that is not foreseen. Add a `> …` to the item."


def _grounded(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    for item in quiz.items:
        for key in ("objective", "source"):
            if not getattr(item, key).strip():
                yield item.id, f"it has no {key}. Add `{key}: …`."


def _known_mistakes(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    for item in quiz.items:
        for choice in item.choices:
            if choice.mistake and choice.right and item.kind not in (Kind.MULTIPLE, Kind.MATCHING, Kind.ORDERING):
                yield item.id, f"a right answer reveals the mistake {choice.mistake!r}. Move it to a wrong one."
            elif choice.mistake and around.mistakes is not None and choice.mistake not in around.mistakes:
                listed = ", ".join(sorted(around.mistakes)) or "none, as the quiz names no assignment"
                yield item.id, f"the mistake {choice.mistake!r} is not in the assignment's list ({listed})."
            elif choice.mistake and around.mistakes is None and not around.imported:
                yield (
                    item.id,
                    f"the list of {quiz.assignment!r} can't be read, so {choice.mistake!r} can't be looked up.",
                )


def _positions(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    """Whether one place of the key is more frequent than chance would have it, where the order is fixed."""
    places: list[tuple[int, int]] = []
    for item in quiz.items:
        rights = [place for place, choice in enumerate(item.choices) if choice.right]
        if item.kind is Kind.SINGLE and len(rights) == 1 and (around.imported or not item.shuffle):
            places.append((rights[0], len(item.choices)))
    for place in sorted({each for each, _ in places}):
        hits = sum(each == place for each, _ in places)
        chances = [1 / count for _, count in places if place < count]
        if len(chances) > 1 and _tail(chances, hits) * max(count for _, count in places) < _POSITION_CHANCE:
            yield (
                "",
                (
                    f"the right choice stands at place {place + 1} in {hits} of {len(places)} items whose order is "
                    "fixed. A guesser notices: move some, or let them be shuffled."
                ),
            )


def _length(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    """Whether the longest choice is the right one: by far in an item, or too often in the quiz."""
    longest: list[tuple[float, bool]] = []
    for item in _guessable(quiz):
        lengths = [len(formulas.without(choice.text)) for choice in item.choices]
        key = next(place for place, choice in enumerate(item.choices) if choice.right)
        others = [length for place, length in enumerate(lengths) if place != key]
        if lengths[key] > _LONGER * max(others) and lengths[key] - max(others) >= _LONGER_BY:
            yield (
                item.id,
                (
                    f"the right choice has {lengths[key]} characters, the next longest {max(others)}: the longest is "
                    "guessed first. Shorten it, or say more in the others."
                ),
            )
        if max(lengths) - min(lengths) > 3:
            longest.append((1 / len(lengths), lengths[key] > max(others)))
    hits = sum(hit for _, hit in longest)
    if len(longest) >= 5 and _tail([chance for chance, _ in longest], hits) < _CHANCE:
        yield (
            "",
            (
                f"the right choice is the longest in {hits} of {len(longest)} items, which pays for guessers. "
                "Shorten some of them, or say more in wrong ones."
            ),
        )


def _form(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    """Whether the right choice is the only one of its form, or all but it are of another."""
    signs: dict[str, Callable[[str], bool]] = {
        "has a formula": lambda said: bool(formulas.found(said)),
        "has code": lambda said: "`" in said,
        "ends like a sentence": lambda said: bool(_ENDING.search(said.strip())),
        "hedges": lambda said: bool(_HEDGES.search(said)),
        "has an example or a remark in brackets": lambda said: bool(
            re.search(r"\(\w[^()]{3,}\)", formulas.without(said))
        ),
    }
    for item in _guessable(quiz):
        right = next(choice.text for choice in item.choices if choice.right)
        wrong = [choice.text for choice in item.choices if not choice.right]
        if len(wrong) < 2:
            continue
        for says, has in signs.items():
            if has(right) and not any(map(has, wrong)):
                yield item.id, f"the right choice is the only one that {says}. Give it the form of the others."
        if not _ABSOLUTES.search(right) and all(_ABSOLUTES.search(said) for said in wrong):
            yield item.id, "every wrong choice says always, never or only, and the right one doesn't. Say it otherwise."


def _all_of_them(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    for item in quiz.items:
        for choice in item.choices if item.kind in bank.PICKED else ():
            if _ALL_OF_THEM.search(choice.text):
                yield (
                    item.id,
                    f"{choice.text[:40]!r} speaks of other choices, which are shuffled. Ask for several instead.",
                )


def _guessable(quiz: Quiz) -> Iterator[Item]:
    for item in quiz.items:
        if item.kind is Kind.SINGLE and len(item.choices) > 1 and sum(choice.right for choice in item.choices) == 1:
            yield item


def _in_step(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    source = around.source
    if source is None:
        return
    mine, theirs = [item.id for item in quiz.items], [item.id for item in source.items]
    if mine != theirs:
        yield "", f"its items are {', '.join(mine)}; expected {', '.join(theirs)}, in this order."
        return
    for item, other in zip(quiz.items, source.items, strict=True):
        for says in _apart(item, other):
            yield item.id, f"{says} Put the translation in step with {source.language}."


def _apart(item: Item, other: Item) -> Iterator[str]:
    if item.kind is not other.kind:
        yield f"it is {item.kind}, in {bank.SOURCE} {other.kind}."
    if len(item.choices) != len(other.choices):
        yield f"it has {len(item.choices)} choices, in {bank.SOURCE} {len(other.choices)}."
        return
    if [choice.right for choice in item.choices] != [choice.right for choice in other.choices]:
        yield "other choices are right."
    if bool(item.why.strip()) != bool(other.why.strip()):
        yield "only one of the two says something to whoever gives another answer."
    texts = zip(_texts(item), _texts(other), strict=True)
    for (where, mine), (_, theirs) in texts:
        if _names(mine) != _names(theirs):
            yield f"{where} has {_listed(_names(mine))}, in {bank.SOURCE} {_listed(_names(theirs))}."
        elif apart := _shapes(mine) ^ _shapes(theirs):
            yield f"{where} differs in the formula {min(apart)[:60]!r}."


def _texts(item: Item) -> Iterator[tuple[str, str]]:
    yield "the question", item.text
    yield "the why", item.why
    for place, choice in enumerate(item.choices, 1):
        yield f"choice {place}", choice.text
        yield f"the right side of pair {place}", choice.match
        yield f"the explanation of choice {place}", choice.why


def _names(said: str) -> list[str]:
    return sorted(found[0] for found in bank.VALUE.finditer(said))


def _shapes(said: str) -> set[str]:
    """The formulas without words, which are translated, and with # for each number; not single numbers and letters."""
    wordless = (_WORDS.sub(r"\\text", each) for each in formulas.found(said))
    shapes = {_DIGITS.sub("#", re.sub(r"\\[,;:! ]|\s+", "", each)) for each in wordless}
    return {each for each in shapes if len(each.lstrip("-")) > 1}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _decoded(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    whole = [quiz.title]
    damaged = False
    if found := encoding.damage(quiz.title):
        damaged = True
        yield "", f"the title: {found}"
    for item in quiz.items:
        said = [item.text, item.why, item.objective, item.source]
        said += [part for choice in item.choices for part in (choice.text, choice.match, choice.why)]
        whole += said
        if found := next((each for each in map(encoding.damage, said) if each), ""):
            damaged = True
            yield item.id, found
    if not damaged and (found := encoding.damage("\n".join(whole))):
        yield "", found


def _pictures(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    for item in quiz.items:
        for _, said in _texts(item):
            yield from ((item.id, says) for says in pictures.problems(said, around.folder))


def _parametrised(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    for item in quiz.items:
        if not item.draw and any(_LEFTOVER.search(said) for _, said in _texts(item)):
            yield item.id, "there is a {{…}}, and no `draw: …` says what goes in."
        if not item.draw or around.imported:
            continue
        for says in _drawn(quiz, item, around):
            yield item.id, says


def _drawn(quiz: Quiz, item: Item, around: Around) -> Iterator[str]:
    """What a thousand draws of one item show."""
    function = getattr(around.draws, item.draw, None)
    if not callable(function):
        yield f"there is no function {item.draw!r} in {draw.FILE}. Write `def {item.draw}(rng)` there."
        return
    if not (function.__doc__ or "").strip() and around.source is None:
        yield f"{item.draw} does not say its formula and source. Give it a docstring."
    alone = replace(quiz, items=(item,))
    source = around.source and replace(
        around.source, items=tuple(each for each in around.source.items if each.id == item.id)
    )
    if source is not None and len(source.items) != 1:
        return
    seen: dict[tuple[str, ...], int] = {}
    for seed in range(SEEDS if around.source is None else SEEDS // 20):
        try:
            filled = draw.fill(alone, around.draws, seed, source).items[0]
        except InstructorError as error:
            yield str(error)
            return
        texts = tuple(said for _, said in _texts(filled))
        shown = (filled.text, *sorted(choice.text for choice in filled.choices))
        if says := _of_a_draw(filled, texts) or (
            f"seeds {seen[shown]} and {seed} draw the same" if shown in seen else ""
        ):
            yield f"{says} ({item.draw}, seed {seed}). Let it draw from more, or put it right."
            return
        seen[shown] = seed


def _of_a_draw(item: Item, texts: Iterable[str]) -> str:
    if any(_LEFTOVER.search(said) for said in texts):
        return "a {{…}} is left"
    if any(re.search(r"\b(nan|inf)\b", choice.text) for choice in item.choices):
        return "an answer is not a finite number"
    if item.kind is Kind.NUMERIC:
        if any(bank.number(choice.text) is None for choice in item.choices):
            return "an answer is not a finite number"
        return next((f"the wrong answer {each.text} counts as the key" for each in _too_near(item.choices)), "")
    counts = Counter((choice.text, choice.match) for choice in item.choices)
    return "two choices are the same" if max(counts.values(), default=1) > 1 else ""


def _too_near(choices: Sequence[Choice]) -> Iterator[Choice]:
    keys = [choice for choice in choices if choice.right]
    for choice in choices:
        if not choice.right and any(draw.near(bank.number(choice.text) or 0.0, key) for key in keys):
            yield choice


def _numbers(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    """Fixed numeric answers: numbers, tolerances that leave wrong ones wrong."""
    for item in quiz.items:
        if item.kind is not Kind.NUMERIC or item.draw:
            continue
        for choice in item.choices:
            if bank.number(choice.text) is None or not math.isfinite(choice.tolerance) or choice.tolerance < 0:
                yield item.id, f"{choice.text[:40]!r} is no number with a tolerance, such as 0.25 ± 0.005."
                break
        else:
            for near in _too_near(item.choices):
                yield item.id, f"the wrong answer {near.text} lies within the key's tolerance. Make that smaller."


def _contested(quiz: Quiz, around: Around) -> Iterator[tuple[str, str]]:
    """The two items of the lesson's own quizzes that are keyed wrong, known by what they say."""
    for item in quiz.items:
        rights = [choice.text for choice in item.choices if choice.right]
        if len(rights) != 1:
            continue
        claimed = _POSITIONS.search(item.text) and (_STEPS.search(item.text) and _YES.search(rights[0]))
        claimed = claimed or (_POSITIONS.search(item.text) and _STEPS.search(rights[0]))
        if claimed and not _ATTENTION.search(item.text):
            yield (
                item.id,
                (
                    "it is keyed wrong: a positional encoding gives each absolute position a vector of its own, from "
                    "sines and cosines or learnt. That distance is a number of steps holds for recurrent networks, "
                    "which pass what they know from one token to the next; the lesson says it of those. "
                    "Key it as false."
                ),
            )
        two = _ATTENTION.search(item.text) and _TRANSFORMER.search(item.text) and _TWO.search(rights[0].strip())
        if two and any(_THREE.search(choice.text.strip()) for choice in item.choices):
            yield (
                item.id,
                (
                    "it is keyed as two uses of attention; the paper has three: self-attention in the encoder, "
                    "masked self-attention in the decoder, and attention from the decoder to the encoder "
                    "(Vaswani et al. 2017, section 3.2.3). Key it as three."
                ),
            )


def _tail(chances: Sequence[float], hits: int) -> float:
    """How likely at least so many hits are, each with its own chance."""
    spread = [1.0]
    for chance in chances:
        spread = [
            (spread[count] * (1 - chance) if count < len(spread) else 0.0)
            + (spread[count - 1] * chance if count else 0.0)
            for count in range(len(spread) + 1)
        ]
    return sum(spread[hits:])


def _folded(said: str) -> str:
    return " ".join(said.split()).casefold()


RULES: dict[str, Rule] = {
    "key": _keys,
    "unique": _unique,
    "explained": _explained,
    "grounded": _grounded,
    "mistake": _known_mistakes,
    "positions": _positions,
    "length": _length,
    "form": _form,
    "all-of-the-above": _all_of_them,
    "numbers": _numbers,
    "translation": _in_step,
    "encoding": _decoded,
    "pictures": _pictures,
    "parametrised": _parametrised,
    "contested": _contested,
}
