"""Canvas: fills one column of the gradebook file that the teacher has exported from it.

What Canvas looks for in such a file (heading names, the row of maxima, the test student, EX and N/A) is taken from its
own exporter and importer.
"""

import re
from pathlib import Path

from autograder.errors import InstructorError
from autograder.exports import sheet
from autograder.exports.sheet import Filled, Sheet
from autograder.roster import Person, plain_name
from autograder.standing import Standings
from autograder.text import line

MAXIMA = "Points Possible"
READ_ONLY = "(read only)"
TEST_STUDENT = "student, test"
LEFT = ("EX", "N/A")
IDS = {"ID": "canvas", "SIS User ID": "number", "SIS Login ID": "login"}
FIXED = ("Student", "LastName", "FirstName", "Integration ID", "Root Account", "Section", *IDS)
WITH_ID = re.compile(r"(?P<title>.*) \((?P<id>\d+)\)\Z", re.DOTALL)
QUOTED_FORMULA = re.compile(r'="(.*)"\Z', re.DOTALL)


def fill(template: Path, standings: Standings, wanted: str | None = None, scale: bool = False) -> Filled:
    """The teacher's file with these grades. wanted: the heading of the column, else the assignment's title or name.

    Raises InstructorError if the file is no such export, or its column or maximum can't be told.
    """
    file = sheet.read(template)
    maxima = _maxima(file)
    column = _column(file, maxima, standings, wanted)
    most = sheet.value(file.text(maxima, column))
    if most is None:
        raise InstructorError(
            f"{template}: {line(file.headings[column])!r} has no {MAXIMA}. Give it points in Canvas and export again."
        )
    points = standings.assignment.points
    if not scale:
        sheet.refuse_another_maximum(file, most, points)
    people = {row: person for row in range(maxima + 1, len(file.rows)) if (person := _person(file, row))}
    return sheet.place(file, column, standings.rows, people).fill(points, most, LEFT)


def _maxima(file: Sheet) -> int:
    """The row of maxima, below which the students begin."""
    if not {"ID", "SIS Login ID", "Section"} <= set(file.headings):
        shown = ", ".join(map(line, file.headings[:8]))
        raise InstructorError(
            f"{file.path} is no gradebook export of Canvas: found the headings {shown}; expected Student, ID, SIS "
            "Login ID, Section and the assignments. In Canvas: Grades, Export, Export Entire Gradebook."
        )
    for row in range(1, len(file.rows)):
        if MAXIMA in file.text(row, 0):
            return row
    raise InstructorError(f"{file.path} has no row {MAXIMA!r}, which Canvas wants back. Export it from Canvas again.")


def _column(file: Sheet, maxima: int, standings: Standings, wanted: str | None) -> int:
    names = [wanted] if wanted else [standings.assignment.title, standings.assignment.name]
    looked = {plain_name(name) for name in names}
    open_ = [
        place
        for place, heading in enumerate(file.headings)
        if heading not in FIXED and file.text(maxima, place) != READ_ONLY
    ]
    found = [place for place in open_ if _titles(file.headings[place]) & looked]
    if len(found) == 1:
        return found[0]
    shown = " or ".join(repr(line(name)) for name in names)
    known = ", ".join(repr(line(file.headings[place])) for place in (found or open_)) or "none"
    count = f"{len(found)} columns are" if found else "no column is"
    raise InstructorError(f"{file.path}: {count} headed {shown}. Choose with --column one of: {known}.")


def _titles(heading: str) -> set[str]:
    """A heading, with and without the number that Canvas adds."""
    match = WITH_ID.match(heading)
    return {plain_name(heading)} | ({plain_name(match["title"]), match["id"]} if match else set())


def _person(file: Sheet, row: int) -> Person | None:
    cells = {heading: file.text(row, place) for place, heading in enumerate(file.headings) if heading in FIXED}
    name = QUOTED_FORMULA.sub(r"\1", cells.get("Student", ""))
    if plain_name(name) == TEST_STUDENT or not any(map(cells.get, (*IDS, "Student", "LastName"))):
        return None
    ids = {key: cells.get(heading, "") for heading, key in IDS.items()}
    return Person(name=name, first_name=cells.get("FirstName", ""), last_name=cells.get("LastName", ""), **ids)
