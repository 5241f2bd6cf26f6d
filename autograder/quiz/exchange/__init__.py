"""Banks for other systems, and from them: six formats, each read and written, and what each can't hold named.

What an export loses is not listed by hand: the written file is read back, and every difference is a loss.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from autograder.errors import InstructorError
from autograder.quiz import draw, lint
from autograder.quiz.exchange import ai_for_beginners, forms, gift, jupyterquiz, limits, moodle_xml, qti12, qti21
from autograder.quiz.exchange.forms import Draft, Export, Found
from autograder.quiz.exchange.limits import UnreadableExchange
from autograder.quiz.lint import Finding
from autograder.quiz.records import Kind, Quiz
from autograder.text import write_whole

__all__ = ["FORMATS", "Format", "Imported", "UnreadableExchange", "Variants", "Written", "read", "reads", "write"]


@dataclass(frozen=True, slots=True)
class Format:
    """suffix: of its files.  validated: which programs of others read our exports in the tests.

    unread: the kinds of items that none of those programs reads.
    """

    name: str
    says: str
    suffix: str
    writes: Callable[[Sequence[Draft]], Export]
    reads: Callable[[bytes, str, str], Found]
    validated: str
    unread: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file of another system holds, and what is wrong with it."""

    quizzes: tuple[Quiz, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """An exported file. losses: what it does not hold, each with the items that it concerns."""

    path: Path
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variants:
    """How parametrised items are exported: so many of each, drawn from seeds that start at `seed`.

    modules: by the quiz's name, the functions beside it.  sources: by name, the quiz in the bank's own language.
    """

    modules: Mapping[str, ModuleType | None] = field(default_factory=dict)
    count: int = 10
    seed: int = 0
    sources: Mapping[str, Quiz] = field(default_factory=dict)


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(
            "ai-for-beginners",
            "JSON of the AI-For-Beginners quiz page",
            ".ai-for-beginners.json",
            ai_for_beginners.write,
            ai_for_beginners.read,
            "",
        ),
        Format(
            "moodle-xml",
            "Moodle XML",
            ".moodle.xml",
            moodle_xml.write,
            moodle_xml.read,
            "moodle-xml-parser",
            frozenset(Kind) - {Kind.SINGLE, Kind.MULTIPLE},
        ),
        Format("gift", "GIFT", ".gift", gift.write, gift.read, "gift-pegjs"),
        Format(
            "qti-1.2",
            "QTI 1.2, for Canvas",
            ".qti12.zip",
            qti12.write,
            qti12.read,
            "qti2latex, qti-package-maker's integrity check",
        ),
        Format(
            "qti-2.1",
            "QTI 2.1",
            ".qti21.zip",
            qti21.write,
            qti21.read,
            "onyx2moodle, qti-package-maker's integrity check",
            frozenset({Kind.ORDERING}),
        ),
        Format(
            "jupyterquiz",
            "JSON of jupyterquiz, for self-checks in notebooks",
            ".jupyterquiz.json",
            jupyterquiz.write,
            jupyterquiz.read,
            "jupyterquiz itself, in Chromium",
        ),
    )
}


def read(format: str, path: Path, language: str = "") -> Imported:
    """The quizzes of a file. language: which one they are in, where neither the file nor its letters say so.

    Raises UnreadableExchange, or WronglyDecoded, for what can't be taken.
    """
    return reads(format, limits.read(path), path.name, language)


def reads(format: str, data: bytes, name: str, language: str = "") -> Imported:
    """The same of bytes; `name` is what errors call them."""
    found = _format(format).reads(data, name, language)
    if not any(quiz.items for quiz in found.quizzes):
        raise UnreadableExchange(
            f"{name} holds no question that a bank can hold. Check the format, and what it exports."
        )
    findings = [_warning(found, *warning) for warning in found.warnings]
    for quiz in found.quizzes:
        findings += lint.imported(quiz)
    return Imported(found.quizzes, tuple(findings))


def write(format: str, quizzes: Sequence[Quiz], out: Path, variants: Variants | None = None) -> Written:
    """Write quizzes into one file; `out` is the file, or a folder in which it gets the quiz's name.

    A jupyterquiz whose file ends in `.ipynb` is a notebook that shows it.
    Raises InstructorError if a parametrised item has nothing to be drawn from.
    """
    kind = _format(format)
    if not quizzes:
        raise InstructorError("No quiz was named. Name at least one.")
    drafts = [drawn(quiz, variants) for quiz in quizzes]
    export = kind.writes(drafts)
    name = f"{quizzes[0].name}.{quizzes[0].language}" if len(quizzes) == 1 else f"quizzes.{quizzes[0].language}"
    path = out / f"{name}{kind.suffix}" if out.is_dir() else out
    back = _format(format).reads(export.data, path.name, "")
    losses = forms.losses(drafts, back, export)
    packed = path.suffix == ".ipynb" and format == "jupyterquiz"
    write_whole(path, jupyterquiz.notebook([draft.quiz for draft in drafts]) if packed else export.data)
    drawn_from = tuple(dict.fromkeys(name for draft in drafts for name in draft.families.values()))
    if drawn_from and variants is not None:
        told = (
            f"that numbers are drawn for each student ({variants.count} variants each instead): {', '.join(drawn_from)}"
        )
        losses = (told, *losses)
    return Written(path, (*losses, *_not_validated(kind, drafts)))


def _not_validated(kind: Format, drafts: Sequence[Draft]) -> tuple[str, ...]:
    if not kind.validated:
        return ("not validated: no other program that reads this format could be had",)
    there = {item.kind for draft in drafts for item in draft.quiz.items} & kind.unread
    if not there:
        return ()
    named = ", ".join(sorted(there))
    return (f"not validated: no other program that reads {named} items of this format could be had",)


def drawn(quiz: Quiz, variants: Variants | None) -> Draft:
    """The quiz with so many variants in place of each parametrised item."""
    if not any(item.draw for item in quiz.items):
        return Draft(quiz)
    if variants is None or variants.count < 1:
        named = ", ".join(item.id for item in quiz.items if item.draw)
        raise InstructorError(f"{quiz.name}: {named}: parametrised, so say how many variants of each to export.")
    module, source = variants.modules.get(quiz.name), variants.sources.get(quiz.name)
    seeds = range(variants.seed, variants.seed + variants.count)
    sheets = [draw.fill(quiz, module, seed, source) for seed in seeds]
    items, families = [], {}
    for place, item in enumerate(quiz.items):
        if not item.draw:
            items.append(item)
            continue
        for number, sheet in enumerate(sheets, 1):
            id_ = f"{item.id}-v{number}"
            items.append(replace(sheet.items[place], id=id_, draw=""))
            families[id_] = item.id
    return Draft(replace(quiz, items=tuple(items)), families)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise InstructorError(f"There is no format {name!r}. There are {', '.join(FORMATS)}.")
    return FORMATS[name]


def _warning(found: Found, quiz: str, item: str, rule: str, says: str) -> Finding:
    languages = {each.name: each.language for each in found.quizzes}
    return Finding(quiz, languages.get(quiz, ""), item, rule, says)
