"""Moodle's GIFT: questions as plain text, with a backslash before `~ = # { } : \\`.

Texts are HTML, so that formulas, line ends and arrows inside them mean nothing to GIFT. What stays plain are short
answers and the right sides of pairs; those that GIFT has no way to say are left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autograder.quiz import encoding
from autograder.quiz.exchange import forms, limits, markup
from autograder.quiz.exchange.forms import Draft, Export, Found
from autograder.quiz.exchange.moodle_xml import FRACTIONS, step, steps_of
from autograder.quiz.records import Choice, Item, Kind, Quiz

_SIGNS = "\\~=#{}:"
_ESCAPE = re.compile(r"[\\~=#{}:]")
_WEIGHT = re.compile(r"%(-?\d+(?:\.\d*)?)%")
_FORMAT = re.compile(r"\[(html|moodle|plain|markdown)\]")
_BLANK = re.compile(r"\n[ \t]*\n")


def write(drafts: Sequence[Draft]) -> Export:
    lines: list[str] = []
    left_out: dict[str, str] = {}
    for draft in drafts:
        place: str | None = None
        for family, items in forms.groups(draft):
            if family != place:
                ending = f"/{family}" if family else ""
                lines += [f"$CATEGORY: $course$/top/{step(draft.quiz.title)}{ending}", ""]
                place = family
            for item in items:
                if reason := _unsayable(item):
                    left_out[f"{draft.quiz.name}/{item.id}"] = reason
                else:
                    lines += [*_question(item, draft.quiz.language), ""]
    return Export(("\n".join(lines) + "\n").encode(), left_out)


def read(data: bytes, name: str, language: str) -> Found:
    text = encoding.decoded(data, name).replace("\r\n", "\n").replace("\r", "\n")
    title = name.rpartition("/")[2].removesuffix(".txt").removesuffix(".gift") or "Quiz"
    banks: dict[str, list[tuple[str, Item]]] = {}
    warnings: list[tuple[str, str, str, str]] = []
    spoken: dict[str, str] = {}
    line = 1
    for block in _BLANK.split(text):
        where, line = f"{name}, line {line}", line + block.count("\n") + 2
        lines = block.strip("\n").split("\n")
        comments = [each for each in lines if each.lstrip().startswith("//")]
        body = "\n".join(each for each in lines if not each.lstrip().startswith("//")).strip()
        if body.startswith("$CATEGORY:"):
            steps = steps_of(body.partition("\n")[0].removeprefix("$CATEGORY:").strip())
            title, body = (steps[0] if steps else title), body.partition("\n")[2].strip()
        if not body:
            continue
        found = re.search(r"\[id:([^\]\n]+)\]", "\n".join(comments))
        item, called = _item(body, where)
        spoken.setdefault(title, markup.language(_plain(body)))
        if item is None:
            warnings.append((title, called, "left-out", f"{where}: no question that a bank can hold."))
        else:
            banks.setdefault(title, []).append((found[1] if found else called, item))
    return Found(tuple(_quizzes(banks, spoken, language)), tuple(warnings))


def _quizzes(banks: dict[str, list[tuple[str, Item]]], spoken: dict[str, str], language: str) -> list[Quiz]:
    quizzes = []
    for title, pairs in banks.items():
        names = forms.ids(id_ for id_, _ in pairs)
        items = tuple(replace(item, id=id_) for id_, (_, item) in zip(names, pairs, strict=True))
        quizzes.append(Quiz(forms.quiz_name(title, "quiz"), title, language or spoken[title] or "en", items))
    return quizzes


def _unsayable(item: Item) -> str:
    if item.kind is Kind.ORDERING:
        return "since GIFT knows no ordering questions"
    if item.kind is Kind.MATCHING:
        plain = [each.match for each in item.choices]
    else:
        plain = [each.text for each in item.choices] if item.kind is Kind.SHORT else []
    if any("->" in each or "\n" in each or each != each.strip() for each in plain):
        return "since GIFT can't write an arrow or a line end in plain text"
    return ""


def _question(item: Item, language: str) -> list[str]:
    general = forms.remarks(item, language)
    lines = [f"// [id:{item.id}]", f"::{item.id}::[html]{_escaped(forms.asked(item, language))}" + "{"]
    if item.kind is Kind.NUMERIC:
        lines[-1] += "#"
        lines += [_numeric(each, language) for each in item.choices]
        lines += [f"~#{_escaped(markup.html(item.why, language))}"] if item.why else []
    elif item.kind is Kind.MATCHING:
        lines += [f"={_escaped(markup.html(each.text, language))} -> {_escaped(each.match)}" for each in item.choices]
    elif item.kind is Kind.SHORT:
        lines += [
            f"={_weight(each.credit)}{_escaped(_wild(each.text))}{_feedback(each, language)}" for each in item.choices
        ]
        lines += [f"=%0%*#{_escaped(markup.html(item.why, language))}"] if item.why else []
    else:
        lines += [_picked(item, each, language) for each in item.choices]
    lines += [f"####{_escaped(general)}"] if general else []
    return [*lines, "}"]


def _picked(item: Item, each: Choice, language: str) -> str:
    share = forms.own(item, each)
    plain = item.kind is Kind.SINGLE and share in (0.0, 1.0)
    mark = "=" if plain and each.right else "~" if plain else f"~{_weight(share)}"
    text = re.sub("^%", "&#37;", markup.html(each.text, language))
    return f"{mark}{_escaped(text)}{_feedback(each, language)}"


def _numeric(each: Choice, language: str) -> str:
    number = f"{forms.digits(forms.value(each))}:{forms.digits(forms.around(each))}"
    return f"={'' if each.credit == 1 else _weight(each.credit)}{number}{_feedback(each, language)}"


def _weight(share: float) -> str:
    nearest = min(FRACTIONS, key=lambda each: abs(abs(share) * 100 - each))
    return f"%{forms.digits(-nearest if share < 0 else nearest)}%"


def _feedback(each: Choice, language: str) -> str:
    return f"#{_escaped(markup.html(each.why, language))}" if each.why else ""


def _wild(text: str) -> str:
    return text.replace("*", "\\*")


def _escaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\\" + found[0], markup.legal(text)).replace("\r", "").replace("\n", "\\n")


@dataclass(slots=True)
class _Answer:
    """One answer as it stands between two marks."""

    mark: str
    share: float | None
    text: str
    why: str


def _item(body: str, where: str) -> tuple[Item | None, str]:
    """A question and its title; no question where it is an essay, a description or text alone."""
    title = ""
    if body.startswith("::"):
        title, end, body = _split(body[2:], "::")
        if not end:
            raise limits.UnreadableExchange(f"{where}: found a title without end, expected `::` after it.")
    start, end_at = _unescaped(body, "{", 0), _unescaped(body, "}", 0)
    if (start < 0) != (end_at < 0) or end_at < start:
        raise limits.UnreadableExchange(
            f"{where}: found {'{' if start >= 0 else '}'} without its partner. "
            "Write a backslash before a brace that belongs to the text."
        )
    if start < 0:
        return None, _plain(title) or _plain(body)[:40]
    form = _FORMAT.match(body.lstrip())
    shape = form[1] if form else "moodle"
    stem = body[:start].strip().removeprefix(form[0] if form else "").strip()
    rest = body[end_at + 1 :].strip()
    asked = _plain(stem) + (f" _____ {_plain(rest)}" if rest else "")
    text, unit = forms.unasked(asked) if shape in ("html", "moodle") else (asked.strip(), "")
    inside, _, general = _split(body[start + 1 : end_at], "####")
    item = _answered(Item("", Kind.SINGLE, text, (), "", "", unit=unit), inside.strip(), shape, where)
    if item is None:
        return None, _plain(title) or text[:40]
    item = forms.remarked(item, _plain(general)) if general else item
    return item, _plain(title) or text[:40]


def _answered(item: Item, inside: str, shape: str, where: str) -> Item | None:
    if not inside:
        return None
    bare = _split(inside, "#")[0].strip()
    if bare in ("T", "TRUE", "F", "FALSE"):
        return _true_or_false(item, inside, bare[0] == "T", shape)
    if inside.startswith("#"):
        return _numbers(item, inside[1:].strip(), shape, where)
    answers = _answers(inside, shape)
    if not answers:
        return replace(item, kind=Kind.SHORT, choices=(forms.choice(_plain(bare), True),))
    if all(each.mark == "=" for each in answers):
        if all("->" in each.text for each in answers):
            return replace(item, kind=Kind.MATCHING, choices=tuple(_pair(each, shape) for each in answers))
        return _short(item, answers)
    shares = [1.0 if each.share is None and each.mark == "=" else each.share or 0.0 for each in answers]
    multiple = any(share < 0 for share in shares) or all(share <= 0.9999 for share in shares)
    texts = [(_text(each.text, shape), share, each.why) for each, share in zip(answers, shares, strict=True)]
    return replace(
        item, kind=Kind.MULTIPLE if multiple else Kind.SINGLE, choices=forms.by_shares(texts, multiple), shuffle=True
    )


def _true_or_false(item: Item, inside: str, true: bool, shape: str) -> Item:
    _, _, rest = _split(inside, "#")
    wrong, _, right = _split(rest, "#")
    said = {True: _text(_plain(right), shape), False: _text(_plain(wrong), shape)}
    choices = (forms.choice("True", true, said[true]), forms.choice("False", not true, said[not true]))
    return replace(item, choices=choices, shuffle=False)


def _numbers(item: Item, inside: str, shape: str, where: str) -> Item:
    answers = _answers(inside, shape) if inside[:1] in ("=", "~") else []
    if not answers:
        text, _, why = _split(inside, "#")
        answers = [_Answer("=", None, _plain(text), _text(_plain(why), shape))]
    choices, why = [], ""
    for each in answers:
        if each.text == "*" or (not each.text and each.mark == "~"):
            why = each.why
            continue
        middle, around = _range(each.text, where)
        share = 1.0 if each.share is None else each.share
        share = 0.0 if each.mark == "~" and each.share is None else share
        choices.append(
            Choice(forms.numeral(middle), share > 0.9999, each.why, tolerance=around, credit=max(0.0, share))
        )
    return replace(item, kind=Kind.NUMERIC, choices=tuple(choices), why=why)


def _range(text: str, where: str) -> tuple[float, float]:
    low, dots, high = text.partition("..")
    middle, colon, around = text.partition(":")
    try:
        if dots:
            ends = float(low), float(high)
            found = sum(ends) / 2, abs(ends[1] - ends[0]) / 2
        else:
            found = float(middle), float(around) if colon else 0.0
    except ValueError:
        found = float("nan"), 0.0
    if not (abs(found[0]) < 1e300 and 0 <= found[1] < 1e300):
        raise limits.UnreadableExchange(f"{where}: found {text[:40]!r}, expected a number such as 3.14:0.005.")
    return found


def _short(item: Item, answers: list[_Answer]) -> Item:
    choices, why = [], ""
    for each in answers:
        share = 1.0 if each.share is None else each.share
        if each.text == "*" and not share:
            why = each.why
            continue
        text = each.text.replace("\\*", "*")
        choices.append(Choice(text, share > 0.9999, each.why, credit=max(0.0, share)))
    return replace(item, kind=Kind.SHORT, choices=tuple(choices), why=why)


def _pair(answer: _Answer, shape: str) -> Choice:
    left, _, right = answer.text.rpartition("->")
    return forms.choice(_text(left.strip(), shape), True, match=right.strip())


def _answers(inside: str, shape: str) -> list[_Answer]:
    marks = [place for place, sign in _signs(inside) if sign in "=~"]
    found = []
    for start, end in zip(marks, [*marks[1:], len(inside)], strict=True):
        piece = inside[start + 1 : end].strip()
        weight = _WEIGHT.match(piece)
        text, _, why = _split(piece[weight.end() :] if weight else piece, "#")
        share = max(-1.0, min(1.0, float(weight[1]) / 100)) if weight else None
        found.append(_Answer(inside[start], share, _plain(text), _text(_plain(why), shape)))
    return found


def _text(text: str, shape: str) -> str:
    form = _FORMAT.match(text)
    if form:
        shape, text = form[1], text[form.end() :]
    return markup.markdown(text) if shape in ("html", "moodle") else text.strip()


def _signs(text: str) -> list[tuple[int, str]]:
    """The signs that no backslash takes the meaning from."""
    found, place = [], 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] in _SIGNS:
            found.append((place, text[place]))
        place += 1
    return found


def _unescaped(text: str, sign: str, start: int) -> int:
    return next((place for place, each in _signs(text) if each == sign and place >= start), -1)


def _split(text: str, mark: str) -> tuple[str, str, str]:
    """`str.partition` at the first mark whose signs all act."""
    acting = {place for place, _ in _signs(text)}
    place = text.find(mark)
    while place >= 0 and not all(place + step in acting for step in range(len(mark))):
        place = text.find(mark, place + 1)
    return (text, "", "") if place < 0 else (text[:place], mark, text[place + len(mark) :])


def _plain(text: str) -> str:
    """A text without the backslashes that GIFT wants."""
    return re.sub(r"\\([\\~=#{}:n])", lambda found: "\n" if found[1] == "n" else found[1], text).strip()
