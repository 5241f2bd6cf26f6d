"""The class list: who is who under which id, and who was given more time. A CSV file with headings, read once."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl

from autograder.errors import InstructorError, OperatorError
from autograder.records import Extension, Grade
from autograder.text import line, unguarded

FILE = "roster.csv"
LARGEST = 32 * 2**20
DECADE = 3650
HEADINGS = {
    "student": ("student", "folder"),
    "name": ("name", "full name", "display name"),
    "first_name": ("first name", "given name", "firstname"),
    "last_name": ("last name", "surname", "family name", "lastname"),
    "number": ("id", "sid", "id number", "sis id", "sis user id", "student id", "student number", "matriculation"),
    "login": ("login", "login id", "sis login id", "username", "user name"),
    "email": ("email", "e-mail", "email address", "e-mail address", "mail"),
    "section": ("section", "group", "sections"),
    "canvas": ("canvas", "canvas id"),
    "moodle": ("moodle", "participant", "identifier"),
}
CANVAS = {"student", "id", "sis login id", "section"}
OF_CANVAS = {"student": "name", "id": "canvas"}
NOBODY = ("points possible", "student, test")
GIVEN = re.compile(r"(?:(extension)s?|(handed[ _]in)(?=\W))[\s:(_-]*([A-Za-z_]\w*)?\)?\Z", re.IGNORECASE)
MOMENT = "a date and time with an offset such as 2026-03-15T12:00:00+01:00"


@dataclass(frozen=True, slots=True)
class Person:
    """One student as a list, a platform or a submission knows her; what it does not know is empty.

    student: the name she hands in under.  number: her id at the university.  canvas, moodle: her ids there.
    """

    student: str = ""
    name: str = ""
    first_name: str = ""
    last_name: str = ""
    number: str = ""
    login: str = ""
    email: str = ""
    section: str = ""
    canvas: str = ""
    moodle: str = ""

    @property
    def shown(self) -> str:
        """A name for people to read."""
        known = (self.name, f"{self.first_name} {self.last_name}".strip(), self.student, self.email, self.login)
        return next(filter(None, (*known, self.number, self.canvas, self.moodle)), "")


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the roster. By assignment, with "" for every one: more time, and when the work was handed in."""

    person: Person
    extensions: dict[str, Extension]
    handed_in: dict[str, str]

    def extension(self, assignment: str) -> Extension | None:
        return self.extensions.get(assignment, self.extensions.get(""))


class Directory:
    """People to look somebody up among."""

    def __init__(self, people: Sequence[Person]) -> None:
        self.people = tuple(people)
        self._places: list[dict[tuple[str, str], list[int]]] = [{} for _ in SAID]
        for place, person in enumerate(people):
            for places, said in zip(self._places, SAID, strict=True):
                for key in said(person):
                    places.setdefault(key, []).append(place)

    def find(self, person: Person) -> list[int]:
        """Places of those whom this person may be, by ids where any agrees, else by the full name.

        Neither what she calls herself nor her name wins over ids that differ.
        """
        for places, said in zip(self._places, SAID, strict=True):
            found = sorted({place for key in said(person) for place in places.get(key, ())})
            if said is not _ids:
                found = [place for place in found if not _are_different(person, self.people[place])]
            if found:
                return found
        return []


@dataclass(frozen=True)
class Roster:
    """A class list, in its own order."""

    rows: tuple[Listed, ...] = ()

    @cached_property
    def _directory(self) -> Directory:
        return Directory([row.person for row in self.rows])

    def find(self, person: Person) -> list[Listed]:
        """The rows that this may be: one if it is known who it is, several if it can't be told."""
        return [self.rows[place] for place in self._directory.find(person)]


def read(path: Path, assignments: Iterable[str] = ()) -> Roster:
    """The roster in a CSV file. Raises InstructorError for what can't be meant, OperatorError if it can't be read."""
    text = _text(path)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        rows = [[unguarded(cell).strip() for cell in row] for row in table]
    except csv.Error as error:
        raise InstructorError(f"{path}, line {table.line_num}: not CSV ({error}). Save it as CSV once more.") from error
    filled = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    if not filled:
        raise InstructorError(f"{path} is empty: expected a row of headings such as student, name, email, extension.")
    columns = _columns(path, filled[0][1], list(assignments))
    listed = (_listed(f"{path}, row {number}", columns, row) for number, row in filled[1:])
    return Roster(tuple(row for row in listed if row.person.shown and plain_name(row.person.name) not in NOBODY))


def submitters(grade: Grade) -> list[Person]:
    """Who handed a submission in, as far as its platform and its own name tell: several for a group's work."""
    known = [_of_platform(entry) for entry in grade.people]
    if len(known) > 1:
        return known
    return [replace(known[0] if known else Person(), student=grade.student)]


def merged(person: Person, more: Person) -> Person:
    """The person, with what only the other knows."""
    return replace(
        more, **{field.name: getattr(person, field.name) or getattr(more, field.name) for field in fields(Person)}
    )


def plain_name(text: str) -> str:
    """A name without case, odd spaces and invisible characters, to compare it by."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(" " if unicodedata.category(x) in ("Cc", "Cf") or x == "\ufffd" else x for x in folded)
    return " ".join(kept.split())


def _ids(person: Person) -> set[tuple[str, str]]:
    """Ids in the form in which they are compared: a login may be an address."""
    known = {("number", person.number), ("canvas", person.canvas), ("moodle", person.moodle)}
    known |= {("address", text.casefold()) for text in (person.login, person.email)}
    return {(kind, id_) for kind, id_ in known if id_}


def _called(person: Person) -> set[tuple[str, str]]:
    """Ids, and a bare `student`, which may be any of them."""
    free = person.student.strip()
    known = {("number", free), ("address", free.casefold()), ("student", plain_name(free))}
    return _ids(person) | {(kind, id_) for kind, id_ in known if id_}


def _names(person: Person) -> set[tuple[str, str]]:
    forms = {plain_name(text) for text in (person.name, f"{person.first_name} {person.last_name}")}
    if not (person.name or person.last_name):
        forms |= {plain_name(person.student)}
    for form in list(forms):
        last, comma, first = form.partition(",")
        if comma and "," not in first:
            forms.add(f"{first.strip()} {last.strip()}")
    return {("name", form) for form in forms if form}


SAID = (_ids, _called, _names)


def _are_different(one: Person, other: Person) -> bool:
    def differ(key: str) -> bool:
        left, right = getattr(one, key).casefold(), getattr(other, key).casefold()
        return bool(left and right and left != right)

    return any(map(differ, ("number", "login", "email", "canvas", "moodle")))


def _of_platform(entry: str) -> Person:
    known = {field.name for field in fields(Person)}
    return Person(**{key: value for key, value in parse_qsl(entry) if key in known})


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise InstructorError(f"{path} has more than {LARGEST // 2**20} MiB: no class list. Check the path.")
        data = path.read_bytes()
    except OSError as error:
        raise OperatorError(f"{path} can't be read ({error.strerror}). Check the path given with --roster.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InstructorError(f"{path} is not UTF-8, so names would be garbled. Save it as 'CSV UTF-8'.") from error


def _delimiter(text: str) -> str:
    first = re.sub(r'"[^"]*"', "", text[:10_000].lstrip("\r\n")).partition("\n")[0]
    return max(",;\t", key=first.count)


def _columns(path: Path, headings: Sequence[str], assignments: list[str]) -> dict[int, tuple[str, str]]:
    """By place: what a column says, and of which assignment. Columns of other things are left out."""
    columns: dict[int, tuple[str, str]] = {}
    of_canvas = OF_CANVAS if set(map(plain_name, headings)) >= CANVAS else {}
    for place, heading in enumerate(headings):
        known = of_canvas.get(plain_name(heading)) or _known(heading)
        if known and known in [key for key, _ in columns.values()]:
            raise InstructorError(f"{path}: two columns say {known!r}; the second is {line(heading)!r}. Keep one.")
        if known:
            columns[place] = (known, "")
        elif given := GIVEN.match(heading):
            key = "extension" if given[1] else "handed_in"
            columns[place] = (key, _assignment(path, heading, given[3], assignments))
    if not any(key in HEADINGS and key != "section" for key, _ in columns.values()):
        raise InstructorError(
            f"{path} has no heading that says who is who: found {', '.join(map(line, headings))}; expected at least "
            "one of student, name, id, login, email."
        )
    return columns


def _known(heading: str) -> str:
    plain = plain_name(heading).replace("_", " ")
    return next((key for key, known in HEADINGS.items() if plain in known or plain == key.replace("_", " ")), "")


def _assignment(path: Path, heading: str, name: str | None, assignments: list[str]) -> str:
    if name and assignments and name not in assignments:
        listed = ", ".join(assignments)
        raise InstructorError(f"{path}: {line(heading)!r} names no assignment of this course. It has {listed}.")
    return name or ""


def _listed(place: str, columns: dict[int, tuple[str, str]], row: Sequence[str]) -> Listed:
    known: dict[str, str] = {}
    extensions: dict[str, Extension] = {}
    handed_in: dict[str, str] = {}
    for at, (key, assignment) in columns.items():
        cell = row[at] if at < len(row) else ""
        if key == "extension" and cell:
            extensions[assignment] = _extension(place, cell)
        elif key == "handed_in" and cell:
            handed_in[assignment] = _moment(place, cell).isoformat()
        elif key in HEADINGS:
            known[key] = " ".join(cell.split())
    person = Person(**known)
    if (extensions or handed_in) and not person.shown:
        raise InstructorError(f"{place}: nothing says whose extension this is. Fill in a name or an id.")
    return Listed(person, extensions, handed_in)


def _extension(place: str, cell: str) -> Extension:
    expected = f"a number of days, a date such as 2026-03-15, or {MOMENT}"
    if match := re.fullmatch(r"\+?(\d{1,4})( days?)?", cell):
        if int(match[1]) <= DECADE:
            return Extension(days=int(match[1]))
    elif re.fullmatch(r"\d{4}-\d\d-\d\d", cell):
        try:
            return Extension(until=date.fromisoformat(cell))
        except ValueError:
            pass
    else:
        try:
            return Extension(until=_moment(place, cell))
        except InstructorError:
            pass
    raise InstructorError(f"{place}: the extension is {line(cell)!r}; expected {expected}.")


def _moment(place: str, cell: str) -> datetime:
    try:
        found = datetime.fromisoformat(cell)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        raise InstructorError(f"{place}: found {line(cell)!r}, expected {MOMENT}.")
    return found
