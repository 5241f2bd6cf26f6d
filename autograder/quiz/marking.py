"""Marks one answer: reads what students really type, and never spends more on it than on an honest one.

Letters are read in Latin or Hebrew script, numbers with units, either decimal sign, thousands apart or as fractions;
words without regard to case, hyphens, quotation marks or vowel points.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from autograder.quiz.draw import near, options
from autograder.quiz.records import Item, Kind, Mark, Trouble

LATIN = "abcdefghijklmnopqrstuvwxyz"
HEBREW = "אבגדהוזחטיכלמנסעפצקרשת"
LONGEST = 1000
MOST = 60

_SUPER = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+")
_UP = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_DASHES = re.compile("[\u2010-\u2015\u2212\u05be\ufe58\ufe63\uff0d]")
_POINTS = re.compile("[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]")
_QUOTES = str.maketrans({"״": '"', "“": '"', "”": '"', "„": '"', "׳": "'", "’": "'", "‘": "'", "`": "'"})
_NUMBER = re.compile(
    r"(?:[a-z_]{1,20} ?)?[=≈~]? ?(?P<sign>[+-]?) ?(?P<body>\d[\d.,' _]*|[.,]\d+)"
    r"(?: ?e ?(?P<exponent>[+-]?\d{1,3})| ?[x×·*] ?10 ?(?:\^|\*\*) ?[({]?(?P<power>[+-]?\d{1,3})[)}]?)?"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_POWER = re.compile(r"(?P<sign>[+-]?)10 ?(?:\^|\*\*) ?[({]?(?P<power>[+-]?\d{1,3})[)}]?(?P<rest>.*)", re.DOTALL)
_FRACTION = re.compile(r"([+-]?) ?(\d{1,15}(?:\.\d{1,15})?) ?/ ?(\d{1,15}(?:\.\d{1,15})?)(.*)", re.DOTALL)
_GROUPED = {",": re.compile(r"\d{1,3}(,\d{3})+"), ".": re.compile(r"\d{1,3}(\.\d{3}){2,}")}
_PAIRED = re.compile(r"(\d{1,2})[\s:=→>)\].-]*([^\W\d_])(?![^\W\d_])")


def mark(item: Item, answer: object, shown: Sequence[int] = ()) -> Mark:
    """What an answer earns. item: with its values filled in.  answer: a text, number, or a list or dict of these.

    shown: as in Sheet, where letters do not stand for the choices in order.
    """
    text = text_of(answer)
    if text is None:
        return Mark(0.0, trouble=Trouble.UNREAD, feedback=item.why)
    if not text.strip():
        return Mark(0.0, missed=_keys(item), trouble=Trouble.BLANK, feedback=item.why)
    return MARKERS[item.kind](item, text, shown)


def values(text: str, unit: str = "") -> tuple[float, ...]:
    """Every number that a text may mean, none if it means none; a `1,234` may be either of two."""
    plain = _SUPER.sub(lambda found: f"^{found[0].translate(_UP)}", text[:LONGEST])
    plain = _DASHES.sub("-", _clean(plain)).replace("⁄", "/").casefold()
    plain = plain.strip().strip("$`\"'").rstrip(".;").strip()
    if len(plain) > MOST + len(unit):
        return ()
    if (fraction := _FRACTION.fullmatch(plain)) and _is_unit(fraction[4], unit) is not None:
        below = float(fraction[3])
        share = _is_unit(fraction[4], unit) or 1.0
        return (_signed(fraction[1], share * float(fraction[2]) / below),) if below else ()
    if power := _POWER.fullmatch(plain):
        return _scaled(power["sign"], (1.0,), power["power"], _is_unit(power["rest"], unit))
    found = _NUMBER.fullmatch(plain)
    if not found:
        return ()
    readings = tuple(_readings(found["body"].strip()))
    return _scaled(found["sign"], readings, found["exponent"] or found["power"], _is_unit(found["rest"], unit))


def words(text: str) -> str:
    """A text as it is compared: case, dashes, spaces, quotation marks, vowel points and what can't be seen left out."""
    plain = _POINTS.sub("", _DASHES.sub("-", _clean(text).translate(_QUOTES))).casefold()
    return " ".join(re.sub(r"[-\s]+", " ", plain).strip(" \"'.,;:!?()[]$*").split())


def letters(text: str, count: int) -> tuple[int, ...] | None:
    """The choices that a text names, each once, in its order; None if it names none, or one that is not there."""
    parts = [part for part in re.split(r"[\W_]+", _POINTS.sub("", _clean(text)).casefold()) if part]
    if len(parts) == 1 and len(parts[0]) <= count:
        parts = list(parts[0])
    parts = [part for part in parts if part not in ("and", "or") and not (part == "ו" and count < 6)]
    places = [_place(part) for part in parts]
    if not places or not all(0 <= place < count for place in places):
        return None
    return tuple(dict.fromkeys(places))


def _single(item: Item, text: str, _: Sequence[int]) -> Mark:
    chosen = _picked(item, text)
    if chosen is None or len(chosen) != 1:
        return Mark(0.0, trouble=Trouble.UNREAD, missed=_keys(item), feedback=item.why)
    choice = item.choices[chosen[0]]
    missed = () if choice.right else _keys(item)
    return Mark(item.points * choice.credit, chosen, missed, choice.why or item.why, choice.mistake)


def _multiple(item: Item, text: str, _: Sequence[int]) -> Mark:
    chosen = _picked(item, text)
    if chosen is None:
        return Mark(0.0, trouble=Trouble.UNREAD, missed=_keys(item), feedback=item.why)
    keys = _keys(item)
    worth = [item.choices[place] for place in chosen]
    total = sum(choice.credit if choice.right or choice.credit else -1.0 for choice in worth)
    missed = tuple(place for place in keys if place not in chosen)
    wrong = [choice for choice in worth if not choice.right]
    said = [choice.why for choice in (*wrong, *(item.choices[place] for place in missed))]
    if not said:
        said = [item.why] if item.why else [choice.why for choice in worth]
    mistake = next((choice.mistake for choice in wrong if choice.mistake), "")
    share = min(1.0, max(0.0, total / len(keys))) if keys else 0.0
    return Mark(item.points * share, chosen, missed, _together(said), mistake)


def _numeric(item: Item, text: str, _: Sequence[int]) -> Mark:
    found = values(text, item.unit)
    if not found:
        return Mark(0.0, trouble=Trouble.UNREAD, missed=_keys(item), feedback=item.why)
    ranked = sorted(enumerate(item.choices), key=lambda pair: (not pair[1].right, -pair[1].credit))
    for place, choice in ranked:
        if any(near(value, choice) for value in found):
            missed = () if choice.right else _keys(item)
            return Mark(item.points * choice.credit, (place,), missed, choice.why or item.why, choice.mistake)
    return Mark(0.0, missed=_keys(item), feedback=item.why)


def _short(item: Item, text: str, _: Sequence[int]) -> Mark:
    said = words(text)
    for place, choice in sorted(enumerate(item.choices), key=lambda pair: not pair[1].right):
        if words(choice.text) == said:
            missed = () if choice.right else _keys(item)[:1]
            return Mark(item.points * choice.credit, (place,), missed, choice.why or item.why, choice.mistake)
    return Mark(0.0, missed=_keys(item)[:1], feedback=item.why)


def _matching(item: Item, text: str, shown: Sequence[int]) -> Mark:
    """chosen: for each left side in order the choice whose right side was given to it, -1 for none."""
    behind = tuple(shown) or options(item)
    left = [place for place, choice in enumerate(item.choices) if choice.text]
    given = _pairs(text, len(left), len(behind))
    if given is None:
        return Mark(0.0, trouble=Trouble.UNREAD, missed=tuple(left), feedback=item.why)
    chosen = tuple(behind[given[number]] if number in given else -1 for number in range(len(left)))
    lost = tuple(
        place
        for place, other in zip(left, chosen, strict=True)
        if other < 0 or item.choices[other].match != item.choices[place].match
    )
    said = [item.choices[place].why for place in lost or left]
    mistake = next((item.choices[place].mistake for place in lost if item.choices[place].mistake), "")
    return Mark(item.points * (len(left) - len(lost)) / len(left), chosen, lost, _together(said), mistake)


def _ordering(item: Item, text: str, shown: Sequence[int]) -> Mark:
    """chosen: the steps as they were put.  missed: those that do not come after the one that they should."""
    count = len(item.choices)
    behind = tuple(shown) or tuple(range(count))
    named = letters(text, count)
    if named is None or len(named) != count:
        return Mark(0.0, trouble=Trouble.UNREAD, missed=tuple(range(count)), feedback=item.why)
    chosen = tuple(behind[place] for place in named)
    kept = set(pairwise(chosen))
    lost = tuple(place for place in range(1, count) if (place - 1, place) not in kept)
    said = [item.choices[place].why for place in lost or range(count)]
    mistake = next((item.choices[place].mistake for place in lost if item.choices[place].mistake), "")
    return Mark(item.points * (count - 1 - len(lost)) / (count - 1), chosen, lost, _together(said), mistake)


MARKERS = {
    Kind.SINGLE: _single,
    Kind.MULTIPLE: _multiple,
    Kind.NUMERIC: _numeric,
    Kind.SHORT: _short,
    Kind.MATCHING: _matching,
    Kind.ORDERING: _ordering,
}


def text_of(answer: object) -> str | None:
    """An answer as text: what a list or dict holds, one after the other. None where it is none, or far too long."""
    if answer is None:
        return ""
    if isinstance(answer, str):
        return answer if len(answer) <= LONGEST else None
    if isinstance(answer, bool):
        return str(answer)
    if isinstance(answer, int):
        return str(answer) if abs(answer) < 10**60 else None
    if isinstance(answer, float):
        return repr(answer)
    if isinstance(answer, dict) and len(answer) <= MOST:
        flat: list[object] = [part for pair in answer.items() for part in pair]
    elif isinstance(answer, list | tuple | set | frozenset) and len(answer) <= MOST:
        flat = sorted(answer, key=str) if isinstance(answer, set | frozenset) else list(answer)
    else:
        return None
    texts = [text_of(part) if isinstance(part, str | int | float) else None for part in flat]
    known = [text for text in texts if text is not None]
    return " ".join(known)[:LONGEST] if len(known) == len(texts) else None


def _clean(text: str) -> str:
    """NFKC, with what can't be seen left out and all spaces alike."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST])
    kept = "".join(" " if x.isspace() else x for x in plain if x.isspace() or unicodedata.category(x)[0] != "C")
    return "".join(str(unicodedata.digit(x)) if x.isdigit() else x for x in kept)


def _place(letter: str) -> int:
    if len(letter) != 1:
        return -1
    return LATIN.find(letter) if letter in LATIN else HEBREW.find(letter)


def _picked(item: Item, text: str) -> tuple[int, ...] | None:
    """By letters, else by the text of one choice itself."""
    if (found := letters(text, len(item.choices))) is not None:
        return found
    said = words(text)
    alike = [place for place, choice in enumerate(item.choices) if said and words(choice.text) == said]
    return (alike[0],) if len(alike) == 1 else None


def _pairs(text: str, lefts: int, rights: int) -> dict[int, int] | None:
    """By left side, counted from 0, the letter given to it; `1b 2a`, or letters alone in order. None if neither."""
    plain = _POINTS.sub("", _clean(text)).casefold()
    if any(letter.isdigit() for letter in plain):
        found = _PAIRED.findall(plain)
        pairs = [(int(number) - 1, _place(letter)) for number, letter in found]
        rest = re.sub(r"[\W_]+|and", "", _PAIRED.sub("", plain))
        given = dict(pairs)
        right = not rest and len(given) == len(pairs)
    else:
        parts = [part for part in re.split(r"[\W_]+", plain) if part]
        parts = list(parts[0]) if len(parts) == 1 else parts
        given = dict(enumerate(map(_place, parts)))
        right = len(parts) == lefts
    fits = all(0 <= left < lefts and 0 <= letter < rights for left, letter in given.items())
    return given if right and given and fits else None


def _readings(body: str) -> list[float]:
    """A number's digits, points and commas, read in every way that people mean them."""
    plain = re.sub(r"(?<=\d)['_ ](?=\d{3}(?!\d))", "", body)
    if re.search(r"['_ ]", plain):
        return []
    points, commas = plain.count("."), plain.count(",")
    if not commas:
        whole = plain.replace(".", "") if _GROUPED["."].fullmatch(plain) else plain
        return _float(whole)
    if points and commas:
        thousands, decimal = (",", ".") if plain.rfind(".") > plain.rfind(",") else (".", ",")
        head, _, tail = plain.rpartition(decimal)
        grouped = re.fullmatch(rf"\d{{1,3}}(\{thousands}\d{{3}})+", head)
        return _float(f"{head.replace(thousands, '')}.{tail}") if grouped and tail.isdigit() else []
    readings = _float(plain.replace(",", ".")) if commas == 1 else []
    return readings + (_float(plain.replace(",", "")) if _GROUPED[","].fullmatch(plain) else [])


def _float(text: str) -> list[float]:
    try:
        value = float(text)
    except ValueError:
        return []
    return [value] if math.isfinite(value) else []


def _scaled(sign: str, readings: Sequence[float], power: str | None, share: float | None) -> tuple[float, ...]:
    if share is None:
        return ()
    exponent = int(power) if power else 0
    try:
        found = [
            _signed(sign, share * float(f"{value!r}e{exponent}" if "e" not in repr(value) else value))
            for value in readings
        ]
    except ValueError:
        return ()
    return tuple(value for value in found if math.isfinite(value))


def _signed(sign: str, value: float) -> float:
    return -value if sign == "-" else value


def _is_unit(rest: str, unit: str) -> float | None:
    """What a number is to be multiplied by, because of what stands after it; None where that is no unit of the item."""
    said, wanted = words(rest), words(unit)
    if (not said and "%" not in rest) or said == wanted:
        return 1.0
    if said == "%" or (not said and "%" in rest):
        return 0.01
    short = min(3, len(wanted))
    alike = bool(wanted) and said[:short] == wanted[:short] and " " not in said
    return 1.0 if alike and (len(wanted) > 2 or said == wanted) else None


def _keys(item: Item) -> tuple[int, ...]:
    return tuple(place for place, choice in enumerate(item.choices) if choice.right and choice.text)


def _together(said: Sequence[str]) -> str:
    return "\n\n".join(dict.fromkeys(text for text in said if text))
