"""What the rooms of the quiz hand to one another: frozen data, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """How an item is answered."""

    SINGLE = "single"
    MULTIPLE = "multiple"
    NUMERIC = "numeric"
    SHORT = "short"
    MATCHING = "matching"
    ORDERING = "ordering"


class Shown(StrEnum):
    """When a student is told what was right, and why."""

    AT_ONCE = "at once"
    SUBMITTED = "after submission"
    DUE = "after the due date"


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer that the bank knows, and what is said to whoever gives it.

    text: Markdown; of a numeric item the value, of a short one the words, of a matching one its left side.
    right: whether it is a key. In matching and ordering items every true pair and every step is one.
    match: the right side of a pair; a pair without a left side only distracts.
    tolerance: how far from a numeric value an answer may lie, in the item's unit; with `relative`, as a share of it.
    credit: the share of the points that it earns by itself, 1 for a key.
    mistake: the id of the assignment's known mistake that it reveals.
    """

    text: str
    right: bool
    why: str
    match: str = ""
    tolerance: float = 0.0
    relative: bool = False
    credit: float = 0.0
    mistake: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One question, as the bank's author wrote it in one language; `{{name}}` stands where a draw puts its values.

    why: said to whoever gave an answer that the bank does not know, or none.
    draw: the function in `draws.py` that gives the values, empty if there is none.
    shuffle: whether each student sees the choices in an order of her own.
    """

    id: str
    kind: Kind
    text: str
    choices: tuple[Choice, ...]
    objective: str
    source: str
    points: float = 1.0
    why: str = ""
    unit: str = ""
    draw: str = ""
    shuffle: bool = True


@dataclass(frozen=True, slots=True)
class Quiz:
    """One quiz in one language.

    name: its folder's.  assignment: whose known mistakes the choices may name, empty for the lesson as a whole.
    language: an IETF tag such as `he`.  shown: when keys and explanations are.  attempts: 0 if there is no limit.
    minutes: about how long it takes.  due: when it closes, with an offset.
    """

    name: str
    title: str
    language: str
    items: tuple[Item, ...]
    assignment: str = ""
    shown: Shown = Shown.SUBMITTED
    attempts: int = 0
    minutes: int = 10
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A quiz as one student gets it in one attempt, in any language: values filled in, choices in her own order.

    Steps of ordering items stay in the right order, and pairs keep their right sides; `shown` says how they appear.
    shown: by item, where letters stand for something else than the choices in order: the choice that each letter means,
    a step of an ordering item, the right side of a matching one.
    origin: by item, where each choice stands in the bank.
    """

    quiz: Quiz
    student: str
    attempt: int
    shown: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    origin: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Trouble(StrEnum):
    """Why an answer could not be marked."""

    NONE = ""
    BLANK = "blank"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Mark:
    """What one answer earned. Places count the item's choices from 0.

    chosen: what the answer named; of a numeric or short one the known answer that it equals, if there is one.  missed:
    what it should have named besides.  feedback: the explanations of both, else the item's own; Markdown.
    mistake: the first that it reveals.
    """

    points: float
    chosen: tuple[int, ...] = ()
    missed: tuple[int, ...] = ()
    feedback: str = ""
    mistake: str = ""
    trouble: Trouble = Trouble.NONE
