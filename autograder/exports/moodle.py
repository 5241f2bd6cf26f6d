"""Moodle: fills the grade column of the worksheet that the teacher has downloaded from an assignment.

Moodle finds its columns by their headings, which are in the teacher's language. The ones listed here are from its own
language packs. In another language the columns are told by what stands in them, or not at all.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.errors import InstructorError
from autograder.exports import sheet
from autograder.exports.sheet import Filled, Sheet
from autograder.roster import Person, plain_name
from autograder.standing import Standing, Standings
from autograder.text import line

HEADINGS = {
    "ar": ("المُعرَّف", "الدرجة", "آخر تعديل (التقدير)"),
    "ca": ("Identificador", "Qualificació", "Darrera modificació (qualificació)"),
    "de": ("ID", "Bewertung", "Zuletzt geändert (Bewertung)"),
    "el": ("Αναγνωριστικό", "Βαθμός", "Τελευταία τροποποίηση (βαθμολόγηση)"),
    "en": ("Identifier", "Grade", "Last modified (grade)"),
    "es": ("Identificador", "Calificación", "Última modificación (calificación)"),
    "eu": ("Identifikatzailea", "Kalifikazioa", "Azken aldaketa (kalifikazioa)"),
    "fr": ("Identifiant", "Note", "Dernière modification (note)"),
    "gl": ("Identificador", "Cualificación", "Última modificación (cualificación)"),
    "it": ("Identificativo", "Valutazione", "Ultima modifica (valutazione)"),
    "ja": ("ID", "評点", "最終更新日時 (評定)"),
    "ko": ("식별자", "성적", "마지막 수정됨(성적)"),
    "nl": ("Identificatie", "Cijfer", "Laatst gewijzigd (beoordeling)"),
    "pt": ("Identificador", "Avaliação", "Última atualização (avaliação)"),
    "ro": ("Identificator", "Notă", "Ultima modificare (nota)"),
    "ru": ("Идентификатор", "Оценка", "Последнее изменение (оценка)"),
    "sv": ("Identifierare", "Betyg", "Senast modifierat (betyg)"),
    "tr": ("Tanımlayıcı", "Not", "Son düzenleme (not)"),
    "uk": ("Ідентифікатор", "Оцінка", "Востаннє змінювалося (оцінка)"),
    "zh": ("标识符", "成绩", "上次修改（评分）"),
}
PARTICIPANT = re.compile(r"(?P<word>.*\D)?(?P<number>\d+)\Z", re.DOTALL)
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\Z")
FEWEST = 6
STATUS_ALONE = 2


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a worksheet stands what. name and email: -1 where the worksheet is anonymous."""

    identifier: int
    grade: int
    name: int
    email: int


def fill(template: Path, standings: Standings, scale: bool = False) -> Filled:
    """The teacher's worksheet with these grades.

    Raises InstructorError if the file is no worksheet, its columns can't be told, or its maximum is another.
    """
    file = sheet.read(template)
    columns = _columns(file)
    most = _maximum(file, columns)
    points = standings.assignment.points
    if not scale:
        sheet.refuse_another_maximum(file, most, points)
    people = {row: _person(file, columns, row) for row in range(1, len(file.rows))}
    numbered: dict[str, list[Person]] = {}
    for person in people.values():
        numbered.setdefault(person.moodle, []).append(person)
    rows = [_with_a_sure_number(standing, numbered) for standing in standings.rows]
    return sheet.place(file, columns.grade, rows, people).fill(points, most)


def _columns(file: Sheet) -> Columns:
    identifier, grade = _by_heading(file) or _by_content(file)
    addresses = [place for place in range(len(file.headings)) if _all(ADDRESS, file.column(place))]
    name = -1 if grade - identifier <= STATUS_ALONE or identifier + 1 in addresses else identifier + 1
    return Columns(identifier, grade, name, addresses[0] if len(addresses) == 1 else -1)


def _by_heading(file: Sheet) -> tuple[int, int] | None:
    """The columns of the identifier and of the grade, if all three headings are those of one language, each once."""
    for wanted in HEADINGS.values():
        if all(file.headings.count(heading) == 1 for heading in wanted):
            return file.headings.index(wanted[0]), file.headings.index(wanted[1])
    return None


def _by_content(file: Sheet) -> tuple[int, int]:
    """The first column, if it numbers participants, and the one before that of a maximum that all rows share."""
    places = range(1, len(file.headings) - 1)
    found = [place for place in places if _is_grade(file.column(place), file.column(place + 1))]
    if len(found) != 1 or len(file.headings) < FEWEST or not _numbers_participants(file.column(0)):
        shown = ", ".join(map(line, file.headings[:12]))
        raise InstructorError(
            f"{file.path}: the columns of a Moodle grading worksheet can't be told: found the headings {shown}; "
            "expected an identifier such as 'Participant 12', a grade and a maximum grade. Set your own language in "
            "Moodle to English and download the worksheet again."
        )
    return 0, found[0]


def _is_grade(grades: list[str], maxima: list[str]) -> bool:
    """Whether one column holds grades, as far as it is filled in, and the next the maximum of them, in every row."""
    most = {sheet.value(text) for text in maxima}
    (highest,) = most if len(most) == 1 else (None,)
    given = [sheet.value(text) for text in grades if text not in ("", "-")]
    return highest is not None and all(each is not None and each <= highest for each in given)


def _numbers_participants(texts: list[str]) -> bool:
    matches = [PARTICIPANT.match(text) for text in texts]
    words = {match["word"] for match in matches if match}
    return bool(texts) and all(matches) and len(words) == 1 and len(set(texts)) == len(texts)


def _all(shape: re.Pattern[str], texts: list[str]) -> bool:
    filled = [text for text in texts if text]
    return bool(filled) and all(map(shape.match, filled))


def _maximum(file: Sheet, columns: Columns) -> float:
    maxima = {sheet.value(text) for text in file.column(columns.grade + 1)}
    most = maxima.pop() if len(maxima) == 1 else None
    if most is None:
        raise InstructorError(
            f"{file.path}: beside {line(file.headings[columns.grade])!r} stands no maximum that is the same in all "
            "rows: the assignment is graded with a scale, or the worksheet was changed. Points can't be filled in."
        )
    return most


def _person(file: Sheet, columns: Columns, row: int) -> Person:
    match = PARTICIPANT.match(file.text(row, columns.identifier))
    name = file.text(row, columns.name) if columns.name >= 0 else ""
    if name == file.text(row, columns.identifier):
        name = ""
    email = file.text(row, columns.email) if columns.email >= 0 else ""
    return Person(name=name, email=email, moodle=match["number"] if match else "")


def _with_a_sure_number(standing: Standing, numbered: Mapping[str, Sequence[Person]]) -> Standing:
    """A download's number is a participant's if the name beside it is hers; else it may be that of a group."""
    person = standing.person
    named = numbered.get(person.moodle, ()) if person.moodle else ()
    folder = plain_name(person.name)
    if all(not other.name or folder.endswith(plain_name(other.name)) for other in named):
        return standing
    return replace(standing, person=replace(person, moodle=""))
