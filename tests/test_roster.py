"""roster: real CSV files, read for ids, names and extensions; who a submission's author may be."""

import csv
import time
from datetime import date, datetime

import pytest

from autograder import roster
from autograder.errors import InstructorError, OperatorError
from autograder.records import Extension, Grade, Outcome
from autograder.roster import Directory, Person
from autograder.text import cell, unguarded

NAMES = (
    'O\'Neil, Zoë "Zo"',
    "=1+1",
    "-2",
    "+3",
    "@x",
    "x;=1",
    "נועה לוי",
    "محمد علي",
    "Lee, Kim",
    "two\nlines",
    "Zoë",
    "李雷",
)


@pytest.fixture
def listed(tmp_path):
    """The roster that a text or rows make."""

    def read(content, *assignments, encoding="utf-8"):
        path = tmp_path / "roster.csv"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding)
        else:
            with path.open("w", encoding=encoding, newline="") as file:
                csv.writer(file).writerows(content)
        return roster.read(path, assignments)

    return read


def people(found):
    return [row.person for row in found.rows]


def test_headings_are_known_in_many_spellings_and_others_left_out(listed):
    headings = ["Student", "Full Name", "SIS ID", "User Name", "E-Mail Address", "Group", "Shoe size"]
    found = listed([headings, ["zo", "Zoë O'Neil", "0042", "zoneil", "Zoe@x.org", "B", "38"], [""] * 7])
    assert people(found) == [Person("zo", "Zoë O'Neil", "", "", "0042", "zoneil", "Zoe@x.org", "B")]
    assert found.rows[0].extension("toy") is None


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("utf-8", "\t")])
def test_separators_and_a_byte_order_mark_are_taken_as_they_come(tmp_path, encoding, delimiter):
    path = tmp_path / "r.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([["name", "email"], ['Lee, "K"; B', "k@x"]])
    assert people(roster.read(path)) == [Person(name='Lee, "K"; B', email="k@x")]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_survives_being_made_safe_for_a_spreadsheet(listed, name):
    assert unguarded(cell(name)) == " ".join(name.split())
    for written in (name, cell(name)):
        assert [p.name for p in people(listed([["name", "id"], [written, "7"]]))] == [" ".join(name.split())]


def test_canvas_own_export_is_a_roster(listed):
    found = listed(
        "Student,ID,SIS User ID,SIS Login ID,Section,Attention (9)\n"
        ",,,,,Manual Posting\n"
        "    Points Possible,,,,,20\n"
        '"O\'Neil, Zoë",12345,0042,zoneil,Unit B,\n'
        '"Student, Test",99,,abc,Unit B,\n'
    )
    assert people(found) == [
        Person(name="O'Neil, Zoë", canvas="12345", number="0042", login="zoneil", section="Unit B")
    ]


def test_extensions_for_all_and_for_one_assignment(listed):
    found = listed(
        "name,extension,extension: toy,Handed in (toy),Extension a2\n"
        "Ada,2,,,\n"
        "Bo,+1 day,2026-03-15,,5 days\n"
        "Cy,,2026-03-15T12:00:00+01:00,2026-03-01T10:00:00Z,\n",
        "toy",
        "a2",
    )
    ada, bo, cy = found.rows
    assert (ada.extension("toy"), ada.extension("a2")) == (Extension(days=2), Extension(days=2))
    assert (bo.extension("toy"), bo.extension("a2")) == (Extension(until=date(2026, 3, 15)), Extension(days=5))
    assert bo.extension("a3") == Extension(days=1)
    assert cy.extension("toy") == Extension(until=datetime.fromisoformat("2026-03-15T12:00:00+01:00"))
    assert cy.handed_in == {"toy": "2026-03-01T10:00:00+00:00"} and cy.extension("a2") is None


@pytest.mark.parametrize(
    "cell_", ["tomorrow", "-1", "1.5", "2026-02-30", "2026-03-15T12:00:00", "12.03.2026", "99999", "9999"]
)
def test_an_extension_that_can_mean_several_things_is_refused(listed, cell_):
    with pytest.raises(InstructorError, match=r"row 2: the extension is .*; expected a number of days, a date such as"):
        listed(f"name,extension\nAda,{cell_}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: expected a row of headings"),
        ("Shoe,Section\n38,B\n", "no heading that says who is who: found Shoe, Section; expected at least one of"),
        ("name,Full name\nA,B\n", "two columns say 'name'; the second is 'Full name'. Keep one"),
        ('name\n"unclosed\n', r"line 2: not CSV \(unexpected end of data\). Save it as CSV once more"),
        ("name,extension: tyo\nAda,2\n", "'extension: tyo' names no assignment of this course. It has toy"),
        ("name,extension\n,2\n", "row 2: nothing says whose extension this is. Fill in a name or an id"),
        ("name,handed in toy\nAda,2026-03-01\n", "row 2: found '2026-03-01', expected a date and time with an offset"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(listed, text, said):
    with pytest.raises(InstructorError, match=said):
        listed(text, "toy")


def test_what_is_no_text_or_not_there_is_said(listed, tmp_path, monkeypatch):
    with pytest.raises(InstructorError, match=r"is not UTF-8, so names would be garbled\. Save it as 'CSV UTF-8'"):
        listed("name\nZoë\n", encoding="latin-1")
    with pytest.raises(OperatorError, match=r"can't be read \(No such file.*--roster"):
        roster.read(tmp_path / "none.csv")
    monkeypatch.setattr(roster, "LARGEST", 3)
    with pytest.raises(InstructorError, match="no class list"):
        listed("name\nAda\n")


ADA = Person("ada", "Ada Lovelace", number="0042", login="alovelace", email="Ada@x.org")
KIMS = [Person(name="Lee, Kim", number="1", email="kim@x"), Person(name="Kim Lee", number="2", login="klee")]


@pytest.mark.parametrize(
    "person",
    [
        Person("ada"),
        Person("0042"),
        Person("ALovelace"),
        Person("ada@X.org"),
        Person("Ada Lovelace"),
        Person("ada  LOVELACE\u200f"),
        Person("lovelace, ada"),
        Person(number="0042", name="somebody else"),
        Person(login="ada@x.org"),
    ],
)
def test_one_person_is_known_by_any_id_and_by_her_name(person):
    assert Directory([*KIMS, ADA]).find(person) == [2]


@pytest.mark.parametrize(
    ("person", "places"),
    [
        (Person("kim lee"), [0, 1]),
        (Person("Kim Lee", number="2"), [1]),
        (Person("Kim Lee", number="3"), []),
        (Person("Kim Lee", login="other"), [0]),
        (Person("42"), []),
        (Person("ada lovelac"), []),
        (Person(number="1", login="klee"), [0, 1]),
        (Person(), []),
    ],
)
def test_where_it_can_not_be_told_nobody_is_chosen(person, places):
    assert Directory([*KIMS, ADA]).find(person) == places


def grade(student, *known):
    return Grade("x", student, "toy", Outcome.GRADED, 1.0, 2.0, "self", "cpu", 1.0, people=known)


def test_who_handed_in_is_told_by_the_platform_and_by_the_folder():
    assert roster.submitters(grade("ada")) == [Person("ada")]
    assert roster.submitters(grade("kim (1)", "canvas=1&name=kim")) == [Person("kim (1)", "kim", canvas="1")]
    group = grade("A and B", "name=A&number=7&email=a%40x", "name=B&unknown=3")
    assert roster.submitters(group) == [Person(name="A", number="7", email="a@x"), Person(name="B")]


def test_find_and_merge(listed):
    found = listed("student,name,id\nada,Ada Lovelace,0042\n")
    (row,) = found.find(Person("ada", canvas="5"))
    assert roster.merged(Person("ada", canvas="5"), row.person) == Person(
        "ada", "Ada Lovelace", number="0042", canvas="5"
    )
    assert found.find(Person("bob")) == [] and roster.Roster().find(ADA) == []
    people = (ADA, Person("bob"), Person(first_name="A", last_name="B"), Person(moodle="9"), Person())
    assert [person.shown for person in people] == ["Ada Lovelace", "bob", "A B", "9", ""]


def test_a_large_class_is_looked_up_in_no_time():
    people = [Person(name=f"Kim Lee {n}", number=str(n)) for n in range(5_000)]
    began = time.process_time()
    directory = Directory(people)
    assert [directory.find(Person(f"kim lee {n}")) for n in range(5_000)] == [[n] for n in range(5_000)]
    assert time.process_time() - began < 5
