"""order: from a gradebook, a policy and a class list to the file that another system takes."""

import csv
import io
import json
import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import toycourse
from gradesheets import LATE, PENDING, grade

from autograder import batch, intake
from autograder.errors import InstructorError, OperatorError
from autograder.exports import order
from autograder.exports.order import Order
from autograder.gradebook import Gradebook, Roll
from autograder.records import Adjustment, Outcome

POLICY = '\n[policy]\ndue = 2026-03-12T23:59:00+01:00\npenalty_per_day = "10 %"\n'
CANVAS = (
    b"Student,ID,SIS User ID,SIS Login ID,Section,Scale and shift (5)\n"
    b"    Points Possible,,,,,10\n"
    b'"Lovelace, Ada",11,0042,ada,B,\n"Li, Bo",12,0043,bo,B,\n'
)
MOODLE = (
    b"Identifier,Full name,Email address,Status,Grade,Maximum grade,Grade can be changed,"
    b"Last modified (submission),Last modified (grade),Feedback comments\n"
    b"Participant 1,Ada Lovelace,ada@x.org,S,,10.00,Yes,-,-,\nParticipant 2,Bo Li,bo@x.org,S,,10.00,Yes,-,-,\n"
)


@pytest.fixture
def home(tmp_path):
    """A course with a policy, and a gradebook: Ada was late, her older file counts no more, and Bo is pending."""
    home = toycourse.make(tmp_path)
    with (home / "solutions/toy/assignment.toml").open("a") as file:
        file.write(POLICY)
    grades = [
        grade("ada", 8.0, submission="ada__new", handed_in=LATE, clock="file"),
        grade("ada", 10.0, submission="ada__old", handed_in="2026-03-01T10:00:00+00:00", clock="file"),
        grade("bo", **PENDING),
    ]
    record(home, grades)
    with Gradebook.open(home / "gradebook.sqlite") as book:
        book.call_the_roll("toy", Roll(home / "out", {"ada__new": True, "ada__old": False, "bo": True}))
    (home / "canvas.csv").write_bytes(CANVAS)
    (home / "moodle.csv").write_bytes(MOODLE)
    (home / "people.csv").write_text("student,name,email\nada,Ada Lovelace,ada@x.org\nbo,Bo Li,bo@x.org\n")
    return home


def record(home, grades):
    with Gradebook.open(home / "gradebook.sqlite") as book:
        book.record_all(grades, datetime.now(UTC))


def ordered(home, format_, **more):
    return Order(format_, home, gradebook=home / "gradebook.sqlite", **more)


def deliver(home, format_, **more):
    return order.deliver(ordered(home, format_, **more))


def test_canvas_and_moodle_get_their_own_files_back(home):
    delivery = deliver(home, "canvas", template=home / "canvas.csv", out=home / "new" / "canvas.csv")
    assert (home / "new" / "canvas.csv").read_bytes() == CANVAS.replace(b"ada,B,", b"ada,B,7")
    assert delivery.content == b"" and delivery.missed
    assert delivery.notes[0] == "bo (bo): is pending; not filled in."
    people = home / "people.csv"
    delivery = deliver(home, "moodle", template=home / "moodle.csv", roster=people)
    assert delivery.content == MOODLE.replace(b"ada@x.org,S,", b"ada@x.org,S,7")


@pytest.mark.parametrize("format_", ["csv", "json", "junit", "nbgrader"])
def test_other_formats_are_written_whole_or_to_standard_output(home, format_):
    delivery = deliver(home, format_)
    out = home / "made" / "file"
    assert deliver(home, format_, out=out).content == b"" and out.read_bytes() == delivery.content
    assert list(out.parent.iterdir()) == [out]
    assert delivery.missed and delivery.notes == ("bo (bo): is pending.",)
    assert b"ada__old" not in delivery.content and b"7" in delivery.content


def test_gradescope_has_a_file_for_each_submission(home):
    delivery = deliver(home, "gradescope", out=home / "gradescope")
    scores = {path.stem: json.loads(path.read_text())["score"] for path in (home / "gradescope").iterdir()}
    assert scores == {"ada__new": 7.0, "ada__old": 10.0}
    assert delivery.missed and delivery.notes == (
        "bo (bo): is pending.", f"2 files written to {home / 'gradescope'}.",
    )  # fmt: skip


def read(delivery):
    return list(csv.DictReader(io.StringIO(delivery.content.decode("utf-8-sig"), newline="")))


def test_the_courses_class_list_is_taken_and_its_extensions_hold(home):
    (home / "solutions" / "roster.csv").write_text(
        "student,name,extension: toy\nada,Ada Lovelace,1\nbo,Bo Li,\ncy,Cy Day,3\n"
    )
    delivery = deliver(home, "csv")
    ada, bo, cy = read(delivery)
    assert (ada["name"], ada["raw_score"], ada["penalty"], ada["score"]) == ("Ada Lovelace", "8", "0", "8")
    assert (bo["status"], cy["status"]) == ("internal", "not handed in")
    assert delivery.notes[0] == "Cy Day: has an extension, and no submission is known to be hers."
    given = deliver(home, "csv", roster=home / "people.csv")
    assert [(row["name"], row["penalty"]) for row in read(given)] == [("Ada Lovelace", "1"), ("Bo Li", "")]


def test_the_instructors_word_counts_before_lateness_is_settled(home):
    with Gradebook.open(home / "gradebook.sqlite") as book:
        book.adjust(Adjustment("toy", "ada__new", "test_affine", 4.0, 4.0, "right after all"), datetime.now(UTC))
    (ada, _) = read(deliver(home, "csv"))
    assert (ada["raw_score"], ada["penalty"], ada["score"]) == ("10", "1", "9")


def test_nothing_missed_is_said_so(home):
    record(home, [grade("bo", 5.0)])
    delivery = deliver(home, "csv")
    assert not delivery.missed and delivery.notes == ()
    assert not deliver(home, "canvas", template=home / "canvas.csv").missed


def test_a_grade_that_can_not_be_read_counts_for_nothing_but_has_a_row(home):
    record(home, [replace(grade("bo", 0.0), status=Outcome.UNREADABLE)])
    assert read(deliver(home, "csv"))[1]["score"] == "0"


@pytest.mark.parametrize(
    ("format_", "more", "said"),
    [
        ("canvas", {}, r"canvas takes its own file back: download your gradebook export there.*--template"),
        ("moodle", {}, r"moodle takes its own file back: download your grading worksheet"),
        ("csv", {"template": Path("x")}, r"--template is for canvas and moodle; csv is written from nothing"),
        ("gradescope", {}, r"one file for each submission: name a folder for them with --out"),
        ("csv", {"assignment": "a9"}, r"no grade of 'a9'"),
        ("canvas", {"template": Path("canvas.csv"), "out": Path("canvas.csv")}, r"is yours and is kept"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(home, monkeypatch, format_, more, said):
    monkeypatch.chdir(home)
    before = sorted(home.rglob("*"))
    with pytest.raises(InstructorError, match=said):
        deliver(home, format_, **more)
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("format_", ["csv", "gradescope"])
def test_a_place_that_can_not_be_written_is_the_operators(home, format_):
    (home / "file").write_text("")
    with pytest.raises(OperatorError, match=r"can't be written \(.*Give another place with --out"):
        deliver(home, format_, out=home / "file" / "below")


def test_nbgraders_gradebook_is_written_where_a_database_is_named(home, monkeypatch):
    api = pytest.importorskip("nbgrader.api")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    delivery = deliver(home, "nbgrader", out=home / "theirs.db")
    assert delivery.missed and delivery.content == b""
    with api.Gradebook(f"sqlite:///{home}/theirs.db") as book:
        assert book.find_submission("toy", "ada").late_submission_penalty == 1.0


NOTEBOOK = b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}'
DOWNLOADS = {
    "canvas": {"lovelaceada_11_90_toy.ipynb": NOTEBOOK, "libo_LATE_12_91_toy.ipynb": NOTEBOOK},
    "moodle": {
        "Ada Lovelace_1_assignsubmission_file_/toy.ipynb": NOTEBOOK,
        "Bo Li_2_assignsubmission_file_/toy.ipynb": NOTEBOOK,
    },
    "gradescope": {
        "export/submission_5/toy.ipynb": NOTEBOOK,
        "export/submission_metadata.yml": b"submission_5:\n  :submitters:\n  - :name: A. Lovelace\n    :sid: '0042'\n"
        b"    :email: ada@x.org\n  - :name: Bo L.\n    :sid: '0043'\n    :email: bo@x.org\n"
        b"  :created_at: 2026-03-13 12:00:00.000000000 +01:00\n",
    },
    "nbgrader": {
        "submitted/ada/toy/toy.ipynb": NOTEBOOK,
        "submitted/ada/toy/timestamp.txt": b"2026-03-13 11:00:00.000000 UTC",
        "submitted/bo/toy/toy.ipynb": NOTEBOOK,
    },
}


@pytest.mark.parametrize("platform", DOWNLOADS)
@pytest.mark.parametrize("packed", [False, True])
def test_from_a_platforms_download_into_every_platforms_own_file(home, platform, packed):
    folder = home / "download"
    for name, data in DOWNLOADS[platform].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    given = shutil.make_archive(folder, "zip", folder) if packed else folder
    if platform == "nbgrader":
        given = shutil.make_archive(home / "submitted", "zip", folder / "submitted") if packed else folder / "submitted"
    (home / "gradebook.sqlite").unlink()
    with TemporaryDirectory() as scratch:
        entries = intake.discover([Path(given)], Path(scratch), "toy")
        record(home, [batch._dated(grade(entry.student, 8.0, submission=entry.id), entry) for entry in entries])
    known = "student,name,id,login,email\nada,Ada Lovelace,0042,ada,ada@x.org\nbo,Bo Li,0043,bo,bo@x.org\n"
    (home / "people.csv").write_text(known)
    more = {"roster": home / "people.csv"}
    late = platform in ("gradescope", "nbgrader")
    ada, bo = (b"7" if late else b"8"), (b"7" if platform == "gradescope" else b"8")
    canvas = deliver(home, "canvas", template=home / "canvas.csv", **more if platform != "canvas" else {})
    assert canvas.content == CANVAS.replace(b"ada,B,", b"ada,B,%b" % ada).replace(b"bo,B,", b"bo,B,%b" % bo)
    moodle = deliver(home, "moodle", template=home / "moodle.csv", **more if platform != "moodle" else {})
    if platform == "canvas":
        assert moodle.missed and b"not in moodle.csv" in "\n".join(moodle.notes).encode()
        return
    assert moodle.content == MOODLE.replace(b"ada@x.org,S,", b"ada@x.org,S,%b" % ada).replace(
        b"bo@x.org,S,", b"bo@x.org,S,%b" % bo
    )
    if platform == "nbgrader":
        rows = list(csv.DictReader(io.StringIO(deliver(home, "nbgrader", **more).content.decode(), newline="")))
        assert [(row["student_id"], row["timestamp"]) for row in rows] == [("ada", "2026-03-13 11:00:00"), ("bo", "")]
