"""standing: which grade of each student counts, what her own extension leaves of it, and who is missing."""

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import toycourse

from autograder import course, standing
from autograder.errors import InstructorError
from autograder.records import Assignment, Extension, Grade, Limits, Outcome, Policy, Share
from autograder.roster import Listed, Person, Roster

DUE = datetime.fromisoformat("2026-03-12T23:59:00+01:00")
POLICY = Policy(DUE, per_day=Share(10, percent=True))
TOY = Assignment("toy", "Scale and shift", Path("toy"), 10, 10, "gentle", (), (), (), Limits(), (), "v1", policy=POLICY)
ON_TIME, LATE = "2026-03-12T23:59:00+01:00", "2026-03-13T12:00:00+01:00"


def grade(student, at=LATE, submission=None, score=8.0, people=(), status=Outcome.GRADED, **more):
    return Grade(
        submission or student, student, "toy", status, score, 10.0, "self", "cpu", 1.0,
        handed_in=at, clock="gradescope", people=people, **more,
    )  # fmt: skip


def row(*, days=0, until=None, handed_in="", **person):
    extension = {"toy": Extension(days, until)} if days or until else {}
    return Listed(Person(**person), extension, {"toy": handed_in} if handed_in else {})


def scores(grades, *rows):
    return {each.submission: each.score for each in standing.settled(TOY, grades, Roster(rows))}


def test_each_student_has_her_own_deadline():
    rows = (row(student="ada", days=1), row(name="Bo Li", until=date(2026, 3, 13)), row(email="cy@x", days=0))
    grades = [grade("ada"), grade("Bo Li"), grade("cy@x"), grade("dan"), grade("eve", ON_TIME), grade("fay", "")]
    assert scores(grades, *rows) == {"ada": 8.0, "Bo Li": 8.0, "cy@x": 7.0, "dan": 7.0, "eve": 8.0, "fay": 8.0}


def test_the_class_list_may_say_when_work_was_handed_in():
    (settled,) = standing.settled(TOY, [grade("ada", "")], Roster((row(student="ada", handed_in=LATE),)))
    assert (settled.score, settled.clock, settled.late.days) == (7.0, "roster", 1)


def test_of_a_groups_extensions_the_longest_holds_for_all():
    pair = grade("A and B", people=("name=A&number=1", "name=B&number=2"))
    assert scores([pair], row(number="1"), row(number="2", days=3), row(number="3", days=9)) == {"A and B": 8.0}
    assert scores([pair], row(number="1"), row(number="2")) == {"A and B": 7.0}


def test_where_it_can_not_be_told_whose_extension_it_is_nothing_is_taken():
    kims = (row(name="Kim Lee", number="1"), row(name="Lee, Kim", number="2", days=1))
    (settled,) = standing.settled(TOY, [grade("kim lee")], Roster(kims))
    assert settled.score == 8.0 and settled.late.says == f"{standing.UNSURE} Nothing was taken away."
    assert scores([grade("kim lee")], kims[0], replace(kims[1], extensions={})) == {"kim lee": 7.0}


def test_without_a_policy_grades_are_as_they_were():
    grades = [grade("ada")]
    assert standing.settled(replace(TOY, policy=None), grades, Roster()) == grades


def standings(grades, counts, *rows):
    return standing.standings(TOY, grades, counts, Roster(rows))


def test_of_several_files_the_one_counts_that_the_last_run_says():
    grades = [grade("ada", ON_TIME, "ada__new"), grade("ada", LATE, "ada__old"), grade("bo")]
    chosen = standings(grades, {"ada__new": True, "ada__old": False, "bo": True})
    assert [row.grade.submission for row in chosen.rows] == ["ada__new", "bo"]
    assert [each.submission for each in chosen.grades] == ["ada__new", "ada__old", "bo"]


@pytest.mark.parametrize(
    ("other", "wins"),
    [
        (grade("ada", LATE, "b"), "b"),
        (grade("ada", "", "b"), "a"),
        (grade("ada", LATE, "b", status=Outcome.UNREADABLE), "a"),
        (grade("ada", ON_TIME, "b"), "b"),
    ],
)
def test_without_a_run_the_later_one_that_can_be_read_counts(other, wins):
    assert [row.grade.submission for row in standings([grade("ada", ON_TIME, "a"), other], {}).rows] == [wins]
    assert [row.grade.submission for row in standings([other, grade("ada", ON_TIME, "a")], {"a": True}).rows] == ["a"]


def test_people_are_joined_with_the_class_list_and_who_is_missing_is_named():
    found = standings(
        [
            grade("ada", people=("canvas=5",)),
            grade("kim lee"),
            grade("zed"),
            grade("P and Q", people=("name=P", "name=Q")),
        ],
        {},
        row(student="ada", number="0042", email="ada@x"),
        row(name="Kim Lee", number="1"),
        row(name="Lee, Kim", number="2"),
        row(name="P", section="B"),
        row(name="Absent", days=2),
        row(name="Idle"),
    )
    people = [each.person for each in found.rows]
    assert people[0] == Person("ada", number="0042", email="ada@x", canvas="5")
    assert people[3] == Person(name="P", section="B") and people[4] == Person(name="Q")
    assert [person.name for person in found.absent] == ["Absent", "Idle"]
    assert found.notes == (
        "kim lee (kim lee): may be Kim Lee or Lee, Kim on the class list.",
        "zed (zed): is not on the class list.",
        "Q (P and Q): is not on the class list.",
        "Absent: has an extension, and no submission is known to be hers.",
    )


def test_the_class_list_is_the_one_given_else_the_courses_else_none(tmp_path):
    home = toycourse.make(tmp_path)
    assert standing.class_list(home) == Roster()
    (home / "solutions" / "roster.csv").write_text("name,extension: toy\nAda,2\n")
    (tmp_path / "mine.csv").write_text("name\nBo\nCy\n")
    assert [row.person.name for row in standing.class_list(home).rows] == ["Ada"]
    assert [row.person.name for row in standing.class_list(home, tmp_path / "mine.csv").rows] == ["Bo", "Cy"]
    assert course.names(home) == ["toy"]
    (home / "solutions" / "roster.csv").write_text("name,extension: tyo\nAda,2\n")
    with pytest.raises(InstructorError, match=r"names no assignment of this course\. It has toy"):
        standing.class_list(home)
