"""nbgrader: its eleven columns and its own gradebook, read back with its own commands."""

import csv
import io
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from gradesheets import LATE, NAMES, PENDING, POLICY, grade, standings, whole_class

from autograder import roster
from autograder.errors import InstructorError, OperatorError
from autograder.exports import nbgrader
from autograder.records import CheckResult, Status
from autograder.roster import Person
from autograder.text import unguarded

CLASS = (
    grade("ada", 8.0, handed_in=LATE, clock="nbgrader"),
    grade("bo", 10.0, handed_in="2026-03-12T10:00:00.25+00:00", clock="nbgrader"),
)
PEOPLE = (
    Person("ada", first_name="Ada", last_name="Lovelace", email="ada@x.org"),
    Person("bo", name="Li, Bo"),
    Person("idle"),
)


@pytest.fixture
def api(monkeypatch):
    """nbgrader's own interface, with its programs on the path as in an activated environment."""
    found = pytest.importorskip("nbgrader.api")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    return found


def rows(class_):
    return list(csv.DictReader(io.StringIO(nbgrader.table(class_), newline="")))


def test_each_student_has_a_row_of_eleven_columns_with_times_in_utc():
    ada, bo, idle = rows(standings(*CLASS, people=PEOPLE, policy=POLICY))
    assert ada == {
        "assignment": "toy", "duedate": "2026-03-12 22:59:00", "timestamp": "2026-03-13 11:00:00", "student_id": "ada",
        "last_name": "Lovelace", "first_name": "Ada", "email": "ada@x.org", "raw_score": "8",
        "late_submission_penalty": "1", "score": "7", "max_score": "10",
    }  # fmt: skip
    assert (bo["last_name"], bo["first_name"], bo["timestamp"], bo["score"]) == (
        "Li",
        "Bo",
        "2026-03-12 10:00:00",
        "10",
    )
    assert idle == {
        **dict.fromkeys(ada, ""), "assignment": "toy", "duedate": "2026-03-12 22:59:00", "student_id": "idle",
        "raw_score": "0", "late_submission_penalty": "0", "score": "0", "max_score": "10",
    }  # fmt: skip


def test_the_table_is_quoted_and_no_cell_is_a_formula():
    class_ = whole_class()
    text = nbgrader.table(class_)
    assert all(line.startswith('"') and line.endswith('"') for line in text.splitlines())
    found = rows(class_)
    assert not any(cell.startswith(tuple("=+-@")) for row in found for cell in row.values())
    names = {row["student_id"]: unguarded(row["last_name"]) for row in found}
    assert names["s1"] == "=1+1" and names["s2"] == "-2" and names["s6"] == "נועה לוי" and names["s9"] == "two lines"
    assert len(found) == len(NAMES) + 1


def test_what_is_pending_has_no_row_and_without_a_policy_nothing_is_due():
    (row,) = rows(standings(CLASS[0], grade("late", **PENDING)))
    assert (row["student_id"], row["duedate"], row["score"]) == ("ada", "", "8")


def test_without_nbgrader_its_gradebook_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbgrader.api", None)
    with pytest.raises(OperatorError, match=r"nbgrader is not installed here.*pip install nbgrader"):
        nbgrader.write_database(standings(*CLASS), tmp_path / "gradebook.db")


def command(folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words],
        cwd=folder, capture_output=True, text=True, timeout=300, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nbgraders_own_commands_read_its_gradebook_and_export_the_same(tmp_path, api):
    class_ = standings(*CLASS, people=PEOPLE, policy=POLICY)
    for _ in range(2):
        nbgrader.write_database(class_, tmp_path / "gradebook.db")
    assert "toy" in command(tmp_path, "db", "assignment", "list")
    students = command(tmp_path, "db", "student", "list")
    assert "ada (Lovelace, Ada) -- ada@x.org" in students and "idle" in students
    command(tmp_path, "export", "--to", "theirs.csv")
    with (tmp_path / "theirs.csv").open(newline="") as file:
        theirs = {row["student_id"]: row for row in csv.DictReader(file)}
    for ours in rows(class_):
        row = theirs.pop(ours["student_id"])
        for key in ("raw_score", "late_submission_penalty", "score", "max_score"):
            assert float(row.pop(key)) == float(ours.pop(key)), key
        for key in ("timestamp", "duedate"):
            assert row.pop(key)[:19] == ours.pop(key), key
        assert row == ours
    assert not theirs


def test_its_student_list_is_a_class_list_and_students_that_it_knows_stay_its_own(tmp_path, api):
    (tmp_path / "students.csv").write_text("id,first_name,last_name,email\nada,Ada,Lovelace,ada@x.org\n")
    command(tmp_path, "db", "student", "import", "students.csv")
    (row,) = roster.read(tmp_path / "students.csv").rows
    assert row.person == Person(number="ada", first_name="Ada", last_name="Lovelace", email="ada@x.org")
    nbgrader.write_database(standings(*CLASS), tmp_path / "gradebook.db")
    with api.Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        assert {student.id: student.last_name for student in book.students} == {"ada": "Lovelace", "bo": None}


def test_every_name_survives_in_its_gradebook(tmp_path, api):
    class_ = whole_class()
    nbgrader.write_database(class_, tmp_path / "gradebook.db")
    with api.Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        for row in class_.rows:
            student = book.find_student(row.person.student)
            shown = f"{student.last_name}, {student.first_name}" if student.first_name else student.last_name
            assert shown == " ".join(row.person.name.split())
            assert book.find_submission("toy", row.person.student).score == row.grade.score
        assert book.find_student("idle").last_name == "=idle"


def test_adjusted_points_and_those_still_to_be_graded_by_hand_are_told(tmp_path, api):
    waiting = CheckResult("essay", "Essay", 0.0, 4.0, Status.WAITING)
    ada = replace(CLASS[0], score=8.5, checks=(*CLASS[0].checks, waiting), handed_in="")
    nbgrader.write_database(standings(ada), tmp_path / "gradebook.db")
    with api.Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        submission = book.find_submission("toy", "ada")
        assert submission.score == 8.5 and submission.needs_manual_grade and submission.timestamp is None
        assert book.find_grade("essay", "toy", "toy", "ada").needs_manual_grade


def test_an_assignment_of_nbgraders_own_is_not_mixed_up(tmp_path, api):
    with api.Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        book.add_assignment("toy", duedate=datetime(2026, 1, 1))
        book.add_notebook("p1", "toy")
        book.add_grade_cell("cell", "p1", "toy", max_score=3, cell_type="code")
    before = (tmp_path / "gradebook.db").read_bytes()
    with pytest.raises(InstructorError, match="has an assignment 'toy' with notebooks and cells of its own"):
        nbgrader.write_database(standings(*CLASS), tmp_path / "gradebook.db")
    assert (tmp_path / "gradebook.db").read_bytes() == before


def test_a_program_that_is_missing_and_a_file_that_is_no_gradebook_are_the_operators(tmp_path, api, monkeypatch):
    (tmp_path / "other.db").write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(OperatorError, match=r"nbgrader could not write .*other\.db \(.*not a database.*another file"):
        nbgrader.write_database(standings(*CLASS), tmp_path / "other.db")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperatorError, match=r"a program that was not found: alembic\. Activate the virtual"):
        nbgrader.write_database(standings(*CLASS), tmp_path / "new.db")
