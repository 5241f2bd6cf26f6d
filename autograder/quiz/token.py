"""Says whose sheet a sheet is, in a line that only the course can have written."""

import base64
import binascii
import hmac
import json
import re
from dataclasses import asdict, dataclass

from autograder.quiz.records import Sheet

VARIABLE = "quiz_sheet"
LONGEST = 2000

_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Token:
    """What a sheet was made from. print: tells one content from another, with the course's secret in it."""

    quiz: str
    student: str
    attempt: int
    language: str
    print: str


def make(sheet: Sheet, secret: bytes) -> str:
    """The line for a sheet: what it was made from, and the course's seal on that."""
    quiz = sheet.quiz
    said = Token(quiz.name, sheet.student, sheet.attempt, quiz.language, content(sheet, secret))
    body = _text(json.dumps(asdict(said), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    return f"{body}.{_seal(body, secret)}"


def read(text: object, secret: bytes) -> Token | None:
    """What a line says; None unless this course wrote it, every letter of it."""
    if not isinstance(text, str) or len(text) > LONGEST or not text.isascii():
        return None
    body, _, seal = text.strip().partition(".")
    if not hmac.compare_digest(seal, _seal(body, secret)):
        return None
    try:
        plain = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return Token(**plain)
    except (ValueError, TypeError, binascii.Error):
        return None


def content(sheet: Sheet, secret: bytes) -> str:
    """A print of what answers to a sheet mean: its items, kinds, the order of the choices and the numbers in them."""
    plain = [
        [item.id, item.kind, sheet.origin.get(item.id), sheet.shown.get(item.id)]
        + [_NUMBERS.findall(f"{choice.text} {choice.match}") for choice in item.choices]
        for item in sheet.quiz.items
    ]
    message = json.dumps(["content", sheet.quiz.name, plain]).encode()
    return hmac.digest(secret, message, "sha256").hex()[:12]


def _seal(body: str, secret: bytes) -> str:
    return _text(hmac.digest(secret, f"quiz sheet\0{body}".encode(), "sha256")[:18])


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
