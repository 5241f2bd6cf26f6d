"""The words around the questions, in each language: a file each in `words/`, what is missing there from English."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from autograder.quiz.records import Item, Kind

FOLDER = Path(__file__).parent / "words"
RIGHT_TO_LEFT = frozenset({"he", "iw", "yi", "ar", "fa", "ur", "ps", "sd", "ug", "dv", "ckb", "syr"})


@dataclass(frozen=True)
class Words:
    """One language's words. direction: `ltr` or `rtl`.  letters: what choices are called by, in order."""

    language: str
    direction: str
    letters: str
    texts: dict[str, Any]

    @property
    def arrow(self) -> str:
        """From what is read first to what is read next."""
        return "←" if self.direction == "rtl" else "→"

    def __call__(self, key: str, **values: object) -> str:
        """The text `section.name`, with its `{names}` filled in."""
        section, _, name = key.partition(".")
        text = self.texts[section][name] if name else self.texts[section]
        return str(text).format(**values) if values else str(text)

    def hint(self, item: Item) -> str:
        """What an answer to an item looks like."""
        if item.kind is Kind.SINGLE:
            named = self.letters[: len(item.choices)]
            listed = f"{', '.join(named[:-1])} {self('or')} {named[-1]}"
            return self("hint.single", letters=listed)
        if item.kind is Kind.NUMERIC and item.unit:
            return self("hint.numeric_unit", unit=item.unit)
        return self(f"hint.{item.kind}")

    def points(self, points: float) -> str:
        """So many points, in words."""
        return self("sheet.points_one") if points == 1 else self("sheet.points", points=f"{points:g}")


@cache
def load(language: str) -> Words:
    """A language's words; English ones for a language that has none, set in its own direction."""
    english = _read("en")
    own = _read(language) or _read(language.partition("-")[0])
    texts = {
        key: {**value, **own.get(key, {})} if isinstance(value, dict) else own.get(key, value)
        for key, value in english.items()
    }
    backwards = language.partition("-")[0] in RIGHT_TO_LEFT
    direction = str(own["direction"]) if "direction" in own else "rtl" if backwards else "ltr"
    return Words(language, direction, str(texts["letters"]), texts)


def known() -> Sequence[str]:
    """The languages that have words of their own."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _read(language: str) -> dict[str, Any]:
    path = FOLDER / f"{language}.toml"
    return tomllib.loads(path.read_text("utf-8")) if language.replace("-", "").isalnum() and path.is_file() else {}
