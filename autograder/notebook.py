"""From a file that was handed in to its code cells. Nothing is run here, and nothing but JSON is parsed."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from autograder import pruning
from autograder.errors import UnreadableSubmission
from autograder.quarantine import apart
from autograder.records import Cell, Entry, Submission

FILE_CAP = 100 * 2**20
SMALL = 2 * 2**20
OPENED = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):  # no system has all of them
    OPENED |= getattr(os, _flag, 0)
SKIP = re.compile(r"\s*#[ \t]*autograder[ \t]*:[ \t]*skip\b")
PERCENT = re.compile(r"#[ \t]?%%(?!%)(?=\s|\[|$)(?P<title>.*)")
PROSE = re.compile(r"\[(markdown|md|raw)\]")
GUARD = re.compile(r"""if\s+__name__\s*==\s*["']__main__["']\s*:""")


def extract(entry: Entry) -> Submission:
    """The code cells of a notebook (`.ipynb`) or Python file (`.py`).

    Raises UnreadableSubmission; its text is for the student.
    """
    if entry.problem:
        raise UnreadableSubmission(entry.problem)
    try:
        sources = _notebook(entry) if entry.path.suffix.lower() == ".ipynb" else _module(entry)
    except UnreadableSubmission as error:
        raise UnreadableSubmission(f"{_shown(entry)} {error}") from error
    except OSError as error:
        raise UnreadableSubmission(f"{_shown(entry)} can't be opened ({error.strerror}). Hand it in again.") from error
    cells = tuple(
        Cell(number, source, skip or bool(SKIP.match(source))) for number, (source, skip) in enumerate(sources, 1)
    )
    if not any(cell.source.strip() for cell in cells):
        raise UnreadableSubmission(
            f"{_shown(entry)} has no code: it has {len(cells)} code cells, and nothing is written in them. "
            "Hand in the notebook in which you worked."
        )
    return Submission(entry.id, entry.student, cells, digest(cells), (entry.note,) if entry.note else ())


def digest(cells: tuple[Cell, ...]) -> str:
    """The SHA-256 of the cells' sources, each with its length, so that no two lists of cells share one."""
    total = hashlib.sha256()
    for cell in cells:
        source = cell.source.encode()
        total.update(b"%d:" % len(source) + source)
    return total.hexdigest()


def unreadable(problem: str) -> str:
    """Stands for the digest of what can't be read: the same as long as it can't be read for the same reason."""
    return f"unreadable {hashlib.sha256(problem.encode('utf-8', 'replace')).hexdigest()[:32]}"


def together(entries: Iterable[Entry]) -> str:
    """Tells one set of submissions from another, by their names and contents.

    Whatever is new among them makes another set of it, so nobody can learn from one batch what the next one will draw.
    """
    total = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.id):
        try:
            with _opened(entry) as file:
                content = hashlib.sha256(file.read()).digest()
        except (UnreadableSubmission, OSError):
            content = b""
        name = entry.id.encode("utf-8", "surrogateescape")
        total.update(b"%d:%s%d:%s" % (len(name), name, len(content), content))
    return total.hexdigest()[:32]


def _notebook(entry: Entry) -> list[tuple[str, bool]]:
    with _opened(entry) as file:
        small = os.fstat(file.fileno()).st_size <= SMALL
        pruned = pruning.prune(_whole(file)) if small else apart("pruning:prune_file", file)
    return [(source, False) for source in sources(pruned)]


def sources(pruned: dict[str, Any]) -> list[str]:
    """The code cells of what `pruning` has left of a notebook, of whatever format."""
    if pruned["nbformat"] != 4:
        from nbformat import convert, versions  # takes up to a second, and format 4 is what people have

        pruned = convert(versions[pruned["nbformat"]].to_notebook_json(pruned), 4)
    return [cell["source"] for cell in pruned["cells"]]


def _module(entry: Entry) -> list[tuple[str, bool]]:
    with _opened(entry) as file:
        data = _whole(file)
    if not data.strip():
        raise UnreadableSubmission("is empty. Save your code and hand it in again.")
    if kind := pruning.what_it_is(data):
        raise UnreadableSubmission(f"is {kind}, not Python: a file ending in .py must hold Python code.")
    text = pruning.decode(data).replace("\r\n", "\n").replace("\r", "\n")
    if text.lstrip().startswith("{") and '"cell_type"' in text:
        raise UnreadableSubmission(
            "is a notebook under a Python name. Let its name end in .ipynb and hand it in again."
        )
    cells = list(_split(text))
    pruning.refuse_too_much([source for source, _ in cells])
    return cells


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """The percent cells of a Python file, prose left out; a main guard is a cell of its own, and skipped."""
    lines: list[str] = []
    prose = guard = False
    for line in text.split("\n"):
        marker = PERCENT.match(line)
        leaves = guard and line[:1].strip() and not line.startswith(("#", ")", "]", "}", "else:", "elif "))
        if marker or leaves or (enters := not prose and not guard and GUARD.match(line)):
            if not prose and _holds_code(lines):
                yield _joined(lines), guard
            lines = []
            prose = bool(PROSE.search(marker["title"])) if marker else prose
            guard = not marker and not leaves and bool(enters)
        if not marker:
            lines.append(line)
    if not prose and _holds_code(lines):
        yield _joined(lines), guard


def _holds_code(lines: list[str]) -> bool:
    return any(line.strip() and (not line.lstrip().startswith("#") or SKIP.match(line)) for line in lines)


def _joined(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n") + "\n"


def _opened(entry: Entry) -> BinaryIO:
    try:
        descriptor = os.open(entry.path, OPENED)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnreadableSubmission("is a link. Hand in the file itself.") from error
        raise
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_size <= FILE_CAP:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise UnreadableSubmission("is no ordinary file. Hand in the notebook itself.")
    raise UnreadableSubmission(
        f"is {state.st_size / 1e6:.0f} MB large; at most {FILE_CAP // 10**6} MB are read. "
        "Clear its outputs (Edit > Clear Outputs of All Cells), save it and hand it in again."
    )


def _whole(file: BinaryIO) -> bytes:
    data = file.read(SMALL + 1)
    if len(data) > SMALL:
        raise UnreadableSubmission(f"has more than {SMALL // 10**6} MB of code. Move data out of the file.")
    return data


def _shown(entry: Entry) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in entry.path.name)[:100]
