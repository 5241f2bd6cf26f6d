"""gradescope: results.json with the keys and kinds that its documents name."""

import json

from gradesheets import DECIDED, EVIL, LATE, PENDING, POLICY, grade, standings

from autograder.exports import gradescope
from autograder.records import CheckResult, Status

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
    assert (content["score"], content["output"], content["execution_time"]) == (8.0, "Cell 4 failed.", 1.2)
    scale, affine = content["tests"]
    assert (scale["name"], scale["status"], scale["score"], scale["max_score"]) == (
        "Multiplies each number.", "passed", 6.0, 6.0,
    )  # fmt: skip
    assert (affine["status"], affine["score"], affine["output"], affine["number"]) == (
        "failed",
        2.0,
        "Look again.",
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


def test_the_last_word_of_an_instructor_stands_beside_its_check():
    (test,) = read(grade("ada", 3.0, checks=(DECIDED,)))["tests"]
    assert (test["score"], test["status"]) == (3.0, "failed")
    assert test["output"] == "Look again.\n\nEmmy gave 3 of 4, where the check gave 1: A good idea.\n\nGo on."


def test_nothing_of_the_instructors_and_nothing_that_acts_is_in_it():
    check = CheckResult(EVIL, EVIL, 0.0, 1.0, Status.FAILED, EVIL, None, "SECRET")
    text = gradescope.document(grade(EVIL, notes=(EVIL,), checks=(check,), detail="SECRET"))
    assert "SECRET" not in text
    assert all(character.isprintable() or character == "\n" for character in text)
