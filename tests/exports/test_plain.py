"""plain: the table is safe in a spreadsheet and complete for a script; its readers get back what was meant."""

import csv
import io
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from gradesheets import EVIL, LATE, NAMES, PENDING, POLICY, grade, standings, whole_class

from autograder import roster
from autograder.exports import plain
from autograder.records import CheckResult, Status
from autograder.roster import Person
from autograder.text import cell, unguarded

TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"


def rows(class_):
    return list(csv.DictReader(io.StringIO(plain.table(class_), newline="")))


def test_every_name_comes_back_and_none_is_a_formula(tmp_path):
    class_ = whole_class()
    found = rows(class_)
    assert [unguarded(row["name"]) for row in found] == [*(" ".join(name.split()) for name in NAMES), "=idle, I"]
    assert not any(text.startswith(tuple("=+-@")) for row in found for text in row.values())
    path = tmp_path / "grades.csv"
    path.write_bytes(plain.table(class_).encode("utf-8-sig"))
    people = [row.person for row in class_.rows]
    again = [row.person for row in roster.read(path).rows]
    assert again[:-1] == [replace(person, name=" ".join(person.name.split())) for person in people]


def test_a_row_says_who_and_what_and_each_checks_points():
    person = Person("ada", first_name="Ada", last_name="Lovelace", number="0042", login="al", email="a@x", section="B")
    late = grade("ada", 8.0, handed_in=LATE, clock="gradescope")
    row, missing = rows(standings(late, people=[person, Person("bo")], policy=POLICY))
    assert row == {
        "student": "ada", "name": "Ada Lovelace", "id": "0042", "login": "al", "email": "a@x", "section": "B",
        "submission": "ada", "assignment": "toy", "status": "graded", "handed_in": LATE, "days_late": "1",
        "raw_score": "8", "penalty": "1", "score": "7", "max_score": "10", "test_scale": "6", "test_affine": "2",
    }  # fmt: skip
    assert missing == {**dict.fromkeys(row, ""), "student": "bo", "assignment": "toy", "status": "not handed in"}


def test_without_a_policy_nothing_is_taken_and_what_is_pending_is_empty():
    row, pending = rows(standings(grade("ada"), grade("bo", **PENDING)))
    assert (row["raw_score"], row["penalty"], row["score"], row["days_late"]) == ("8", "0", "8", "")
    assert [pending[key] for key in ("status", "raw_score", "penalty", "score", "max_score")] == [
        "internal", "", "", "", "",
    ]  # fmt: skip


def test_the_json_has_everything_a_script_may_want_and_nothing_for_the_instructor_alone():
    secret = CheckResult("test_scale", EVIL, 8.0, 10.0, Status.FAILED, EVIL, "mask", "SECRET")
    late = grade("ada", 8.0, handed_in=LATE, clock="gradescope", checks=(secret,), detail="SECRET", digest="SECRET")
    text = plain.document(standings(late, people=[Person("ada", number="0042"), Person("bo")], policy=POLICY))
    content = json.loads(text)
    (student,) = content["students"]
    assert (content["assignment"], content["points"]) == ("toy", 10)
    assert student["who"] == {"student": "ada", "id": "0042"} and content["not_handed_in"] == [{"student": "bo"}]
    assert (student["score"], student["late"]["raw_score"], student["late"]["penalty"]) == (7.0, 8.0, 1.0)
    assert student["checks"][0]["status"] == "failed" and "SECRET" not in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_the_json_of_the_whole_class_comes_back():
    class_ = whole_class()
    students = json.loads(plain.document(class_))["students"]
    assert [each["who"]["name"] for each in students] == [" ".join(name.split()) for name in NAMES]
    assert [each["score"] for each in students] == [row.grade.score for row in class_.rows]


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice (soffice) is not installed")
def test_libreoffice_reads_the_same_table_and_no_formula(tmp_path):
    class_ = whole_class()
    (tmp_path / "grades.csv").write_bytes(plain.table(class_).encode("utf-8-sig"))
    subprocess.run(
        [
            "soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless",
            "--infilter=CSV:44,34,76,1,,0,false,true", "--convert-to", "fods", "--outdir", tmp_path,
            tmp_path / "grades.csv",
        ],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    shown = []
    for row in ET.parse(tmp_path / "grades.fods").iter(f"{TABLE}table-row"):
        texts = []
        for each in row.iter(f"{TABLE}table-cell"):
            assert f"{TABLE}formula" not in each.attrib
            text = "\n".join("".join(part.itertext()) for part in each.iter(f"{TEXT}p"))
            texts += [text] * min(20, int(each.get(f"{TABLE}number-columns-repeated", "1")))
        shown.append(texts)
    wanted = list(csv.reader(io.StringIO(plain.table(class_), newline="")))
    assert [row[1] for row in shown[: len(wanted)]] == [row[1] for row in wanted]
    assert [row[:6] for row in shown[1 : len(NAMES) + 1]] == [
        [f"s{n}", cell(name), f"{n}", "", f"s{n}@x.org", "B"] for n, name in enumerate(NAMES)
    ]
    scores = wanted[0].index("score")
    assert [float(row[scores]) for row in shown[1 : len(NAMES) + 1]] == [row.grade.score for row in class_.rows]
