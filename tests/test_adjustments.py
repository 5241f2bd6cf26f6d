"""adjustments: the last word counts, changes no record, and is flagged where it was said of something else."""

from dataclasses import replace

import pytest

from autograder import adjustments
from autograder.records import Adjusted, Adjustment, ByHand, CheckResult, Grade, Outcome, Status

CHECKS = (
    CheckResult("test_a", "Agrees.", 2.0, 2.0, Status.PASSED),
    CheckResult("test_b", "Masks.", 0.0, 3.0, Status.FAILED, "Look again.", "no-mask"),
)
GRADE = Grade("ada", "Ada", "a1", Outcome.GRADED, 2.0, 5.0, "self", "cpu", 0.5, CHECKS, digest="d1")
WORD = Adjustment("a1", "ada", "test_b", 3.0, 3.0, "slow machine", "Emmy", "Well done.", "d1")
ESSAY = ByHand("essay", "Say why.", 4.0)


def test_the_points_and_the_score_change_and_the_verdict_stays():
    grade = adjustments.apply(GRADE, [WORD])
    check = grade.checks[1]
    assert (grade.score, grade.max_score, check.points, check.status) == (5.0, 5.0, 3.0, Status.FAILED)
    assert check.adjusted == Adjusted(0.0, "slow machine", "Emmy", "Well done.")
    assert grade.checks[0] is CHECKS[0] and GRADE.checks[1].adjusted is None


def test_the_last_word_counts_and_may_be_taken_back():
    words = [WORD, replace(WORD, points=1.0), replace(WORD, check="test_a", points=0.0)]
    assert adjustments.apply(GRADE, words).score == 1.0
    assert adjustments.apply(GRADE, [*words, replace(WORD, points=None)]).score == 0.0
    assert adjustments.apply(GRADE, [WORD, replace(WORD, points=None)]) is GRADE
    assert adjustments.apply(GRADE, []) is GRADE


def test_a_student_reads_who_gave_what_and_why():
    check = adjustments.apply(GRADE, [replace(WORD, points=1.5, by="\x1b[1mEmmy")]).checks[1]
    assert adjustments.sentence(check) == ("Emmy gave 1.5 of 3, where the check gave 0: slow machine\n\nWell done.")
    essay = adjustments.with_questions(GRADE, [ESSAY])
    word = replace(WORD, check="essay", by="", comment="", max_points=4.0)
    assert (
        adjustments.sentence(adjustments.apply(essay, [word]).checks[2]) == "Your instructor gave 3 of 4: slow machine"
    )
    assert adjustments.sentence(essay.checks[2]) == ""


def test_more_than_a_check_is_worth_may_be_meant():
    assert adjustments.apply(GRADE, [replace(WORD, points=5.0)]).score == 7.0


@pytest.mark.parametrize("change", [{"digest": "d2"}, {"max_points": 2.0}])
def test_what_was_said_of_something_else_counts_and_is_flagged(change):
    words = [replace(WORD, **change)]
    grade = adjustments.apply(GRADE, words)
    assert grade.score == 5.0 and grade.checks[1].adjusted.review
    (said,) = adjustments.to_review(grade, words)
    assert said.startswith("test_b: adjusted to 3 (slow machine) when the code") and "still counts" in said
    assert adjustments.to_review(adjustments.apply(GRADE, [WORD]), [WORD]) == []


def test_a_word_on_a_check_that_is_gone_counts_for_nothing_and_says_so():
    words = [replace(WORD, check="test_z")]
    assert adjustments.apply(GRADE, words) is GRADE
    (said,) = adjustments.to_review(GRADE, words)
    assert said == "test_z: adjusted to 3 (slow machine), and there is no such check any more. It counts for nothing."


def test_a_question_waits_until_it_is_graded_by_hand():
    grade = adjustments.with_questions(GRADE, [ESSAY])
    assert grade.checks[2] == CheckResult("essay", "Say why.", 0.0, 4.0, Status.WAITING)
    assert (grade.score, grade.max_score) == (2.0, 5.0)
    assert adjustments.apply(grade, [WORD]).max_score == 5.0
    for points, status in ((4.0, Status.PASSED), (1.5, Status.FAILED)):
        word = replace(WORD, check="essay", points=points, max_points=4.0)
        done = adjustments.apply(grade, [word])
        assert (done.score, done.max_score, done.checks[2].status) == (2.0 + points, 9.0, status)
        assert done.checks[2].adjusted.was is None and not done.checks[2].adjusted.review
    assert adjustments.with_questions(grade, [ESSAY]) == grade and adjustments.with_questions(grade, []) == GRADE


def test_what_was_pending_is_settled_once_all_of_it_is_decided():
    checks = tuple(replace(check, points=0.0, status=Status.INTERNAL) for check in CHECKS)
    pending = replace(GRADE, status=Outcome.INTERNAL, score=None, max_score=None, checks=checks)
    one = adjustments.apply(pending, [WORD])
    assert (one.status, one.score, one.checks[1].points) == (Outcome.INTERNAL, None, 3.0)
    both = adjustments.apply(pending, [WORD, replace(WORD, check="test_a", points=2.0, max_points=2.0)])
    assert (both.status, both.score, both.max_score) == (Outcome.GRADED, 5.0, 5.0)


def test_a_file_that_could_not_be_read_may_earn_points_and_stays_unreadable():
    lost = tuple(replace(check, points=0.0, status=Status.FAILED) for check in CHECKS)
    unreadable = replace(GRADE, status=Outcome.UNREADABLE, score=0.0, checks=lost, digest="")
    grade = adjustments.apply(unreadable, [replace(WORD, digest="")])
    assert (grade.status, grade.score, grade.checks[1].adjusted.review) == (Outcome.UNREADABLE, 3.0, False)
