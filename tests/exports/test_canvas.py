"""canvas: the teacher's own export with one column filled in, to the byte."""

import csv
import io

import pytest
from gradesheets import NAMES, PENDING, TOY, grade, standings, whole_class

from autograder import roster
from autograder.errors import InstructorError
from autograder.exports import canvas
from autograder.roster import Person

HEADINGS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Notes", "Quiz 1 (100)", "Scale and shift (123)"]
COMPUTED = ["Homework Current Score", "Homework Final Score", "Current Score", "Final Score"]


def export(*students, maximum="10", end="\r\n", delimiter=",", bom=True, **more):
    """A file as Canvas writes it; a student is (name, id, SIS id, login, cell)."""
    headings = more.get("headings", [*HEADINGS, *COMPUTED])
    text = io.StringIO()
    rows = csv.writer(text, lineterminator=end, delimiter=delimiter)
    rows.writerow(headings)
    rows.writerow(["", "", "", "", "", "", "", "Manual Posting", "", "", "", ""])
    rows.writerow(["    Points Possible", "", "", "", "", "", "5", maximum, *["(read only)"] * 4])
    for name, id_, sis, login, cell in (*students, ("Student, Test", "999", "", "c0ffee", "")):
        rows.writerow([name, id_, sis, login, 'Unit "B", late', "=note", "4", cell, "80", "80", "80", "80"])
    return b"\xef\xbb\xbf" * bom + text.getvalue().encode()


def filled(tmp_path, data, class_, **more):
    (tmp_path / "canvas.csv").write_bytes(data)
    return canvas.fill(tmp_path / "canvas.csv", class_, **more)


def column(result, delimiter=","):
    table = list(csv.reader(io.StringIO(result.data.decode("utf-8-sig"), newline=""), delimiter=delimiter))
    return {row[0]: row[7] for row in table[3:]}


def as_canvas_writes(name):
    return f'="{name}"' if name.startswith("=") else name


@pytest.mark.parametrize(("end", "delimiter", "bom"), [("\r\n", ",", True), ("\n", ";", False), ("\n", ",", False)])
def test_every_byte_but_the_grades_is_as_it_was(tmp_path, end, delimiter, bom):
    class_ = whole_class()
    scores = {row.person.name: f"{row.grade.score:g}" for row in class_.rows}

    def file(cells):
        known = [
            (as_canvas_writes(name), f"1{n}", f"00{n}", f"l{n}", cells.get(name, "")) for n, name in enumerate(NAMES)
        ]
        return export(*known, ("Idle, I", "77", "0099", "idle", "3"), end=end, delimiter=delimiter, bom=bom)

    result = filled(tmp_path, file({}), class_)
    assert result.data == file(scores)
    assert not result.missed
    assert result.notes == (
        "Grades filled in: 12, of these in place of another: 0. "
        "Rows of students without a grade, left as they were: 1.",
    )
    assert filled(tmp_path, result.data, class_).data == result.data


@pytest.mark.parametrize(
    ("grades", "people"),
    [
        ([grade("zoneil")], []),
        ([grade("ZONEIL")], []),
        ([grade("0042")], []),
        ([grade("Zoë O'Neil")], []),
        ([grade("o'neil, zoë")], []),
        ([grade("oneilzoe", people=("canvas=12345&name=oneilzoe",))], []),
        ([grade("Z. O.", people=("name=Z.+O.&number=0042&email=z%40x",))], []),
        ([grade("z1")], [Person("z1", email="ZONEIL")]),
        ([grade("z1")], [Person("z1", number="0042")]),
    ],
)
def test_a_student_is_found_by_any_id_or_by_her_name(tmp_path, grades, people):
    data = export(("O'Neil, Zoë", "12345", "0042", "zoneil", ""), ("Other, An", "2", "0043", "aother", ""))
    result = filled(tmp_path, data, standings(*grades, people=people))
    assert column(result) == {"O'Neil, Zoë": "8", "Other, An": "", "Student, Test": ""} and not result.missed


def test_whoever_can_not_be_told_is_named_and_gets_nothing(tmp_path):
    data = export(
        ("Lee, Kim", "1", "01", "klee1", ""), ("Kim Lee", "2", "02", "klee2", ""), ("Bo", "3", "03", "bo", "")
    )
    grades = [grade("kim lee"), grade("nobody"), grade("bo"), grade("03", 4.0), grade("Test Student")]
    result = filled(tmp_path, data, standings(*grades))
    assert result.missed and set(column(result).values()) == {""} and result.data == data
    assert result.notes[:4] == (
        "kim lee (kim lee): ambiguous, may be row 4 (Lee, Kim) or row 5 (Kim Lee); not filled in.",
        "nobody (nobody): not in canvas.csv; not filled in.",
        "Test Student (Test Student): not in canvas.csv; not filled in.",
        "bo (bo) and 03 (03): ambiguous, all may be Bo; not filled in.",
    )


def test_work_of_a_group_goes_to_each_of_them(tmp_path):
    data = export(("A", "1", "01", "a", ""), ("B", "2", "02", "b", ""))
    pair = grade("A and B", people=("name=A&number=01", "name=B&email=b"))
    assert column(filled(tmp_path, data, standings(pair))) == {"A": "8", "B": "8", "Student, Test": ""}


def test_excused_unassigned_pending_and_half_graded_cells_are_left_and_named(tmp_path):
    students = [
        (name, "", "", name, cell) for name, cell in (("a", "EX"), ("b", "N/A"), ("c", ""), ("d", ""), ("e", "9"))
    ]
    whole = sum([0.1] * 100)
    assert whole != 10.0
    grades = [grade("a"), grade("b"), grade("c", **PENDING), grade("d", max_score=6.0), grade("e", max_score=whole)]
    result = filled(tmp_path, export(*students), standings(*grades))
    assert column(result) == {"a": "EX", "b": "N/A", "c": "", "d": "", "e": "8", "Student, Test": ""}
    assert result.missed and result.notes == (
        "a (a): the cell says EX; left as it is.",
        "b (b): the cell says N/A; left as it is.",
        "c (c): is pending; not filled in.",
        "d (d): only 6 of 10 points are graded so far; not filled in.",
        "Grades filled in: 1, of these in place of another: 1. Rows of students without a grade, left as they were: 0.",
    )


def test_decimals_are_written_as_the_file_writes_them(tmp_path):
    students = [("A", "", "", "a", "3,5"), ("B", "", "", "b", "")]
    class_ = standings(grade("a", 7.25), grade("b", 8.0))
    assert column(filled(tmp_path, export(*students, maximum="10,00", delimiter=";"), class_), ";")["A"] == "7,25"
    assert column(filled(tmp_path, export(*students, maximum="10,00"), class_))["A"] == "7,25"
    assert column(filled(tmp_path, export(("A", "", "", "a", ""), maximum="10.0"), class_))["A"] == "7.25"


def test_another_maximum_is_refused_unless_scaling_is_asked_for(tmp_path):
    data = export(("A", "", "", "a", ""), maximum="100")
    with pytest.raises(InstructorError, match=r"the maximum there is 100, the assignment has 10 points.*--scale"):
        filled(tmp_path, data, standings(grade("a", 7.25)))
    assert column(filled(tmp_path, data, standings(grade("a", 7.25)), scale=True))["A"] == "72.5"


def test_the_column_is_the_assignments_or_the_one_that_is_named(tmp_path):
    data = export(("A", "", "", "a", ""))
    for wanted in (None, "scale and shift", "Scale and shift (123)", "123"):
        assert column(filled(tmp_path, data, standings(grade("a")), wanted=wanted))["A"] == "8"
    named = data.replace(b"Scale and shift (123)", b"toy (5)")
    assert column(filled(tmp_path, named, standings(grade("a"))))["A"] == "8"
    with pytest.raises(InstructorError, match=r"no column is headed 'Final Score'\. Choose with --column one of: 'No"):
        filled(tmp_path, data, standings(grade("a")), wanted="Final Score")
    twice = data.replace(b"Quiz 1 (100)", b"Scale and shift (7)").replace(b",5,", b",10,")
    with pytest.raises(InstructorError, match=r"2 columns are headed 'Scale and shift' or 'toy'"):
        filled(tmp_path, twice, standings(grade("a")))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"SIS Login ID", b"Login", r"no gradebook export of Canvas: found the headings Student, ID.*Export Entire"),
        (b"    Points Possible", b"Maximum", "has no row 'Points Possible', which Canvas wants back"),
        (b",5,10,", b",5,,", r"'Scale and shift \(123\)' has no Points Possible. Give it points in Canvas"),
    ],
)
def test_what_is_no_export_of_canvas_is_refused(tmp_path, before, after, said):
    data = export(("A", "", "", "a", ""))
    assert before in data
    with pytest.raises(InstructorError, match=said):
        filled(tmp_path, data.replace(before, after), standings(grade("a")))


def test_names_in_two_columns_and_further_ids_are_understood(tmp_path):
    data = (
        b"LastName,FirstName,ID,SIS User ID,SIS Login ID,Integration ID,Root Account,Section,toy (1)\n"
        b"    Points Possible,,,,,,,,10\n"
        b"O'Neil,Zo\xc3\xab,12345,,,abc,school.example,B,\n"
    )
    result = filled(tmp_path, data, standings(grade("Zoë O'Neil")))
    assert result.data == data[:-1] + b"8\n"


def test_an_export_is_a_class_list_too(tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes(export(("O'Neil, Zoë", "12345", "0042", "zoneil", "")))
    (row,) = roster.read(path, [TOY.name]).rows
    assert row.person == Person(
        name="O'Neil, Zoë", canvas="12345", number="0042", login="zoneil", section='Unit "B", late'
    )
