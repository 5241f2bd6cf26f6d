"""gradescope: results.json with the keys and kinds that its documents name."""

import json

import pytest
from gradesheets import DECIDED, EVIL, LATE, PENDING, POLICY, grade, standings

from autograder.exports import gradescope
from autograder.public import Open
from autograder.records import VISIBILITIES, CheckResult, Status

TOP = {
    "score": (int, float), "execution_time": (int, float), "output": str, "output_format": str,
    "test_output_format": str, "test_name_format": str, "visibility": str, "stdout_visibility": str,
    "extra_data": dict, "tests": list, "leaderboard": list,
}  # fmt: skip
TEST = {
    "score": (int, float), "max_score": (int, float), "status": str, "name": str, "name_format": str, "number": str,
    "output": str, "output_format": str, "tags": list, "visibility": str, "extra_data": dict,
}  # fmt: skip
FORMATS = {"text", "html", "simple_format", "md", "ansi"}


def read(grade_):
    content = json.loads(gradescope.document(grade_))
    assert all(isinstance(value, TOP[key]) for key, value in content.items())
    assert content["output_format"] in FORMATS
    for test in content["tests"]:
        assert all(isinstance(value, TEST[key]) for key, value in test.items())
        assert test.get("status", "passed") in ("passed", "failed") and test["output_format"] in FORMATS
    return content


def test_a_grade_has_a_score_and_its_checks():
    content = read(grade("ada", 8.0, notes=("Cell 4 failed.",)))
    assert (content["score"], content["output"], content["execution_time"]) == (8.0, "<p>Cell 4 failed.</p>", 1.2)
    scale, affine = content["tests"]
    assert (scale["name"], scale["status"], scale["score"], scale["max_score"]) == (
        "Multiplies each number.", "passed", 6.0, 6.0,
    )  # fmt: skip
    assert (affine["status"], affine["score"], affine["output"], affine["number"]) == (
        "failed",
        2.0,
        "<p>Look again.</p>",
        "2",
    )


def test_what_lateness_cost_is_taken_from_the_score_and_said():
    (late,) = standings(grade("ada", 8.0, handed_in=LATE, clock="gradescope"), policy=POLICY).grades
    content = read(late)
    assert content["score"] == 7.0 and "1 day late" in content["output"]
    assert content["extra_data"] == {
        "submission": "ada", "status": "graded", "raw_score": 8.0, "penalty": 1.0, "days_late": 1,
    }  # fmt: skip


def test_what_is_pending_or_waits_for_a_person_has_no_score():
    assert "score" not in read(grade("ada", **PENDING))
    waiting = CheckResult("essay", "Essay", 0.0, 4.0, Status.WAITING)
    (test,) = read(grade("ada", 8.0, checks=(waiting,)))["tests"]
    assert "score" not in test and "status" not in test


@pytest.mark.parametrize("hidden", VISIBILITIES)
def test_hidden_checks_are_shown_when_the_instructor_wants(hidden):
    content = json.loads(gradescope.document(grade("ada", 8.0, notes=("Cell 4 failed.",)), hidden))
    assert {test["visibility"] for test in content["tests"]} == {hidden}
    assert content["visibility"] == "visible" and content["output"], "what concerns the whole work is always shown"
    assert {tag for test in content["tests"] for tag in test["tags"]} == {"hidden"}
    assert content["stdout_visibility"] == "hidden"


def test_public_tests_are_visible_apart_from_the_hidden_and_without_points():
    found = (Open("Doubles.", True), Open("Keeps <shapes>.", False, "expected `x < 1`"))
    content = json.loads(gradescope.document(grade("ada", 8.0), "after_published", found))
    public = [test for test in content["tests"] if test["tags"] == ["public"]]
    assert [(test["number"], test["status"], test["visibility"]) for test in public] == [
        ("P1", "passed", "visible"),
        ("P2", "failed", "visible"),
    ]
    assert public[1]["output"] == "<p>expected <code>x &lt; 1</code></p>" and public[0]["output"] == ""
    assert not any("score" in test or "max_score" in test for test in public) and content["score"] == 8.0
    assert {test["visibility"] for test in content["tests"] if test not in public} == {"after_published"}


def test_feedback_is_html_in_paragraphs_with_code_as_code():
    said = "Your code raised `x < 1` here.\nAnd here.\n\nLook at <b>."
    (test,) = read(grade("ada", 0.0, checks=(CheckResult("a", "A.", 0.0, 1.0, Status.TIMED_OUT, said),)))["tests"]
    assert test["output"] == (
        "<p>Your code raised <code>x &lt; 1</code> here.<br>And here.</p>\n<p>Look at &lt;b&gt;.</p>"
    )


def test_the_last_word_of_an_instructor_stands_beside_its_check():
    (test,) = read(grade("ada", 3.0, checks=(DECIDED,)))["tests"]
    assert (test["score"], test["status"]) == (3.0, "failed")
    assert test["output"] == (
        "<p>Look again.</p>\n<p>Emmy gave 3 of 4, where the check gave 1: A good idea.</p>\n<p>Go on.</p>"
    )


def test_nothing_of_the_instructors_and_nothing_that_acts_is_in_it():
    check = CheckResult(EVIL, EVIL, 0.0, 1.0, Status.FAILED, EVIL, None, "SECRET")
    text = gradescope.document(grade(EVIL, notes=(EVIL,), checks=(check,), detail="SECRET"))
    assert "SECRET" not in text
    content = json.loads(text)
    assert "&lt;b&gt;&amp;amp; =1+1" in content["tests"][0]["output"] and "<b>" not in content["output"]
    assert content["test_name_format"] == "text", "or a name would be HTML too"
    assert all(character.isprintable() or character == "\n" for character in text)
