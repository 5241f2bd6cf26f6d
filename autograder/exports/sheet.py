"""A teacher's own CSV file, taken apart so that single cells can be filled in and every other byte stays as it was."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import InstructorError, OperatorError
from autograder.reports import number
from autograder.roster import Directory, Person
from autograder.standing import Standing
from autograder.text import line

LARGEST = 64 * 2**20
BOM = b"\xef\xbb\xbf"
WIDE = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = ",;\t"
SAME = 1e-9
NUMBER = re.compile(r"\s*\d+(?:[.,]\d+)?\s*")


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a cell stands among the bytes, quotes included, and what it says."""

    start: int
    end: int
    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file. rows: without the empty ones."""

    path: Path
    data: bytes
    delimiter: str
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(cell.text.strip() for cell in self.rows[0])

    def text(self, row: int, column: int) -> str:
        """What a cell says; nothing where the row has no such cell."""
        return self.rows[row][column].text.strip() if column < len(self.rows[row]) else ""

    def column(self, column: int) -> list[str]:
        """What the cells below a heading say."""
        return [self.text(row, column) for row in range(1, len(self.rows))]

    def filled(self, cells: Mapping[tuple[int, int], str]) -> bytes:
        """The same bytes with other text in these cells, by (row, column).

        Raises InstructorError where a row is too short to have the cell.
        """
        edits: dict[Cell, str] = {}
        for (row, column), text in cells.items():
            if column >= len(self.rows[row]):
                raise InstructorError(
                    f"{self.path}: the row of {line(self.text(row, 0))!r} has {len(self.rows[row])} cells, and "
                    f"{line(self.headings[column])!r} is column {column + 1}. Export the file again."
                )
            edits[self.rows[row][column]] = text
        pieces, at = [], 0
        for cell in sorted(edits, key=lambda cell: cell.start):
            quote = cell.quoted or self.delimiter in edits[cell]
            pieces += [self.data[at : cell.start], (f'"{edits[cell]}"' if quote else edits[cell]).encode("ascii")]
            at = cell.end
        return b"".join((*pieces, self.data[at:]))


@dataclass(frozen=True, slots=True)
class Filled:
    """A file with grades in it. notes: what was left as it was, and why.  missed: whether somebody got no grade."""

    data: bytes
    notes: tuple[str, ...]
    missed: bool


def read(path: Path) -> Sheet:
    """Take a CSV file apart. Raises InstructorError if it is none, OperatorError if it can't be read."""
    try:
        if path.stat().st_size > LARGEST:
            raise InstructorError(f"{path} has more than {LARGEST // 2**20} MiB: no gradebook. Check the path.")
        data = path.read_bytes()
    except OSError as error:
        raise OperatorError(
            f"{path} can't be read ({error.strerror}). Check the path given with --template."
        ) from error
    if data.startswith(WIDE) or b"\0" in data:
        raise InstructorError(f"{path} is no CSV in UTF-8 (UTF-16, or a spreadsheet). Export it again as CSV.")
    try:
        data.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "cp1252"
    start = len(BOM) if data.startswith(BOM) else 0
    delimiter = _delimiter(data[start:])
    cut = map(tuple, _rows(path, data, start, delimiter, encoding))
    rows = [row for row in cut if any(cell.text.strip() for cell in row)]
    if not rows or len(rows[0]) < 2:
        raise InstructorError(f"{path} is no table of grades: expected headings, separated by commas. Export it again.")
    return Sheet(path, data, delimiter, tuple(rows))


def place(sheet: Sheet, column: int, standings: Sequence[Standing], people: Mapping[int, Person]) -> "Placing":
    """Which row is whose. people: who stands in each row. Nobody is guessed: of two possibilities none is taken."""
    rows = list(people)
    directory = Directory(list(people.values()))
    claims: dict[int, list[Standing]] = {}
    notes = []
    for standing in standings:
        found = [rows[at] for at in directory.find(standing.person)]
        if len(found) == 1:
            claims.setdefault(found[0], []).append(standing)
        elif found:
            several = " or ".join(f"row {row + 1} ({line(people[row].shown, 80)})" for row in found[:5])
            notes.append(f"{_who(standing)}: ambiguous, may be {several}; not filled in.")
        else:
            notes.append(f"{_who(standing)}: not in {sheet.path.name}; not filled in.")
    for row, claiming in claims.items():
        if len(claiming) > 1:
            who = " and ".join(map(_who, claiming))
            notes.append(f"{who}: ambiguous, all may be {line(people[row].shown, 80)}; not filled in.")
    sure = {row: standing for row, (standing, *others) in claims.items() if not others}
    return Placing(sheet, column, sure, len(people) - len(sure), tuple(notes))


@dataclass(frozen=True, slots=True)
class Placing:
    """Which row of a sheet is whose. column: where the grades go.  others: how many students in it have no grade."""

    sheet: Sheet
    column: int
    rows: Mapping[int, Standing]
    others: int
    notes: tuple[str, ...]

    def fill(self, points: float, most: float, left: Iterable[str] = ()) -> Filled:
        """Write the grades, `points` of which are `most` in the file. left: what a cell may say that is to stay."""
        decimals = decimal_mark((*self.sheet.column(self.column), *self.sheet.column(self.column + 1)))
        cells: dict[tuple[int, int], str] = {}
        notes = list(self.notes)
        changed = 0
        for row, standing in sorted(self.rows.items()):
            old = self.sheet.text(row, self.column)
            if standing.grade.score is None:
                notes.append(f"{_who(standing)}: is pending; not filled in.")
            elif abs((standing.grade.max_score or 0.0) - points) > SAME:
                so_far = f"{number(standing.grade.max_score)} of {number(points)}"
                notes.append(f"{_who(standing)}: only {so_far} points are graded so far; not filled in.")
            elif old.upper() in left:
                notes.append(f"{_who(standing)}: the cell says {old}; left as it is.")
            else:
                new = number(standing.grade.score * most / points)
                if value(old) != value(new):
                    cells[row, self.column] = new.replace(".", decimals)
                    changed += value(old) is not None
        missed = bool(notes)
        notes.append(
            f"Grades filled in: {len(cells)}, of these in place of another: {changed}. "
            f"Rows of students without a grade, left as they were: {self.others}."
        )
        return Filled(self.sheet.filled(cells), tuple(notes), missed)


def decimal_mark(texts: Iterable[str]) -> str:
    """A comma where numbers are written with one, and with nothing else."""
    marks = {mark for text in texts if NUMBER.fullmatch(text) for mark in ".," if mark in text}
    return "," if marks == {","} else "."


def value(text: str) -> float | None:
    """The number that a cell holds."""
    return float(text.strip().replace(",", ".")) if NUMBER.fullmatch(text) else None


def refuse_another_maximum(sheet: Sheet, most: float, points: float) -> None:
    """Raises InstructorError unless the file's maximum is the assignment's."""
    if abs(most - points) > SAME:
        raise InstructorError(
            f"{sheet.path}: the maximum there is {number(most)}, the assignment has {number(points)} points. Change it "
            "there and export the file again, or add --scale to have every grade scaled."
        )


def _who(standing: Standing) -> str:
    return f"{line(standing.person.shown, 80)} ({line(standing.grade.submission, 80)})"


def _delimiter(data: bytes) -> str:
    first = re.sub(rb'"[^"]*"', b"", data[:100_000].lstrip(b"\r\n")).splitlines()[:1]
    return max(DELIMITERS, key=lambda mark: first[0].count(mark.encode())) if first else ","


def _rows(path: Path, data: bytes, start: int, delimiter: str, encoding: str) -> Iterable[list[Cell]]:
    mark = re.escape(delimiter.encode())
    shape = re.compile(rb'("(?:[^"]|"")*"[^%b\r\n]*|[^%b\r\n]*)(%b|\r\n|\r|\n|\Z)' % (mark, mark, mark))
    row: list[Cell] = []
    at, number_ = start, 1
    while at < len(data):
        match = shape.match(data, at)
        if match is None or (match[1].startswith(b'"') and match[1].count(b'"') % 2):
            raise InstructorError(f"{path}, row {number_}: a quotation mark is never closed. Export the file again.")
        row.append(_cell(match, encoding))
        at = match.end()
        if match[2] != delimiter.encode() or at == len(data):
            if match[2] == delimiter.encode():
                row.append(Cell(at, at, "", False))
            yield row
            row, number_ = [], number_ + 1


def _cell(match: re.Match[bytes], encoding: str) -> Cell:
    raw = match[1].decode(encoding, "replace")
    quoted = raw.startswith('"')
    inner, _, rest = raw[1:].rpartition('"') if quoted else (raw, "", "")
    return Cell(match.start(1), match.end(1), inner.replace('""', '"') + rest if quoted else raw, quoted)
