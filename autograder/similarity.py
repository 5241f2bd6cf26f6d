"""Pairs of submissions with suspiciously much code in common, once what everybody was given is left out.

A fragment is a run of code in which names, comments and the contents of strings do not count; copydetect cuts and
compares them, in the manner of Moss (Schleimer, Wilkerson, Aiken: Winnowing, SIGMOD 2003). What stands in the stub, or
in more than half of a class, is nobody's own. The rest is a reason to look, and proves nothing.
"""

import csv
import importlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autograder import course, intake, notebook, site
from autograder.errors import InstructorError, OperatorError, UnreadableSubmission
from autograder.records import Entry
from autograder.scratch import private_folder
from autograder.text import cell, line, visible, write_whole

FRAGMENT = 25
FEWEST = 40
COMMON = 10
LONGEST = 200_000
MOST = 200
SHOWN = 20
COLUMNS = (
    "share",
    "student",
    "submission",
    "of_hers",
    "other_student",
    "other_submission",
    "of_the_others",
    "fragments",
    "page",
)


@dataclass(frozen=True, slots=True)
class Request:
    """What to compare. assignment: whose stub is left out, all of the course's if None.  least: a share up to 1."""

    course: Path
    paths: tuple[Path, ...]
    assignment: str | None = None
    least: float = 0.6


@dataclass(frozen=True, slots=True)
class Side:
    """One of a pair. share: of her own fragments that the other has too.  parts: her code, and whether it is shared."""

    student: str
    submission: str
    share: float
    parts: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two works. fragments: how many they share."""

    one: Side
    other: Side
    fragments: int

    @property
    def share(self) -> float:
        """The greater of the two: of a copy with much added, only the other's share is great."""
        return max(self.one.share, self.other.share)


@dataclass(frozen=True, slots=True)
class Findings:
    """The pairs, the most alike first. compared: how many works.  more: how many pairs are left out for their number.

    notes: sentences on works that could not be compared.
    """

    pairs: tuple[Pair, ...]
    compared: int
    more: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Work:
    entry: Entry
    code: str
    own: frozenset[int]


def find(request: Request) -> Findings:
    """Compare each work with those of all other students.

    Raises InstructorError for a wrong path, or where the stub was not built; OperatorError without copydetect.
    """
    library = _copydetect()
    given = _given(library, request)
    works, notes = [], []
    with private_folder("intake") as scratch:
        entries = intake.discover(request.paths, scratch, request.assignment or "")
        for entry in entries:
            try:
                code = _code(entry)
            except UnreadableSubmission as error:
                notes.append(f"{line(entry.id)}: {line(str(error), 400)}")
            else:
                works.append(_Work(entry, code, _fragments(library, code) - given))
    common = _common([work.own for work in works])
    works = [replace(work, own=work.own - common) for work in works]
    compared = [work for work in works if len(work.own) >= FEWEST]
    notes += [f"{line(work.entry.id)}: has too little code of its own." for work in works if work not in compared]
    alike = sorted(_alike(compared, request.least), key=lambda found: -found[0])
    pairs = tuple(_pair(library, one, other) for _, one, other in alike[:MOST])
    return Findings(pairs, len(compared), len(alike) - len(pairs), tuple(notes))


def write(out: Path, findings: Findings) -> None:
    """Write `index.html`, `similar.csv`, and a page for each pair with both works side by side."""
    pages = [f"pairs/{number:03}.html" for number in range(1, len(findings.pairs) + 1)]
    templates = site.templates()
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        (out / "pairs").mkdir(exist_ok=True)
        for old in (out / "pairs").glob("[0-9][0-9][0-9].html"):
            old.unlink()
        for page, pair in zip(pages, findings.pairs, strict=True):
            write_whole(out / page, templates.get_template("pair.html").render(pair=pair))
        rows = list(zip(pages, findings.pairs, strict=True))
        write_whole(out / "index.html", templates.get_template("similar.html").render(findings=findings, rows=rows))
        write_whole(out / "similar.csv", _csv(rows))
    except OSError as error:
        raise OperatorError(f"{out} can't be written ({error.strerror}). Give another folder with --out.") from error


def table(findings: Findings) -> RenderableType:
    """For a terminal."""
    count, more = len(findings.pairs), max(0, len(findings.pairs) - SHOWN) + findings.more
    said = Text(f"{findings.compared} works compared, {count + findings.more} pairs alike.")
    if not findings.pairs:
        return said
    shown = Table(header_style="bold", pad_edge=False, box=None)
    shown.add_column("share", justify="right", no_wrap=True)
    for heading in ("student", "and", "submissions"):
        shown.add_column(heading, overflow="fold")
    for pair in findings.pairs[:SHOWN]:
        both = f"{line(pair.one.submission, 60)}, {line(pair.other.submission, 60)}"
        names = (line(pair.one.student, 60), line(pair.other.student, 60), both)
        shown.add_row(f"{100 * pair.share:.0f} %", *map(Text, names))
    rest = [Text(f"... and {more} more.")] if more else []
    return Group(shown, *rest, Text(""), said)


def _copydetect() -> ModuleType:
    try:
        return importlib.import_module("copydetect")
    except ImportError as error:
        raise OperatorError(
            "copydetect is not installed here, and works are compared through it: pip install "
            "'attention-autograder[similar]'."
        ) from error


def _given(library: ModuleType, request: Request) -> frozenset[int]:
    """The fragments of what students were given."""
    names = [request.assignment] if request.assignment else course.names(request.course)
    folders = [request.course / "assignments" / name for name in names]
    stubs = [path for folder in folders for path in sorted(folder.glob("*")) if path.suffix in (".py", ".ipynb")]
    if not stubs:
        raise InstructorError(
            f"{folders[0]} holds no stub, which is to be left out: run `autograder build {names[0]}` first, or name "
            "another with --assignment."
        )
    found: frozenset[int] = frozenset()
    for path in stubs:
        found |= _fragments(library, _code(Entry(path.stem, "", path)))
    return found


def _code(entry: Entry) -> str:
    """All code of a work, as it is compared and shown. Raises UnreadableSubmission."""
    return visible("\n\n".join(cell.source.strip("\n") for cell in notebook.extract(entry).cells), LONGEST).strip("\n")


def _fragments(library: ModuleType, code: str) -> frozenset[int]:
    return frozenset(map(int, _fingerprint(library, code).hashes))


@lru_cache(maxsize=128)
def _fingerprint(library: ModuleType, code: str) -> Any:
    """All fragments of a work: where they are, and a hash of each, which holds in this process only."""
    found = library.CodeFingerprint("work.py", FRAGMENT, 1, language="python", fp=io.StringIO(code))
    found.offsets[:, 1] = np.maximum.accumulate(found.offsets[:, 1])  # copydetect 0.5 sets them back at each class
    return found


def _common(works: Sequence[frozenset[int]]) -> set[int]:
    """What more than half of a class has, as there are few ways to write it. In a small class nothing is."""
    counts = Counter(each for work in works for each in work)
    most = max(COMMON, len(works) // 2)
    return {each for each, count in counts.items() if count > most}


def _alike(works: Sequence[_Work], least: float) -> Iterator[tuple[float, _Work, _Work]]:
    for one, other in combinations(works, 2):
        if one.entry.student != other.entry.student:
            share = len(one.own & other.own) / min(len(one.own), len(other.own))
            if share >= least:
                yield share, one, other


def _pair(library: ModuleType, one: _Work, other: _Work) -> Pair:
    shared = one.own & other.own
    printed = [copy(_fingerprint(library, work.code)) for work in (one, other)]
    for each in printed:
        each.hashes = shared
    _, _, slices = library.compare_files(*printed)
    return Pair(_side(one, shared, slices[0]), _side(other, shared, slices[1]), len(shared))


def _side(work: _Work, shared: frozenset[int], slices: Any) -> Side:
    share = len(shared) / len(work.own)
    return Side(work.entry.student, work.entry.id, share, _parts(work.code, slices))


def _parts(code: str, slices: Any) -> tuple[tuple[str, bool], ...]:
    """The code cut where shared parts begin and end. slices: (2, N), where each begins, and ends."""
    parts: list[tuple[str, bool]] = []
    at = 0
    for start, end in zip(*slices.astype(int).tolist(), strict=True):
        if max(start, at) < min(end, len(code)):
            parts += [(code[at : max(start, at)], False), (code[max(start, at) : end], True)]
            at = min(end, len(code))
    return tuple(part for part in (*parts, (code[at:], False)) if part[0])


def _csv(rows: Sequence[tuple[str, Pair]]) -> str:
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow(COLUMNS)
    for page, pair in rows:
        one, other = (
            (cell(side.student), cell(side.submission), f"{side.share:.3f}") for side in (pair.one, pair.other)
        )
        sheet.writerow((f"{pair.share:.3f}", *one, *other, pair.fragments, page))
    return text.getvalue()
