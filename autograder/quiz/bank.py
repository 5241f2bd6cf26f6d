"""Reads and writes banks: one Markdown file per quiz and language, in which every choice is explained.

`parse` reads whatever has the form of a bank; `load` also refuses what can't be graded. `parse(write(quiz))` is the
quiz again, its texts stripped; a line that would be taken for the bank's own is written with a backslash before it.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from autograder import course
from autograder.errors import BrokenBank, InstructorError
from autograder.quiz.records import Choice, Item, Kind, Quiz, Shown

SOURCE = "en"
FOLDER = "quizzes"
KEYS = ("kind", "points", "objective", "source", "order", "unit", "draw")
FACTS = ("title", "assignment", "shown", "attempts", "minutes", "due")
PICKED = (Kind.SINGLE, Kind.MULTIPLE)
NUMBER = re.compile(r"[+\-−]?(\d+(\.\d*)?|\.\d+)([eE][+\-−]?\d{1,3})?")
VALUE = re.compile(r"\{\{([A-Za-z_]\w*)(:[^{}]*)?\}\}")

_KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_KEY = re.compile(r"([a-z][\w-]*):(?: (.*)|)$")
_CHOICE = re.compile(r"- \[([xX ])\](?: (.*)|)$")
_ALMOST = re.compile(r"[-*+] ?\[[^\]]?\](?!\()")
_STEP = re.compile(r"\d{1,3}\. (.*)$")
_SAID = re.compile(r"(mistake|credit): *(.*)$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ACTS = re.compile(r"(\\*)(?= {0,3}(?:# |#$|>|[-*+] ?\[|\d{1,3}\. |\+\+\+|(?:mistake|credit):|`{3}|~{3}))")
_ARROW = re.compile(r"(?:^|(?<= ))(\\*)->(?= |$)")


def names(root: Path) -> list[str]:
    """The quizzes of a course, sorted."""
    return course.quizzes(root)


def languages(root: Path, name: str) -> list[str]:
    """The languages that a quiz exists in: the source first, the others sorted."""
    found = {path.stem for path in (root / FOLDER / name).glob("*.md") if _LANGUAGE.fullmatch(path.stem)}
    return [SOURCE, *sorted(found - {SOURCE})] if SOURCE in found else sorted(found)


def load(root: Path, name: str, language: str = SOURCE) -> Quiz:
    """Read a quiz in one language. Raises InstructorError if there is none, BrokenBank if it can't be graded."""
    if not name.isidentifier() or name not in names(root):
        known = ", ".join(names(root)) or "none yet"
        raise InstructorError(f"There is no quiz {name!r} under {root / FOLDER}. Found there: {known}.")
    if language not in languages(root, name):
        raise InstructorError(
            f"{name} is not there in {language!r}. Found: {', '.join(languages(root, name))}. Another language is one "
            f"more file, {FOLDER}/{name}/{language}.md."
        )
    source = check(parse(read(root, name, SOURCE), name, SOURCE))
    return source if language == SOURCE else check(parse(read(root, name, language), name, language, source))


def read(root: Path, name: str, language: str) -> str:
    """The text of a bank. Raises BrokenBank where it is not UTF-8."""
    path = root / FOLDER / name / f"{language}.md"
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InstructorError(f"{path} can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise BrokenBank(
            f"{_place(name, language, number)}: found bytes that are not UTF-8. Save it as UTF-8."
        ) from error


def parse(text: str, name: str, language: str, source: Quiz | None = None) -> Quiz:
    """A bank as its author wrote it. source: the quiz that it translates, which gives what a translation leaves out.

    Raises BrokenBank with file and line at the first thing that has not the form of a bank, or is out of step with
    `source`.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    facts, start = _front_matter(lines, name, language)
    kinds = {item.id: str(item.kind) for item in source.items} if source is not None else {}
    drafts = list(_drafts(lines, start, (name, language), kinds))
    seen: dict[str, _Draft] = {}
    for draft in drafts:
        if draft.id in seen:
            raise draft.wrong(f"found the id {draft.id!r} a second time, expected each once")
        seen[draft.id] = draft
    whole = _quiz(facts, name, language, source)
    if source is None:
        return replace(whole, items=tuple(_item(draft, None) for draft in drafts))
    _refuse_other_ids([draft.id for draft in drafts], [item.id for item in source.items], name, language)
    pairs = zip(drafts, source.items, strict=True)
    return replace(whole, items=tuple(_item(draft, item) for draft, item in pairs))


def places(text: str) -> dict[str, int]:
    """The line of each item's heading, counted from 1, by id."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    _, start = _front_matter(lines, "", SOURCE)
    return {draft.id: draft.line for draft in _drafts(lines, start, ("", SOURCE), {})}


def check(quiz: Quiz) -> Quiz:
    """The quiz itself. Raises BrokenBank, naming the item, where its answers could not be marked."""
    for item in quiz.items:
        if problem := _not_gradable(item):
            raise BrokenBank(f"{FOLDER}/{quiz.name}/{quiz.language}.md, {item.id}: {problem}.")
    if not quiz.items:
        raise BrokenBank(
            f"{FOLDER}/{quiz.name}/{quiz.language}.md: found no item, expected headings such as `# my-id`."
        )
    return quiz


def write(quiz: Quiz) -> str:
    """The quiz as a bank. Raises BrokenBank for what a bank can't hold: ids that are none, keys of several lines."""
    facts: dict[str, Any] = {"title": quiz.title}
    if quiz.assignment:
        facts["assignment"] = quiz.assignment
    facts |= {"shown": str(quiz.shown), "attempts": quiz.attempts, "minutes": quiz.minutes}
    front = [f"{key} = {_toml(value)}" for key, value in facts.items()]
    if quiz.due is not None:
        front.append(f"due = {quiz.due.isoformat()}")
    return "\n".join(["+++", *front, "+++", "", *(line for item in quiz.items for line in _written(item))])


def number(text: str) -> float | None:
    """A plain number as banks write them, or None."""
    plain = text.strip().replace("−", "-").replace(",", "").replace("_", "")
    if len(plain) > 60 or not NUMBER.fullmatch(plain):
        return None
    value = float(plain)
    return value if math.isfinite(value) else None


def split_tolerance(text: str) -> tuple[str, float, bool] | None:
    """`0.25 ± 2%` as value, tolerance and whether that is a share of the value; None where it is no such thing."""
    value, sign, around = text.partition("±")
    if not sign:
        return value.strip(), 0.0, False
    plain = around.strip()
    relative = plain.endswith("%")
    try:
        amount = Decimal(plain.removesuffix("%").strip())
        share = amount.scaleb(-2) if relative else amount
        tolerance = float(share)
    except (InvalidOperation, ValueError):
        return None
    return (value.strip(), tolerance, relative) if math.isfinite(tolerance) and tolerance >= 0 else None


@dataclass(slots=True)
class _Answer:
    """A choice while it is read."""

    line: int
    right: bool
    lines: list[str]
    why: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    blank: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Draft:
    """An item while it is read. part: where the reader is in it."""

    id: str
    line: int
    place: tuple[str, str]
    kind: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    question: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    answers: list[_Answer] = field(default_factory=list)
    part: str = "keys"

    def wrong(self, what: str, line: int | None = None) -> BrokenBank:
        return BrokenBank(f"{_place(*self.place, self.line if line is None else line)}, {self.id}: {what}.")

    def key(self, text: str, line: int) -> None:
        match = _KEY.match(text)
        if not match or match[1] not in KEYS:
            known = ", ".join(KEYS)
            raise self.wrong(
                f"found {text[:60]!r}, expected `key: value` with one of {known}, then an empty line", line
            )
        if match[1] in self.keys:
            raise self.wrong(f"found the key {match[1]!r} a second time, expected it once", line)
        self.keys[match[1]] = (match[2] or "").strip()
        self.kind = self.keys.get("kind", self.kind)

    def begin(self, mark: str, text: str, line: int) -> str:
        """A choice or step begins; the fence of the code block that it opens, if it opens one."""
        if self.part == "after":
            raise self.wrong("found a choice below an explanation that is not indented, expected `  > ` there", line)
        self.part = "answers"
        self.answers.append(_Answer(line, mark != " ", [_plain(text)]))
        return _fence(text)

    def explain(self, text: str, line: int) -> None:
        """A line of what is said to whoever gives an answer that the bank does not know."""
        if self.part == "answers" and self.why:
            raise self.wrong("found a second explanation of the item, expected one, or two spaces before it", line)
        self.part = {"answers": "after", "question": "why"}.get(self.part, self.part)
        self.why.append(text[1:].removeprefix(" "))

    def inside(self, text: str, line: int) -> None:
        """A line that is indented below a choice."""
        if not self.answers:
            raise self.wrong(f"found {text[:60]!r}, expected a choice before it", line)
        answer, bare = self.answers[-1], text.removeprefix(" ")
        if bare.startswith(">"):
            answer.why.append(bare[1:].removeprefix(" "))
        elif said := _SAID.match(bare):
            if said[1] in answer.said:
                raise self.wrong(f"found {said[1]!r} a second time, expected it once for each choice", line)
            answer.said[said[1]] = said[2].strip()
        elif answer.why or answer.said:
            raise self.wrong(f"found {text[:60]!r} below an explanation, expected `> ` before it", line)
        else:
            answer.lines += [*answer.blank, _plain(text)]
        answer.blank = []


def _drafts(lines: Sequence[str], start: int, place: tuple[str, str], kinds: Mapping[str, str]) -> Iterator[_Draft]:
    """The items as they are read. kinds: by id, where an item need not say its own."""
    draft: _Draft | None = None
    fence, opened = "", 0
    for number, line in enumerate(lines[start:], start + 1):
        if draft is not None and fence:
            fence = _follow(draft, line, fence)
            continue
        if line.startswith("# ") or line == "#":
            if draft is not None:
                yield draft
            id_ = line[1:].strip()
            draft = _Draft(id_, number, place, kinds.get(id_, ""))
            if not _KEBAB.fullmatch(draft.id):
                raise draft.wrong(
                    "found a heading that is no id, expected lower case and hyphens, as in `# sum-of-weights`"
                )
        elif draft is not None:
            fence, opened = _take(draft, line, number), number
        elif line.strip():
            raise BrokenBank(
                f"{_place(*place, number)}: found {line[:60]!r}, expected the first item's heading, as in `# my-id`."
            )
    if draft is not None and fence:
        raise draft.wrong(f"found a code block that is not closed, expected {fence} on a line of its own", opened)
    if draft is not None:
        yield draft


def _take(draft: _Draft, line: str, number: int) -> str:
    """One line of an item outside code blocks; the fence of the code block that it opens, if it opens one."""
    blank = not line.strip()
    if draft.part == "keys":
        if blank:
            draft.part = "question"
        else:
            draft.key(line, number)
        return ""
    ordering = draft.kind == Kind.ORDERING
    if ordering and (step := _STEP.match(line)):
        return draft.begin("x", step[1], number)
    if not ordering and (choice := _CHOICE.match(line)):
        return draft.begin(choice[1], choice[2] or "", number)
    if _ALMOST.match(line):
        expected = "steps, numbered `1. `" if ordering else "`- [x] ` before a key or `- [ ] ` before another choice"
        raise draft.wrong(f"found {line[:60]!r}, expected {expected}", number)
    if line.startswith(">"):
        draft.explain(line, number)
        return ""
    if draft.part == "question":
        draft.question.append(_plain(line))
        return _fence(line)
    if blank:
        if draft.part == "answers":
            draft.answers[-1].blank.append(line.removeprefix("  "))
        return ""
    if draft.part == "answers" and line.startswith("  "):
        draft.inside(line[2:], number)
        return "" if draft.answers[-1].why else _fence(line[2:])
    expected = (
        "it before the choices" if draft.part == "answers" else "nothing but choices or `> ` after an explanation"
    )
    raise draft.wrong(
        f"found {line[:60]!r}, expected {expected}, or two spaces before what belongs to a choice", number
    )


def _follow(draft: _Draft, line: str, fence: str) -> str:
    """One line of a code block; the fence that is still open after it."""
    inside = draft.part == "answers"
    text = line.removeprefix("  ") if inside else line
    (draft.answers[-1].lines if inside else draft.question).append(text)
    return "" if _closes(text, fence) else fence


def _fence(line: str) -> str:
    match = _FENCE.match(line)
    return match[1] if match and "`" not in line[match.end() :] else ""


def _closes(line: str, fence: str) -> bool:
    match = _FENCE.match(line)
    return bool(match and match[1].startswith(fence) and not line[match.end() :].strip())


def _plain(line: str) -> str:
    """A line as its author meant it: without the backslash that keeps it from being taken for the bank's own."""
    return line[1:] if line.startswith("\\") and _ACTS.match(line) else line


def _front_matter(lines: Sequence[str], name: str, language: str) -> tuple[dict[str, Any], int]:
    if not lines or lines[0].rstrip() != "+++":
        found = repr(lines[0][:60]) if lines else "nothing"
        raise BrokenBank(
            f"{_place(name, language, 1)}: found {found}, expected a line `+++`, the quiz's title, and `+++`."
        )
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "+++"), 0)
    if not end:
        raise BrokenBank(
            f"{_place(name, language, 1)}: found no second line `+++`, expected one after the quiz's facts."
        )
    try:
        facts = tomllib.loads("\n".join(lines[1:end]))
    except tomllib.TOMLDecodeError as error:
        raise BrokenBank(f"{_place(name, language, 2)}: not valid TOML between the lines `+++`: {error}.") from error
    return facts, end + 1


def _quiz(facts: dict[str, Any], name: str, language: str, source: Quiz | None) -> Quiz:
    def fact(key: str, expected: str, right: bool) -> Any:
        if right:
            return facts[key]
        raise BrokenBank(f"{_place(name, language, 2)}: {key}: found {facts.get(key)!r}, expected {expected}.")

    for key in facts:
        fact(key, f"one of {', '.join(FACTS)}", key in FACTS)
    title = facts.get("title")
    known: dict[str, Any] = {"title": fact("title", "a text", isinstance(title, str) and bool(title.strip()))}
    if "assignment" in facts:
        known["assignment"] = fact("assignment", "a text", isinstance(facts["assignment"], str))
    if "shown" in facts:
        texts = [str(each) for each in Shown]
        known["shown"] = Shown(fact("shown", f"one of {', '.join(texts)}", facts["shown"] in texts))
    for key, least in (("attempts", 0), ("minutes", 1)):
        if key in facts:
            known[key] = fact(key, f"a whole number from {least}", type(facts[key]) is int and facts[key] >= least)
    if "due" in facts:
        moment = facts["due"]
        zoned = isinstance(moment, datetime) and moment.tzinfo is not None
        known["due"] = fact("due", "a moment with an offset, such as 2027-01-31T23:59:00+01:00", zoned)
    known["title"] = known["title"].strip()
    if source is not None:
        return replace(source, language=language, items=(), **known)
    return Quiz(name=name, language=language, items=(), **known)


def _refuse_other_ids(found: Sequence[str], expected: Sequence[str], name: str, language: str) -> None:
    if list(found) == list(expected):
        return
    missing = [id_ for id_ in expected if id_ not in found]
    added = [id_ for id_ in found if id_ not in expected]
    said = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(added)} besides"] * bool(added)
    what = " and ".join(said) or "has the same items in another order"
    raise BrokenBank(f"{_file(name, language)}: it {what}; expected the items of {SOURCE}.md, in their order.")


def _item(draft: _Draft, source: Item | None) -> Item:
    keys = draft.keys
    kinds = [str(kind) for kind in Kind]
    kind = Kind(keys["kind"]) if keys.get("kind") in kinds else source.kind if source and "kind" not in keys else None
    if kind is None:
        raise draft.wrong(f"kind: found {keys.get('kind', 'nothing')!r}, expected one of {', '.join(kinds)}")
    if keys.get("order", "fixed") != "fixed":
        raise draft.wrong(f"order: found {keys['order']!r}, expected `fixed`, or no such line")
    points = number(keys["points"]) if "points" in keys else source.points if source else 1.0
    if points is None or points <= 0:
        raise draft.wrong(f"points: found {keys['points']!r}, expected a number above 0")
    item = Item(
        id=draft.id,
        kind=kind,
        text=_joined(draft.question),
        choices=tuple(_choice(draft, kind, answer) for answer in draft.answers),
        objective=keys.get("objective", source.objective if source else ""),
        source=keys.get("source", source.source if source else ""),
        points=points,
        why=_joined(draft.why),
        unit=keys.get("unit", source.unit if source else ""),
        draw=keys.get("draw", source.draw if source else ""),
        shuffle="order" not in keys and (source is None or source.shuffle),
    )
    if source is None:
        return item
    for what in ("kind", "points", "draw"):
        mine, theirs = getattr(item, what), getattr(source, what)
        if mine != theirs:
            raise draft.wrong(f"{what}: found {mine}, expected {theirs} as in {SOURCE}.md, or no such line")
    return replace(item, choices=_translated(draft, item, source))


def _translated(draft: _Draft, item: Item, source: Item) -> tuple[Choice, ...]:
    """The choices of a translation, with what it leaves out. Raises BrokenBank where they are not in step."""
    mine, theirs = item.choices, source.choices
    if len(mine) != len(theirs):
        raise draft.wrong(f"found {len(mine)} choices, expected {len(theirs)} as in {SOURCE}.md")
    whole = []
    for answer, one, other in zip(draft.answers, mine, theirs, strict=True):
        if one.right != other.right:
            marks = {True: "[x]", False: "[ ]"}
            raise draft.wrong(f"found {marks[one.right]}, expected {marks[other.right]} as in {SOURCE}.md", answer.line)
        if item.kind is Kind.NUMERIC and (one.text, one.tolerance) != (other.text, other.tolerance):
            raise draft.wrong(
                f"found {one.text}, expected {other.text} with its tolerance, as in {SOURCE}.md", answer.line
            )
        if bool(one.match) != bool(other.match) or bool(one.text) != bool(other.text):
            raise draft.wrong(f"found another pair than in {SOURCE}.md", answer.line)
        credit = one.credit if "credit" in answer.said else other.credit
        whole.append(replace(one, mistake=one.mistake or other.mistake, credit=credit))
    return tuple(whole)


def _choice(draft: _Draft, kind: Kind, answer: _Answer) -> Choice:
    text = _joined(answer.lines)
    match, tolerance, relative = "", 0.0, False
    if kind is Kind.MATCHING:
        text, match = _pair(draft, answer, text)
    elif kind is Kind.NUMERIC and "{{" not in text.partition("±")[2]:
        found = split_tolerance(text)
        if found is None:
            raise draft.wrong(
                f"found {text[:60]!r}, expected a tolerance such as `0.25 ± 0.005` or `0.25 ± 2%`", answer.line
            )
        text, tolerance, relative = found
    if not text and not match:
        raise draft.wrong("found a choice without a text", answer.line)
    credit = 1.0 if answer.right else 0.0
    if "credit" in answer.said:
        given = number(answer.said["credit"])
        if given is None or not 0 <= given <= 1:
            raise draft.wrong(f"credit: found {answer.said['credit']!r}, expected a number from 0 to 1", answer.line)
        credit = given
    mistake = answer.said.get("mistake", "")
    return Choice(text, answer.right, _joined(answer.why), match, tolerance, relative, credit, mistake)


def _pair(draft: _Draft, answer: _Answer, text: str) -> tuple[str, str]:
    arrow = next((found for found in _ARROW.finditer(text) if not found[1]), None)
    if arrow is None or not text[arrow.end() :].strip():
        raise draft.wrong(f"found {text[:60]!r}, expected a pair `left -> right`, or `-> right`", answer.line)
    left = _ARROW.sub(lambda found: f"{found[1][1:]}->", text[: arrow.start()])
    return left.strip(), text[arrow.end() :].strip()


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip()


def _not_gradable(item: Item) -> str:
    rights = sum(choice.right for choice in item.choices)
    if not item.text:
        return "found no question, expected one after an empty line"
    if item.kind is Kind.SINGLE and rights != 1:
        return f"found {rights} choices marked [x], expected exactly one of a `single` item"
    if item.kind in PICKED and len(item.choices) < 2:
        return f"found {len(item.choices)} choice, expected at least two"
    if item.kind is Kind.ORDERING and len(item.choices) < 2:
        return f"found {len(item.choices)} steps, expected at least two, numbered `1. `"
    if item.kind is Kind.MATCHING and sum(bool(choice.text) for choice in item.choices) < 2:
        return "found fewer than two pairs, expected at least two lines such as `- [x] left -> right`"
    if not rights:
        return "found no choice marked [x], expected one"
    if item.kind in PICKED and len(item.choices) > 26:
        return f"found {len(item.choices)} choices, expected at most 26"
    for choice in item.choices:
        if item.kind is Kind.NUMERIC and number(choice.text) is None and not (item.draw and VALUE.search(choice.text)):
            return f"found {choice.text[:60]!r}, expected a number such as 659592, 0.25 ± 0.005 or 3.1e4 ± 2%"
    return ""


def _written(item: Item) -> Iterator[str]:
    if not _KEBAB.fullmatch(item.id):
        raise BrokenBank(f"found the id {item.id!r}, expected lower case and hyphens, as in sum-of-weights.")
    keys = {
        "kind": str(item.kind),
        "points": "" if item.points == 1 else _digits(item.points),
        "objective": item.objective.strip(),
        "source": item.source.strip(),
        "order": "" if item.shuffle else "fixed",
        "unit": item.unit.strip(),
        "draw": item.draw,
    }
    yield f"# {item.id}"
    for key, value in keys.items():
        if "\n" in value or "\r" in value:
            raise BrokenBank(f"{item.id}: {key}: found several lines, expected one.")
        if value:
            yield f"{key}: {value}"
    yield ""
    yield from _escaped(item.text.strip())
    yield ""
    if item.why.strip():
        yield from (f"> {line}" if line else ">" for line in item.why.strip().split("\n"))
        yield ""
    for place, choice in enumerate(item.choices, 1):
        yield from _written_choice(item.kind, place, choice)
    yield ""


def _written_choice(kind: Kind, place: int, choice: Choice) -> Iterator[str]:
    text = choice.text.strip()
    if kind is Kind.MATCHING:
        left = _ARROW.sub(lambda found: f"\\{found[1]}->", text)
        text = f"{left} -> {choice.match.strip()}".strip()
    elif kind is Kind.NUMERIC and choice.tolerance:
        around = Decimal(repr(choice.tolerance))
        text = f"{text} ± {f'{around.scaleb(2)}%' if choice.relative else around}"
    first, *others = _escaped(text)
    yield f"{place}. {first}" if kind is Kind.ORDERING else f"- [{'x' if choice.right else ' '}] {first}"
    yield from (f"  {line}" if line else "" for line in others)
    if choice.why.strip():
        yield from (f"  > {line}" if line else "  >" for line in choice.why.strip().split("\n"))
    if choice.mistake:
        yield f"  mistake: {choice.mistake}"
    if choice.credit != (1.0 if choice.right else 0.0):
        yield f"  credit: {_digits(choice.credit)}"


def _escaped(text: str) -> list[str]:
    """The lines of a text, with a backslash before each that would be taken for the bank's own."""
    lines = text.split("\n")
    written: list[str] = []
    fence = ""
    for place, line in enumerate(lines):
        if fence:
            written.append(line)
            fence = "" if _closes(line, fence) else fence
        elif (opened := _fence(line)) and any(_closes(other, opened) for other in lines[place + 1 :]):
            fence = opened
            written.append(line)
        else:
            written.append(f"\\{line}" if opened or _ACTS.match(line) else line)
    return written


def _digits(value: float) -> str:
    return f"{value:.17g}" if value != int(value) else str(int(value))


def _toml(value: str | int) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _place(name: str, language: str, line: int) -> str:
    return f"{_file(name, language)}:{line}"


def _file(name: str, language: str) -> str:
    return f"{FOLDER}/{name}/{language}.md"
