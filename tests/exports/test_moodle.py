"""moodle: the teacher's own worksheet, in her language, with the grades filled in, to the byte."""

import csv
import io

import pytest
from gradesheets import NAMES, PENDING, grade, standings, whole_class

from autograder.errors import InstructorError
from autograder.exports import moodle
from autograder.exports.moodle import HEADINGS
from autograder.roster import Person

ENGLISH = [
    "Identifier", "Full name", "Email address", "Status", "Grade", "Maximum grade", "Grade can be changed",
    "Last modified (submission)", "Last modified (grade)", "Feedback comments",
]  # fmt: skip
PREFIX = {"en": "Participant ", "de": "Teilnehmer/in", "ar": "المشارك", "ja": "参加者"}


def headings(language):
    identifier, grade_, modified = HEADINGS[language]
    return [identifier, "N", "E", "S", grade_, "M", "C", "L", modified, "F"]


def worksheet(*students, heads=ENGLISH, prefix="Participant ", maximum="10.00", end="\n", delimiter=",", bom=True):
    """A file as Moodle writes it; a student is (number, name, e-mail, cell)."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator=end, delimiter=delimiter)
    rows.writerow(heads)
    for number, name, email, cell in students:
        when = "Thursday, 12 March 2026, 11:42 PM"
        status = "Submitted for grading - 1 day 2 hours late"
        feedback = 'Well "done",\nmore: =1+1'
        rows.writerow([f"{prefix}{number}", name, email, status, cell, maximum, "Yes", when, "-", feedback])
    return b"\xef\xbb\xbf" * bom + text.getvalue().encode()


def filled(tmp_path, data, class_, **more):
    (tmp_path / "moodle.csv").write_bytes(data)
    return moodle.fill(tmp_path / "moodle.csv", class_, **more)


def cells(result):
    table = list(csv.reader(io.StringIO(result.data.decode("utf-8-sig"), newline="")))
    return [row[4] for row in table[1:]]


@pytest.mark.parametrize("language", HEADINGS)
@pytest.mark.parametrize(("end", "bom"), [("\n", True), ("\r\n", False)])
def test_every_byte_but_the_grades_is_as_it_was_in_every_language(tmp_path, language, end, bom):
    class_ = whole_class()
    scores = {row.person.name: f"{row.grade.score:g}" for row in class_.rows}

    def file(found):
        known = [(n + 1, name, f"s{n}@x.org", found.get(name, "")) for n, name in enumerate(NAMES)]
        prefix = PREFIX.get(language, "P ")
        return worksheet(
            *known, (99, "Idle", "idle@x.org", "-"), heads=headings(language), prefix=prefix, end=end, bom=bom
        )

    result = filled(tmp_path, file({}), class_)
    assert result.data == file(scores) and not result.missed
    assert filled(tmp_path, result.data, class_).data == result.data


def test_a_language_that_is_not_listed_is_understood_by_what_stands_in_the_columns(tmp_path):
    heads = ["Tunniste", "Nimi", "Sähköposti", "Tila", "Arvosana", "Enintään", "Muutettavissa", "A", "B", "Palaute"]
    data = worksheet((1, "A", "a@x", "-"), (2, "B", "b@x", "7.00"), heads=heads, prefix="Osallistuja ")
    assert cells(filled(tmp_path, data, standings(grade("a@x"), grade("B", 5.0)))) == ["8", "5"]
    for changed in (
        data.replace(b"10.00", b"Pass", 1),
        data.replace(b"Osallistuja 2", b"somebody"),
        data.replace(b"Osallistuja 2", b"Osallistuja 1"),
        data.replace(b",7.00,10.00", b",70.00,10.00"),
    ):
        with pytest.raises(InstructorError, match=r"can't be told: found the headings Tunniste.*your own language"):
            filled(tmp_path, changed, standings(grade("B", 5.0)))


def test_two_columns_that_could_be_the_grade_are_no_column(tmp_path):
    data = worksheet((1, "A", "a@x", "10.00"), heads=["x", *ENGLISH[1:]]).replace(b"hours late,", b"hours late,,", 1)
    with pytest.raises(InstructorError, match="can't be told"):
        filled(tmp_path, data.replace(b"Status", b"Status,Marker"), standings(grade("A")))


@pytest.mark.parametrize(
    ("student", "people"),
    [
        (grade("a@x"), []),
        (grade("Zoë O'Neil"), []),
        (grade("zo"), [Person("zo", email="A@X")]),
        (grade("Zoë O'Neil", people=("moodle=7&name=Zo%C3%AB+O%27Neil",)), []),
        (grade("x", people=("moodle=7&name=Group+B-Zo%C3%AB+O%27Neil",)), []),
        (grade("x", people=("name=Z&email=a%40x",)), []),
    ],
)
def test_a_student_is_found_by_number_e_mail_or_name(tmp_path, student, people):
    data = worksheet((7, "Zoë O'Neil", "a@x", ""), (8, "Other", "b@x", ""))
    assert cells(filled(tmp_path, data, standings(student, people=people))) == ["8", ""]


def test_a_number_counts_only_with_the_name_beside_it_for_it_may_be_a_groups(tmp_path):
    data = worksheet((7, "Zoë", "a@x", ""), (8, "Other", "b@x", ""))
    result = filled(tmp_path, data, standings(grade("Red team", people=("moodle=7&name=Red+team",))))
    assert cells(result) == ["", ""] and result.missed
    assert result.notes[0] == "Red team (Red team): not in moodle.csv; not filled in."


def test_an_anonymous_worksheet_is_filled_by_its_numbers(tmp_path):
    heads = [heading for heading in ENGLISH if heading not in ("Full name", "Email address")]
    data = worksheet((7, "", "", ""), (8, "", "", "")).replace(b",,,Sub", b",Sub")
    data = data.replace(b"Identifier,Full name,Email address", b"Identifier")
    assert data.decode("utf-8-sig").startswith(",".join(heads))
    students = [grade("Participant", people=("moodle=8&name=Participant",)), grade("nobody")]
    result = filled(tmp_path, data, standings(*students))
    assert b"Participant 8,Submitted for grading - 1 day 2 hours late,8,10.00" in result.data
    assert b"Participant 7,Submitted for grading - 1 day 2 hours late,,10.00" in result.data and result.missed
    named = worksheet((7, "Participant 7", "", ""), (8, "Participant 8", "", ""))
    assert cells(filled(tmp_path, named, standings(*students))) == ["", "8"]


def test_whoever_can_not_be_told_or_is_not_graded_yet_is_named(tmp_path):
    data = worksheet((1, "Kim Lee", "k1@x", ""), (2, "Kim Lee", "k2@x", ""), (3, "Bo", "bo@x", "4.00"))
    result = filled(tmp_path, data, standings(grade("kim lee"), grade("Bo", **PENDING)))
    assert result.data == data and result.missed
    assert result.notes[:2] == (
        "kim lee (kim lee): ambiguous, may be row 2 (Kim Lee) or row 3 (Kim Lee); not filled in.",
        "Bo (Bo): is pending; not filled in.",
    )


def test_decimals_and_scaling(tmp_path):
    data = worksheet((1, "A", "a@x", ""), maximum="10,00")
    assert cells(filled(tmp_path, data, standings(grade("A", 7.25)))) == ["7,25"]
    semicolons = worksheet((1, "A", "a@x", ""), maximum="10,00", delimiter=";")
    assert b";7,25;10,00;" in filled(tmp_path, semicolons, standings(grade("A", 7.25))).data
    hundred = worksheet((1, "A", "a@x", ""), maximum="100.00")
    assert cells(filled(tmp_path, hundred, standings(grade("A", 7.25)), scale=True)) == ["72.5"]
    with pytest.raises(InstructorError, match=r"the maximum there is 100, the assignment has 10 points"):
        filled(tmp_path, hundred, standings(grade("A", 7.25)))


def test_a_scale_and_a_file_of_another_kind_are_refused(tmp_path):
    data = worksheet((1, "A", "a@x", ""), (2, "B", "b@x", ""))
    with pytest.raises(InstructorError, match=r"beside 'Grade' stands no maximum that is the same in all rows"):
        filled(tmp_path, data.replace(b"10.00", b"Fail,Pass"), standings(grade("A")))
    with pytest.raises(InstructorError, match=r"can't be told: found the headings name, score"):
        filled(tmp_path, b"name,score\nA,1\n", standings(grade("A")))
