"""Moodle XML: the question bank's own format, with categories, feedback, fractions and units.

The variants of a parametrised question stand in a category of their own, from which a Moodle quiz takes a random one.
Moodle accepts only certain fractions of a grade; others are rounded to the nearest.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from autograder.quiz.exchange import forms, limits, markup
from autograder.quiz.exchange.forms import Draft, Export, Found
from autograder.quiz.records import Choice, Item, Kind, Quiz

_LOW = (0.0, 5.0, 10.0, 11.11111, 12.5, 14.28571, 16.66667, 20.0, 25.0, 30.0, 33.33333)
FRACTIONS = (*_LOW, 40.0, 50.0, 60.0, 66.66667, 70.0, 75.0, 80.0, 83.33333, 90.0, 100.0)
_TYPES = {
    Kind.SINGLE: "multichoice",
    Kind.MULTIPLE: "multichoice",
    Kind.NUMERIC: "numerical",
    Kind.SHORT: "shortanswer",
    Kind.MATCHING: "matching",
    Kind.ORDERING: "ordering",
}
_TOP = "$course$/top/"


def write(drafts: Sequence[Draft]) -> Export:
    root = Element("quiz")
    for draft in drafts:
        quiz = draft.quiz
        _category(root, f"{_TOP}{step(quiz.title)}", quiz.name)
        place = ""
        for family, items in forms.groups(draft):
            if family != place:
                ending = f"/{family}" if family else ""
                _category(root, f"{_TOP}{step(quiz.title)}{ending}", quiz.name if not family else "")
                place = family
            for item in items:
                root.append(_question(item, quiz.language))
    indent(root)
    ordering = any(item.kind is Kind.ORDERING for draft in drafts for item in draft.quiz.items)
    notes = ("ordering questions need Moodle 4.4, or its plugin `qtype_ordering`",) if ordering else ()
    return Export(b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="utf-8") + b"\n", {}, notes)


def read(data: bytes, name: str, language: str) -> Found:
    root = limits.xml(data, name)
    if root.tag != "quiz":
        raise limits.UnreadableExchange(
            f"{name}: found <{root.tag[:40]}>, expected Moodle's <quiz>. Export as Moodle XML."
        )
    banks: dict[str, list[tuple[Element, Item]]] = {}
    named: dict[str, str] = {}
    title = name.rpartition("/")[2].removesuffix(".xml") or "Quiz"
    warnings: list[tuple[str, str, str, str]] = []
    for question in root.iter("question"):
        kind = question.get("type", "")
        if kind == "category":
            steps = steps_of(_said(question, "category"))
            title = steps[0] if steps else title
            if len(steps) <= 1:
                named.setdefault(title, question.findtext("idnumber", ""))
            continue
        bank = banks.setdefault(title, [])
        if kind == "truefalse" or kind in _TYPES.values():
            bank.append((question, _item(question, kind, name)))
        elif kind != "description":
            said = _said(question, "name")[:60]
            warnings.append((title, said, "left-out", f"a question of the type {kind!r} can't be held by a bank."))
    quizzes = []
    for title, pairs in banks.items():
        names = forms.ids(question.findtext("idnumber") or _said(question, "name") for question, _ in pairs)
        items = tuple(replace(item, id=each) for each, (_, item) in zip(names, pairs, strict=True))
        said = " ".join(_said(question, "questiontext") for question, _ in pairs)
        spoken = language or markup.language(said) or "en"
        quizzes.append(Quiz(forms.quiz_name(named.get(title) or title, title), title, spoken, items))
    names_of = {title: quiz.name for quiz, title in zip(quizzes, banks, strict=True)}
    placed = tuple((names_of.get(each[0], each[0]), each[1], each[2], each[3]) for each in warnings)
    return Found(tuple(quizzes), placed)


def steps_of(path: str) -> list[str]:
    """A category's names from the top. A slash inside a name is doubled."""
    steps = [each.replace("//", "/").strip() for each in re.split(r"(?<!/)/(?!/)", path)]
    return [each for each in steps if each not in ("$course$", "$module$", "$system$", "top", "")]


def step(text: str) -> str:
    """A title as one step of a category's path."""
    return " ".join(markup.legal(text).replace("/", "//").split()) or "Quiz"


def _category(root: Element, path: str, id_: str) -> None:
    question = SubElement(root, "question", type="category")
    _text(SubElement(question, "category"), path)
    SubElement(question, "idnumber").text = id_


def _question(item: Item, language: str) -> Element:
    question = Element("question", type=_TYPES[item.kind])
    _text(SubElement(question, "name"), item.id)
    _html(question, "questiontext", forms.asked(item, language))
    _html(question, "generalfeedback", forms.remarks(item, language))
    plain = {"defaultgrade": forms.digits(item.points), "penalty": "0", "hidden": "0", "idnumber": item.id}
    for name, said in plain.items():
        SubElement(question, name).text = said
    if item.kind in forms.PICKED:
        _picked(question, item, language)
    elif item.kind in forms.TYPED:
        _typed(question, item, language)
    elif item.kind is Kind.MATCHING:
        _matching(question, item, language)
    else:
        _ordering(question, item, language)
    return question


def _picked(question: Element, item: Item, language: str) -> None:
    said = {"single": item.kind is Kind.SINGLE, "shuffleanswers": item.shuffle}
    for name, value in said.items():
        SubElement(question, name).text = str(value).lower()
    SubElement(question, "answernumbering").text = "abc"
    for each in item.choices:
        answer = SubElement(question, "answer", fraction=_fraction(forms.own(item, each)), format="html")
        SubElement(answer, "text").text = markup.html(each.text, language)
        _html(answer, "feedback", markup.html(each.why, language))


def _typed(question: Element, item: Item, language: str) -> None:
    numeric = item.kind is Kind.NUMERIC
    if not numeric:
        SubElement(question, "usecase").text = "0"
    for each in item.choices:
        answer = SubElement(question, "answer", fraction=_fraction(each.credit), format="moodle_auto_format")
        said = forms.digits(forms.value(each)) if numeric else _wild(each.text)
        SubElement(answer, "text").text = markup.legal(said)
        _html(answer, "feedback", markup.html(each.why, language))
        if numeric:
            SubElement(answer, "tolerance").text = forms.digits(forms.around(each))
    if item.why:
        answer = SubElement(question, "answer", fraction="0", format="moodle_auto_format")
        SubElement(answer, "text").text = "*"
        _html(answer, "feedback", markup.html(item.why, language))
        if numeric:
            SubElement(answer, "tolerance").text = "0"
    if numeric:
        _units(question, item.unit)


def _units(question: Element, unit: str) -> None:
    if unit:
        entry = SubElement(SubElement(question, "units"), "unit")
        SubElement(entry, "multiplier").text = "1"
        SubElement(entry, "unit_name").text = markup.legal(unit)
    SubElement(question, "unitgradingtype").text = "0"
    SubElement(question, "unitpenalty").text = "0"
    SubElement(question, "showunits").text = "0" if unit else "3"
    SubElement(question, "unitsleft").text = "0"


def _matching(question: Element, item: Item, language: str) -> None:
    SubElement(question, "shuffleanswers").text = str(item.shuffle).lower()
    for each in item.choices:
        pair = SubElement(question, "subquestion", format="html")
        SubElement(pair, "text").text = markup.html(each.text, language)
        _text(SubElement(pair, "answer"), markup.legal(each.match))


def _ordering(question: Element, item: Item, language: str) -> None:
    said = {"layouttype": "VERTICAL", "selecttype": "ALL", "selectcount": "0", "showgrading": "SHOW"}
    for name, value in (said | {"gradingtype": "RELATIVE_NEXT_EXCLUDE_LAST"}).items():
        SubElement(question, name).text = value
    for place, each in enumerate(item.choices, 1):
        answer = SubElement(question, "answer", fraction=str(place), format="html")
        SubElement(answer, "text").text = markup.html(each.text, language)


def _html(parent: Element, name: str, text: str) -> None:
    _text(SubElement(parent, name, format="html"), text)


def _text(parent: Element, text: str) -> None:
    SubElement(parent, "text").text = text


def _fraction(share: float) -> str:
    nearest = min(FRACTIONS, key=lambda each: abs(abs(share) * 100 - each))
    return forms.digits(-nearest if share < 0 else nearest)


def _wild(text: str) -> str:
    return text.replace("*", "\\*")


def _item(question: Element, kind: str, name: str) -> Item:
    text, unit = _asked(question.find("questiontext"))
    points = _number(question.findtext("defaultgrade", "1"), name)
    shuffle = question.findtext("shuffleanswers", "true").strip().lower() in ("true", "1")
    item = Item("", Kind.SINGLE, text, (), "", "", points=points, unit=unit)
    if kind in ("multichoice", "truefalse"):
        multiple = question.findtext("single", "true").strip().lower() in ("false", "0")
        item = replace(item, kind=Kind.MULTIPLE if multiple else Kind.SINGLE, shuffle=shuffle and kind != "truefalse")
        shares = [_share(answer, name) for answer in question.findall("answer")]
        item = replace(item, choices=forms.by_shares(shares, multiple))
    elif kind in ("numerical", "shortanswer"):
        item = _read_typed(question, item, kind, name)
    elif kind == "matching":
        pairs = [_pair(pair) for pair in question.findall("subquestion")]
        item = replace(item, kind=Kind.MATCHING, choices=tuple(pairs), shuffle=shuffle)
    else:
        steps = sorted(question.findall("answer"), key=lambda answer: _number(answer.get("fraction", "0"), name))
        item = replace(item, kind=Kind.ORDERING, choices=tuple(forms.choice(_markdown(step), True) for step in steps))
    return forms.remarked(item, _said(question, "generalfeedback"))


def _read_typed(question: Element, item: Item, kind: str, name: str) -> Item:
    choices, why = [], ""
    for answer in question.findall("answer"):
        text, feedback = answer.findtext("text", "").strip(), _markdown(answer.find("feedback"))
        share = _number(answer.get("fraction", "0"), name) / 100
        if text == "*" and not share:
            why = feedback
            continue
        around = _number(answer.findtext("tolerance", "0"), name) if kind == "numerical" else 0.0
        right = share >= 0.9999
        said = forms.numeral(_number(text, name)) if kind == "numerical" else text.replace("\\*", "*")
        credit = 1.0 if right else max(0.0, share)
        choices.append(Choice(said, right, feedback, tolerance=around, credit=credit))
    unit = item.unit or question.findtext("units/unit/unit_name", "")
    return replace(
        item, kind=Kind.NUMERIC if kind == "numerical" else Kind.SHORT, choices=tuple(choices), why=why, unit=unit
    )


def _pair(pair: Element) -> Choice:
    return forms.choice(_markdown(pair), True, match=pair.findtext("answer/text", "").strip())


def _share(answer: Element, name: str) -> tuple[str, float, str]:
    return (
        _markdown(answer),
        _number(answer.get("fraction", "0"), name) / 100,
        _markdown(answer.find("feedback")),
    )


def _markdown(node: Element | None) -> str:
    """A text in whichever of Moodle's formats it is."""
    if node is None:
        return ""
    text = node.findtext("text", "")
    if node.get("format", "html") in ("html", "moodle_auto_format"):
        return markup.markdown(text)
    return text.strip()


def _asked(node: Element | None) -> tuple[str, str]:
    if node is None or node.get("format", "html") not in ("html", "moodle_auto_format"):
        return _markdown(node), ""
    return forms.unasked(node.findtext("text", ""))


def _said(question: Element, name: str) -> str:
    return question.findtext(f"{name}/text", "").strip()


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e300:
        raise limits.UnreadableExchange(f"{name}: found {text[:40]!r}, expected a number. Export the question again.")
    return value
