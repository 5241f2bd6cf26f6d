"""lastword: what an instructor says of a check is kept through regrading and stands in every report."""

import csv
import json
import os
import shutil
from dataclasses import replace

import classroom
import pytest
import toycourse
from classroom import SCALE, solution

from autograder import batch, course, lastword
from autograder.errors import BrokenAssignment, InstructorError
from autograder.gradebook import Gradebook
from autograder.lastword import Place, Word

LOST = "test_scale_multiplies_each_number"
ESSAY = '\n[[by_hand]]\nid = "essay"\ntitle = "Says why <scaling> helps."\npoints = 4\n'


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course with a question graded by hand, and a report of two students."""
    root = classroom.quick(tmp_path_factory.mktemp("lastword"))
    toml = toycourse.edit(root, "assignment.toml", "points = 10\n", "points = 14\n")
    toml.write_text(toml.read_text("utf-8") + ESSAY, "utf-8")
    classroom.hand_in(root / "class", {"ada": solution(), "alan": solution((SCALE, "return x + factor"))})
    grade(root)
    return root


@pytest.fixture
def root(graded, tmp_path):
    return shutil.copytree(graded, tmp_path / "course")


def grade(root):
    starts = []
    request = batch.Request(root, "toy", (root / "class",), root / "out", workers=1, isolation="best")
    return batch.grade(request, batch.Watcher(starts.append, lambda _: None)), starts[0]


def say(root, check=LOST, points=2.0, reason="Your machine was slow.", submission="alan", **more):
    place = Place(root / "out", None, root)
    return lastword.adjust(place, Word(submission, check, points, reason, **more))


def written(root, name="alan"):
    """The student's result, hers for the instructor, her page, and her score in the table."""
    out = root / "out"
    result, private = (json.loads((out / f / f"{name}.json").read_text("utf-8")) for f in ("results", "instructor"))
    with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
        score = next(row["score"] for row in csv.DictReader(file) if row["submission"] == name)
    return result, private, (out / "pages" / f"{name}.html").read_text("utf-8"), score


def check(result, name=LOST):
    return next(check for check in result["checks"] if check["name"] == name)


def test_it_stands_in_every_report_at_once_and_no_record_changes(root):
    heard = say(root, by="Emmy <b>", comment="Well\n\ndone & <i>dusted</i>.")
    assert lastword.render(heard).splitlines() == [
        f"alan, {LOST}: 2 of 2 points, was 0 of 2 points. Your machine was slow.",
        "Score: 10 / 10, was 8 / 10.",
        f"Report: {heard.report / 'index.html'}",
    ]
    result, private, page, score = written(root)
    assert (result["score"], score) == (10.0, "10")
    assert check(result)["status"] == "failed" and check(result)["points"] == 2.0
    assert check(result)["adjusted"] == {
        "points_before": 0.0,
        "reason": "Your machine was slow.",
        "by": "Emmy <b>",
        "comment": "Well\n\ndone & <i>dusted</i>.",
    }
    assert check(private)["review"] is False and "review" not in check(result)
    assert "<b>Emmy &lt;b&gt;</b> gave 2 of 2" in page and "where the check gave 0: Your machine was slow." in page
    assert "done &amp; &lt;i&gt;dusted&lt;/i&gt;." in page
    index = (root / "out" / "index.html").read_text("utf-8")
    assert index.count('<span class="chip older">adjusted</span>') == 1
    assert "adjusted" not in check(written(root, "ada")[0])
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        (attempt,) = book.attempts("toy", "alan")
        assert attempt.grade.score == 8.0 and [grade.score for grade in book.latest("toy")] == [10.0, 10.0]
    assert {path.name for path in (root / "out").iterdir()} >= {"grades.csv", "index.html", "results", "instructor"}


def test_it_is_kept_on_regrading_and_flagged_once_the_code_is_another(root):
    say(root)
    graded, start = grade(root)
    assert start.known == 2 and graded.review == () and [each.score for each in graded.grades] == [10.0, 10.0]
    classroom.hand_in(root / "class", {"alan": solution((SCALE, "return x - factor"))})
    graded, start = grade(root)
    assert start.known == 1 and [each.score for each in graded.grades] == [10.0, 10.0]
    (said,) = graded.review
    assert said.startswith(f"alan: {LOST}: adjusted to 2 (Your machine was slow.) when the code")
    assert check(written(root)[1])["review"] is True
    assert "You adjusted a check when the code" in (root / "out" / "index.html").read_text("utf-8")
    say(root, reason="Looked again.")
    assert check(written(root)[1])["review"] is False


def test_it_can_be_taken_back(root):
    with pytest.raises(InstructorError, match=f"{LOST} of alan is not adjusted: nothing to take back"):
        say(root, points=None)
    say(root)
    heard = say(root, points=None, reason="A mistake.")
    assert lastword.render(heard).splitlines()[:2] == [
        f"alan, {LOST}: 0 of 2 points again, was 2 of 2 points (Your machine was slow.).",
        "Score: 8 / 10, was 10 / 10.",
    ]
    assert "adjusted" not in check(written(root)[0]) and written(root)[3] == "8"
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        assert [word.points for word in book.adjustments("toy")["alan"]] == [2.0, None]


def test_a_question_is_graded_by_hand(root):
    result, _, page, _ = written(root, "ada")
    assert (result["score"], result["max_score"]) == (10.0, 10.0)
    assert check(result, "essay") == {
        "name": "essay",
        "title": "Says why <scaling> helps.",
        "points": 0.0,
        "max_points": 4.0,
        "status": "waiting",
        "feedback": "",
        "misconception": None,
    }
    assert "to be graded by hand" in page and "<b>–</b> / 4" in page and 'href="#waiting"' in page
    heard = say(root, "essay", 3.0, "Half of the reasons.", "ada")
    assert lastword.render(heard).startswith(
        "ada, essay: 3 of 4 points, was not graded. Half of the reasons.\nScore: 13"
    )
    result, _, page, score = written(root, "ada")
    assert (result["score"], result["max_score"], score) == (13.0, 14.0, "13")
    assert check(result, "essay")["status"] == "failed" and check(result, "essay")["adjusted"]["points_before"] is None
    assert "graded by hand" in page and "gave 3 of 4: Half of the reasons." in page
    assert "2 to be graded" not in (root / "out" / "index.html").read_text("utf-8")
    toycourse.edit(root, "test_hidden.py", "torch.randn(4, device=device), 3.0)", "torch.randn(5, device=device), 3.0)")
    graded, start = grade(root)
    assert start.partly == 2 and [each.score for each in graded.grades] == [13.0, 8.0]


def test_a_question_may_come_later_and_costs_no_judging(root):
    toml = toycourse.edit(root, "assignment.toml", "points = 14\n", "points = 16\n")
    toml.write_text(f'{toml.read_text("utf-8")}\n[[by_hand]]\nid = "talk"\ntitle = "Talks."\npoints = 2\n', "utf-8")
    graded, start = grade(root)
    assert start.known == 2 and [each.checks[-1].name for each in graded.grades] == ["talk", "talk"]
    assert say(root, "talk", 2.0).after.score == 10.0


def test_the_score_that_is_shown_is_the_one_after_lateness(root):
    due = "2001-01-01T00:00:00+00:00"
    with (root / "solutions" / "toy" / "assignment.toml").open("a") as file:
        file.write(f'\n[policy]\ndue = {due}\npenalty_per_day = 1\ncap = "25 %"\n')
    grade(root)
    assert "Score: 7.5 / 10 (2.5 taken away for lateness), was 5.5 / 10 (2.5 taken" in lastword.render(say(root))
    (root / "solutions" / "roster.csv").write_text(f"student,handed in: toy\nalan,{due}\n")
    assert "Score: 9 / 10, was 10 / 10." in lastword.render(say(root, points=1.0))
    assert written(root)[3] == "9"


def test_bonus_points_are_meant(root):
    with pytest.raises(
        InstructorError, match=r"points: found 3, and .* is worth 2\. Give at most that, or add --bonus"
    ):
        say(root, points=3.0)
    assert say(root, points=3.0, bonus=True).after.score == 11.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"submission": "alam"}, r"no submission 'alam' of toy\. Did you mean alan\?"),
        (
            {"check": "test_scale"},
            rf"alan has no check 'test_scale'\. It has: {LOST}, .*, essay\. A question graded by",
        ),
        ({"points": -1.0}, "points: found -1, expected a number from 0 to 2"),
        ({"points": float("nan")}, "points: found nan"),
        ({"points": float("inf"), "bonus": True}, "points: found inf"),
        ({"reason": " "}, "--reason is empty"),
    ],
)
def test_what_cant_be_meant_is_refused(root, change, sentence):
    with pytest.raises(InstructorError, match=sentence):
        say(root, **change)
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        assert book.adjustments("toy") == {}


def test_a_report_that_is_not_there_is_not_made(root, tmp_path):
    away = shutil.copy(root / "out" / "gradebook.sqlite", tmp_path / "away.sqlite")
    place = Place(away, "toy", root)
    heard = lastword.adjust(place, Word("alan", LOST, 2.0, "r"))
    assert heard.report is None and heard.why_not == "" and heard.after.score == 10.0
    assert "The report was not rewritten: `autograder grade` again does that" in lastword.render(heard)
    heard = lastword.adjust(replace(place, gradebook=root / "out", course=tmp_path), Word("alan", LOST, 2.0, "r"))
    assert heard.report is None and "not rewritten (No course found" in lastword.render(heard)
    table = root / "out" / "grades.csv"
    for other in (table.read_text().replace(",toy,", ",other,").encode(), b"\xff\x00", b""):
        table.write_bytes(other)
        assert say(root).report is None


def test_a_report_elsewhere_is_found_and_moves_with_its_gradebook(root, monkeypatch):
    monkeypatch.chdir(root)
    request = batch.Request(root, "toy", (root / "class" / "alan.py",), root / "late" / "out", root / "book", 1)
    batch.grade(replace(request, isolation="best"), batch.Watcher(lambda _: None, lambda _: None))
    assert lastword.adjust(Place(root / "book", None, root), Word("alan", LOST, 2.0, "r")).report.samefile("late/out")
    os.rename(root / "late", root / "moved")
    assert lastword.adjust(Place(root / "book", None, root), Word("alan", LOST, 1.0, "r")).report is None


def test_a_check_that_is_gone_is_told(root):
    say(root)
    hidden = root / "solutions" / "toy" / "test_hidden.py"
    hidden.write_text(hidden.read_text("utf-8").replace(LOST, f"{LOST}_there_is"), "utf-8")
    toycourse.edit(root, "assignment.toml", f'"{LOST}"', f'"{LOST}_there_is"')
    graded, start = grade(root)
    assert start.known == start.partly == 0
    assert graded.review == (
        f"alan: {LOST}: adjusted to 2 (Your machine was slow.), and there is no such check any more. It counts for "
        "nothing.",
    )
    assert lastword.render(say(root, points=None)).startswith(f"alan, {LOST}: taken back. There is no such check any")
    assert grade(root)[0].review == ()
    with pytest.raises(InstructorError, match=f"alan has no check '{LOST}'"):
        say(root, points=None)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('id = "essay"', 'id = "Essay 1"', r"\[\[by_hand\]\] 1: id: found 'Essay 1', expected a name in lower case"),
        ('id = "essay"', f'id = "{"x" * 3}"\nhint = "y"', "hint: found an unknown key, expected one of id, title, po"),
        ("points = 4\n", f"points = 4\n{ESSAY}", "id: found 'essay' a second time, expected each id once"),
        ("points = 4\n", "points = 0\n", "points: found 0, expected a number above 0"),
        ("points = 14\n", "points = 10\n", r"found 10, expected the sum in test_hidden.py and \[\[by_hand\]\], 14"),
    ],
)
def test_a_question_by_hand_that_is_not_as_it_should_be(root, before, after, sentence):
    toycourse.edit(root, "assignment.toml", before, after)
    with pytest.raises(BrokenAssignment, match=sentence):
        course.load(root, "toy")
