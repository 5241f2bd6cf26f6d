"""What strangers wrote, made fit for a page, a terminal, a spreadsheet, a file name; and files written whole."""

import hashlib
import os
import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
_BREAKS = re.compile(r"\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_HARMLESS = re.compile(
    "[\t\n -~\u00a1-\u00ac\u00ae-\u02ff\u0391-\u03c9\u05d0-\u05ea\u2010-\u2015\u2018-\u2026\u2070-\u209c\u2190-\u22ff]*"
)
_JOINERS = "\u200c\u200d"
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
_MARKS_IN_A_ROW = 4
_FORMULA = re.compile(r"(^|[;,|]\s*)(?=[=+\-@＝＋－＠])")
_GUARD = re.compile(r"(^|[;,|]\s*)'(?=[=+\-@＝＋－＠])")
_IN_FILE_NAMES = frozenset(" -_.,'()+@")
_FILE_NAME_BYTES = 120
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def visible(text: str, limit: int = 4000) -> str:
    """The text with nothing in it that acts, cut at `limit` characters. Line ends and tabs stay.

    Terminal escapes and control characters are gone; characters that hide or reorder others are spelled out: ⟨U+202E⟩.
    """
    if len(text) <= limit and _HARMLESS.fullmatch(text):
        return text
    plain = _BREAKS.sub("\n", _ESCAPES.sub("", text[: 8 * limit]))
    shown: list[str] = []
    marks = 0
    for character in plain:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= _MARKS_IN_A_ROW:
            shown.append(_spelled(character))
    whole = "".join(shown)
    return whole if len(whole) <= limit and len(text) <= 8 * limit else whole[: limit - 1].rstrip() + "…"


def line(text: str, limit: int = 200) -> str:
    """`visible`, on one line: a name, a title, an id."""
    return visible(" ".join(visible(text, 8 * limit).split()), limit)


def cell(text: str) -> str:
    """One line that no spreadsheet takes for a formula, whichever separator it splits at."""
    return _FORMULA.sub(r"\1'", line(text))


def unguarded(text: str) -> str:
    """What `cell` has made safe, as it was."""
    return _GUARD.sub(r"\1", text)


def file_names(ids: Iterable[str]) -> dict[str, str]:
    """A file name without suffix for each id: the id itself where that is safe, else what is safe of it and a digest.

    No two are the same, not even where case or Unicode form do not count. A name never depends on the order of the ids.
    """
    safe = {id_: _safe_name(id_) for id_ in ids}
    kept = {id_ for id_, name in safe.items() if name == unicodedata.normalize("NFC", id_)}
    alike = Counter(_folded(id_) for id_ in kept)
    alone = {id_ for id_ in kept if alike[_folded(id_)] == 1}
    return {id_: name if id_ in alone else f"{name}~{_digest(id_)}" for id_, name in safe.items()}


def write_whole(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write a file so that a reader finds the old one or the new one, never a part. The umask narrows `mode`."""
    fresh = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _spelled(character: str) -> str:
    if character in "\n\t" or character in _JOINERS:
        return character
    category = unicodedata.category(character)
    if category == "Cc":
        return ""
    if category in ("Cf", "Cs") or character in _BLANK_LETTERS:
        return f"⟨U+{ord(character):04X}⟩"
    return character


def _safe_name(id_: str) -> str:
    kept = "".join(c if _may_name_a_file(c) else "_" for c in unicodedata.normalize("NFC", id_[:1000]))
    short = kept.lstrip(" .-+@").encode("utf-8")[:_FILE_NAME_BYTES].decode("utf-8", "ignore").rstrip(" .") or "_"
    return f"_{short}" if _DEVICES.match(short) else short


def _may_name_a_file(character: str) -> bool:
    return character.isalnum() or character in _IN_FILE_NAMES or unicodedata.category(character).startswith("M")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _digest(id_: str) -> str:
    return hashlib.sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()[:16]
