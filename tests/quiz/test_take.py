"""A quiz in the terminal: every answer kept at once, stopped and gone on with, handed in and recorded."""

import json

import pytest
import quizroom
from click.testing import CliRunner

from autograder.cli import main
from autograder.errors import InstructorError, StudentError
from autograder.gradebook import Gradebook
from autograder.quiz import feedback, grading, sheet, take
from autograder.records import Request, Watcher


@pytest.fixture
def root(tmp_path):
    return quizroom.course(tmp_path / "course")


class Stopped(Exception):
    """Stands for Ctrl-C."""


class Person:
    """Types these lines, then stops."""

    def __init__(self, *lines):
        self.lines = list(lines)
        self.heard = []

    def say(self, text):
        self.heard.append(text)

    def ask(self, prompt):
        self.heard.append(prompt)
        if not self.lines:
            raise Stopped
        return self.lines.pop(0)

    @property
    def text(self):
        return "\n".join(self.heard)


def sit(root, *lines, student="ada", language="en"):
    """What the person heard, and the grade, None if she stopped or did not hand in."""
    person = Person(*lines)
    desk = take.Desk(root, "toy_quiz", student, root / "out", language, person.say, person.ask)
    try:
        return person.text, take.take(desk), person
    except Stopped:
        return person.text, None, person


def keys(root, attempt=1, language="en"):
    return list(quizroom.right_answers(quizroom.sheets(root, "ada", attempt=attempt, language=language)[0]).values())


@pytest.mark.parametrize("language", ["en", "he"])
def test_the_key_earns_all_points_and_is_recorded(root, language):
    _, grade, person = sit(root, *keys(root, language=language), "y", language=language)
    assert grade.score == 7.0 and grade.submission == "ada__attempt-1"
    assert ("Score: 7 of 7 points" in person.text) == (language == "en")
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        (attempt,) = book.attempts("toy_quiz")
        assert book.roll("toy_quiz").counts == {"ada__attempt-1": True}
    assert attempt.grade.score == 7.0


def test_stopped_at_any_question_it_goes_on_there(root):
    answers = keys(root)
    for count in range(len(answers)):
        sit(root, answers[count], student="ada")
    _, grade, person = sit(root, "y")
    assert "You go on where you stopped: 6 of 6 answered." in person.text and grade.score == 7.0


def test_what_can_not_be_read_is_asked_again(root):
    answers = keys(root)
    _, grade, person = sit(root, "x y z", *answers, "y")
    assert "That could not be read: expected one of a, b, c or d." in person.text and grade.score == 7.0


def test_questions_can_be_left_gone_back_to_and_answered_anew(root):
    answers = keys(root)
    lines = ["a", "<", answers[0], "", "?", *answers[2:], "", answers[1], "y"]
    _, grade, person = sit(root, *lines)
    assert grade.score == 7.0
    assert "You answered before: a." in person.text and "Unanswered: 2." in person.text
    assert person.text.count("Ctrl-C stops") == 2


def test_not_handed_in_is_kept(root):
    _, grade, person = sit(root, *keys(root), "n")
    assert grade is None and "Kept. The same command goes on" in person.text
    assert sit(root, "y")[1].score == 7.0


def test_the_next_time_is_another_attempt_with_other_numbers(root):
    sit(root, *keys(root), "y")
    _, grade, _ = sit(root, *keys(root, attempt=2), "y")
    assert grade.submission == "ada__attempt-2" and grade.score == 7.0
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        assert book.roll("toy_quiz").counts == {"ada__attempt-1": False, "ada__attempt-2": True}


def test_no_more_attempts_than_allowed(root):
    quizroom.changed(root, "attempts = 0", "attempts = 1")
    sit(root, *keys(root), "y")
    with pytest.raises(StudentError, match="All 1 attempts are used"):
        sit(root)


def test_nothing_after_the_due_date(root):
    quizroom.changed(root, "minutes = 5", "minutes = 5\ndue = 2020-01-01T00:00:00Z")
    with pytest.raises(StudentError, match="closed at 2020-01-01 00:00"):
        sit(root)


def test_at_once_means_after_each_answer_and_that_counts(root):
    quizroom.changed(root, "after submission", "at once")
    (dealt,) = quizroom.sheets(root, "ada")
    wrong = "abcd"[next(n for n, choice in enumerate(dealt.quiz.items[0].choices) if choice.mistake)]
    person = sit(root, wrong, "<")[2]
    assert "Not right." in person.text and "A softmax divides by its own sum." in person.text
    _, grade, _ = sit(root, *keys(root)[1:], "y")
    assert grade.score == 6.0


def test_until_the_due_date_nothing_is_told(root):
    quizroom.changed(root, "after submission", "after the due date")
    quizroom.changed(root, "minutes = 5", "minutes = 5\ndue = 2100-01-01T00:00:00Z")
    _, grade, person = sit(root, *keys(root), "y")
    assert grade.score == 7.0
    assert "Score" not in person.text and "is shown after 2100-01-01" in person.text


def test_what_was_taken_is_graded_again_from_its_sheet(root):
    sit(root, *keys(root), "y")
    request = Request(root, "toy_quiz", (root / "out" / "answers" / "toy_quiz",), root / "out")
    starts = []
    graded = grading.grade(request, Watcher(starts.append, lambda _: None))
    assert graded.grades[0].submission == "ada__attempt-1" and graded.grades[0].score == 7.0
    assert starts[0].known == 1


def test_the_time_goes_on_from_where_it_was(root):
    sit(root, *keys(root)[:2])
    path = root / "out" / "answers" / "toy_quiz" / "ada" / "attempt-1.ipynb"
    path.write_text(path.read_text().replace("quiz_seconds = 0", "quiz_seconds = 600"))
    _, grade, _ = sit(root, *keys(root)[2:], "y")
    assert 600 <= feedback.kept(grade)["seconds"] <= 605


def test_another_language_is_named(root):
    with pytest.raises(InstructorError, match="not there in fr; it is there in en, he"):
        sit(root, language="fr")


def filled(root, language="en"):
    (path,) = sheet.make(sheet.Order(root, "toy_quiz", root / "sheets", ("ada",), language=language))
    return path


@pytest.mark.parametrize("language", ["en", "he"])
def test_a_sheet_is_filled_in_where_no_course_is(root, tmp_path, language):
    path = filled(root, language)
    away = tmp_path / "away.ipynb"
    away.write_bytes(path.read_bytes())
    answers = keys(root, language=language)
    person = Person(*answers[:3])
    with pytest.raises(Stopped):
        take.fill(away, person.say, person.ask)
    person = Person(*answers[3:])
    assert take.fill(away, person.say, person.ask)
    assert "<div" not in person.text and ("3 of 6 answered" in person.text) == (language == "en")
    (root / "class").mkdir()
    (root / "class" / "ada.ipynb").write_bytes(away.read_bytes())
    graded = grading.grade(Request(root, "toy_quiz", (root / "class",), root / "out"), Watcher(print, print))
    assert graded.grades[0].score == 7.0


def test_a_sheet_with_questions_left_says_which(root):
    path = filled(root)
    person = Person("a", "", "", "", "", "")
    assert not take.fill(path, person.say, person.ask)
    assert "Unanswered: what_holds, scaled_score" in person.text


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"cells": [{"cell_type": "code", "source": "x = 1"}]}', '{"cells": 3}', "[" * 9999]
)
def test_what_is_no_sheet_is_said(tmp_path, text):
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(StudentError, match="no answer sheet"):
        take.fill(path, print, input)
    with pytest.raises(StudentError, match="no answer sheet"):
        take.fill(tmp_path / "none.ipynb", print, input)


def test_the_command(root):
    runner = CliRunner()
    words = ["quiz", "take", "toy_quiz", "--student", "ada", "--out", str(root / "out"), "--course", str(root)]
    done = runner.invoke(main, words, input="\n".join(keys(root)[:2]) + "\n")
    assert done.exit_code == 130 and "Every answer is kept" in done.output
    done = runner.invoke(main, words, input="\n".join([*keys(root)[2:], "y"]) + "\n")
    assert done.exit_code == 0 and "Score: 7 of 7 points" in done.output


def test_the_command_with_a_sheet(root):
    path = filled(root)
    done = CliRunner().invoke(main, ["quiz", "take", str(path)], input="\n".join(keys(root)) + "\n")
    assert done.exit_code == 0 and "every answer is in it" in done.output
    assert json.loads(path.read_text())["nbformat"] == 4
