"""comparison: who gained, who lost, which checks moved; between versions, gradebooks and folders."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from autograder import adjustments, comparison, reports
from autograder.comparison import Side
from autograder.errors import InstructorError
from autograder.gradebook import Gradebook
from autograder.records import Adjustment, Assignment, CheckResult, Grade, Late, Limits, Outcome, Status

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ASSIGNMENT = Assignment("a1", "Attention", Path("a1"), 5, 90, "gentle", (), (), (), Limits(), (), "v1")


def grade(name, a, b, version="v1", **more):
    """A grade with so many points in two checks; None where our fault has left it pending."""
    points = {"test_a": (a, 2.0), "test_b": (b, 3.0)}
    status = {None: Status.INTERNAL, 0: Status.FAILED}
    checks = tuple(
        CheckResult(check, f"Title of {check}.", got or 0.0, most, status.get(got, Status.PASSED))
        for check, (got, most) in points.items()
    )
    pending = a is None or b is None
    outcome = Outcome.INTERNAL if pending else Outcome.GRADED
    scores = (None, None) if pending else (float(a + b), 5.0)
    known = {"digest": "d", "version": version, "checks": checks} | more
    return Grade(name, name.title(), "a1", outcome, *scores, "self", "cpu", 0.1, **known)


BEFORE = [grade("ada", 2, 0), grade("alan", 2, 3), grade("emmy", 0, 3), grade("grace", 2, 3), grade("wei", None, 3)]
AFTER = [
    grade("ada", 2, 3, "v2"),
    grade("alan", 2, 0, "v2"),
    grade("emmy", 2, 3, "v2", digest="e"),
    grade("grace", 2, 3, "v2"),
    grade("wei", 2, 3, "v2"),
]
OLD, NEW = Side("old", "a1", tuple(BEFORE)), Side("new", "a1", tuple(AFTER))


def shown(found, **options):
    console = Console(file=io.StringIO(), width=150)
    console.print(comparison.table(found, **options))
    return console.file.getvalue()


def test_who_gained_and_who_lost():
    found = comparison.compare(OLD, NEW)
    assert [(c.submission, c.change) for c in found.gained] == [("ada", 3.0), ("emmy", 2.0)]
    assert [(c.submission, c.change) for c in found.lost] == [("alan", -3.0)]
    assert [(c.submission, c.before, c.after) for c in found.otherwise] == [("wei", None, 5.0)]
    assert found.unchanged == 1 and [c.recoded for c in found.gained] == [False, True]
    assert [(m.check, m.before, m.after) for m in found.lost[0].moves] == [("test_b", 3.0, 0.0)]


def test_who_is_in_one_only():
    found = comparison.compare(replace(OLD, grades=(BEFORE[0],)), replace(NEW, grades=(AFTER[1],)))
    assert (found.gone, found.added, found.unchanged, found.changes) == (("ada",), ("alan",), 0, ())
    assert comparison.summary(found).endswith("1 only in the old; 1 only in the new.")


def test_a_table_for_people():
    text = shown(comparison.compare(OLD, NEW))
    lines = [line.split() for line in text.splitlines()]
    assert ["Alan", "alan", "5", "2", "-3", "test_b", "-3"] in lines
    assert ["Wei", "wei", "pending", "5", "test_a", "+2"] in lines
    assert ["test_b", "1", "1", "0", "Title", "of", "test_b."] in lines
    assert "a1, old to new: 2 gained, 1 lost; 1 changed without a change of score, or pending; 1 unchanged" in text
    assert "+2 points in all; 1 of those that changed had handed in other code" in " ".join(text.split())
    assert "... and 3 more; `autograder compare` shows them all." in shown(comparison.compare(OLD, NEW), most=1)
    assert shown(comparison.compare(OLD, OLD)).startswith("a1, old to old: 0 gained, 0 lost; 5 unchanged; 0 points")


def test_the_same_for_a_script():
    found = json.loads(json.dumps(comparison.as_json(comparison.compare(OLD, NEW))))
    assert [found[key] for key in ("assignment", "gained", "lost", "unchanged", "total")] == ["a1", 2, 1, 1, 2.0]
    assert found["changes"][0] == {
        "submission": "ada",
        "student": "Ada",
        "before": 2.0,
        "after": 5.0,
        "recoded": False,
        "checks": [{"name": "test_b", "before": 0.0, "after": 3.0}],
    }
    assert {"name": "test_a", "title": "Title of test_a.", "gained": 2, "lost": 0, "points": 4.0} in found["checks"]


def test_nothing_of_a_stranger_acts():
    evil = "\x1b[31m[bold]x[/bold]\u202e"
    names = [replace(each, student=evil, submission=evil) for each in (BEFORE[0], AFTER[0])]
    text = shown(comparison.compare(*(Side(evil[5:], "a1", (each,)) for each in names)))
    assert "\x1b" not in text and "\u202e" not in text and "[bold]x[/bold]" in text


def keep(path, *grades):
    with Gradebook.open(path) as book:
        book.record_all(grades, NOW)
    return path


def test_the_last_two_versions_of_a_gradebook(tmp_path):
    path = keep(tmp_path / "book.sqlite", *(replace(each, version="v0", score=0.0) for each in BEFORE), *BEFORE)
    keep(path, *AFTER[:3])
    found = comparison.last_two(path, None)
    assert (found.old.label, found.new.label) == ("version v1", "version v2")
    assert len(found.gained) == 2 and found.gone == ("grace", "wei")
    with Gradebook.open(path) as book:  # an adjusted check stays where the instructor put it
        book.adjust(Adjustment("a1", "alan", "test_b", 3.0, 3.0, "fair"), NOW)
    assert comparison.last_two(path, "a1").lost == ()


def test_one_version_is_nothing_to_compare(tmp_path):
    path = keep(tmp_path / "book.sqlite", *BEFORE)
    with pytest.raises(InstructorError, match=r"holds a1 in one version only \(v1\): nothing to compare\. Change"):
        comparison.last_two(path, None)


def late(each):
    """The grade as a report has it, where lateness has cost a point: compared is what was earned."""
    if each.score is None:
        return each
    return replace(each, score=each.score - 1, late=Late(each.score, 1.0, 1, "", "A day late."))


def test_lateness_and_the_last_digit_of_a_sum_are_no_change():
    found = comparison.compare(OLD, replace(OLD, grades=tuple(map(late, BEFORE))))
    assert found.changes == () and found.unchanged == 5
    close = [replace(each, score=each.score and each.score + 1e-15) for each in BEFORE]
    assert comparison.compare(OLD, replace(OLD, grades=tuple(close))).changes == ()


def test_a_last_word_is_found_in_a_report_as_in_a_gradebook(tmp_path):
    decided = [adjustments.apply(BEFORE[4], [Adjustment("a1", "wei", "test_a", 1.0, 2.0, "fair")])]
    reports.write(tmp_path, ASSIGNMENT, decided, {"wei"})
    (change,) = comparison.between(tmp_path, keep(tmp_path / "book", AFTER[4]), None).changes
    assert [(move.check, move.before, move.after) for move in change.moves] == [("test_a", 1.0, 2.0)]


def test_gradebooks_and_folders_give_the_same(tmp_path):
    paths = []
    for name, grades in (("one", BEFORE), ("two", AFTER)):
        folder = tmp_path / name
        folder.mkdir()
        keep(folder / "gradebook.sqlite", *grades)
        results = tmp_path / f"{name}-results"
        results.mkdir()
        reports.write(results, ASSIGNMENT, list(map(late, grades)), {each.submission for each in grades})
        paths.append((folder / "gradebook.sqlite", folder, results))
    found = [comparison.between(old, new, None) for old, new in zip(*paths, strict=True)]
    for each in found:
        assert [(c.submission, c.change, len(c.moves)) for c in each.changes] == [
            (c.submission, c.change, len(c.moves)) for c in found[0].changes
        ]
    assert len(found[2].changes) == 4


def test_what_cant_be_compared_says_why(tmp_path):
    one = keep(tmp_path / "one.sqlite", *BEFORE)
    other = keep(tmp_path / "other.sqlite", replace(AFTER[0], assignment="a2"))
    with pytest.raises(InstructorError, match=r"holds a1 and .* holds a2: give two gradings of one assignment"):
        comparison.between(one, other, None)
    with pytest.raises(InstructorError, match="No gradebook found"):
        comparison.between(one, tmp_path / "nowhere", None)
    results = tmp_path / "out" / "results"
    results.mkdir(parents=True)
    with pytest.raises(InstructorError, match="holds results of none: expected those of one assignment"):
        comparison.between(tmp_path / "out", one, None)
    (results / "ada.json").write_text("[]")
    with pytest.raises(InstructorError, match=r"ada\.json is no result"):
        comparison.between(tmp_path / "out", one, None)
    (results / "ada.json").write_text("{}")
    with pytest.raises(InstructorError, match=r"ada\.json is no result as .*KeyError.*Give the folder"):
        comparison.between(tmp_path / "out", one, None)
