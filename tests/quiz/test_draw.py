"""Sheets: the same again and again for one student, another one for everybody else, in every language."""

import sys

import pytest
import quizroom

from autograder import course
from autograder.errors import BrokenBank
from autograder.quiz import bank, draw
from autograder.quiz.records import Kind


@pytest.fixture
def root(tmp_path):
    return quizroom.course(tmp_path / "course")


def test_a_sheet_comes_again_as_it_was(root):
    quiz = bank.load(root, "toy_quiz")
    assert draw.sheet(root, quiz, "ada", 1) == draw.sheet(root, quiz, "ada", 1)


def test_student_attempt_quiz_and_secret_each_change_it(root, tmp_path):
    quiz = bank.load(root, "toy_quiz")
    other = quizroom.course(tmp_path / "other")
    texts = {
        draw.sheet(place, quiz, student, attempt).quiz.items[2].text
        for place, student, attempt in [(root, "ada", 1), (root, "alan", 1), (root, "ada", 2), (other, "ada", 1)]
    }
    assert len(texts) == 4
    assert draw.seed(b"x" * 32, "a", "b", 1) != draw.seed(b"x" * 32, "b", "a", 1)


def test_no_two_of_a_thousand_share_their_numbers(root):
    deck = draw.deck(root, bank.load(root, "toy_quiz"))
    assert len({draw.deal(deck, f"s{n}", 1).quiz.items[2].text for n in range(1000)}) == 1000


def test_every_language_has_the_same_numbers_and_order(root):
    (english,) = quizroom.sheets(root, "ada")
    (hebrew,) = quizroom.sheets(root, "ada", language="he")
    assert english.shown == hebrew.shown and english.origin == hebrew.origin
    assert english.quiz.items[2].choices[0].text == hebrew.quiz.items[2].choices[0].text
    assert quizroom.right_answers(english)["who-is-who"] == quizroom.right_answers(hebrew)["who-is-who"]


def test_each_order_of_the_choices_comes(root):
    dealt = quizroom.sheets(root, *(f"s{n}" for n in range(200)))
    assert len({each.origin["sum-of-weights"] for each in dealt}) == 24
    assert {each.shown["in-order"] for each in dealt}.isdisjoint({(0, 1, 2, 3)})
    assert all(len(each.shown["who-is-who"]) == 4 for each in dealt)


def test_an_order_can_be_fixed(root):
    quizroom.changed(root, "# sum-of-weights\n", "# sum-of-weights\norder: fixed\n")
    assert {each.origin["sum-of-weights"] for each in quizroom.sheets(root, "ada", "alan", "ida")} == {(0, 1, 2, 3)}


def test_draws_leave_nothing_behind(root):
    before = set(sys.modules)
    draw.sheet(root, bank.load(root, "toy_quiz"), "ada", 1)
    assert set(sys.modules) == before


TWO = """
def scaled_score(rng):
    dot = rng.randint(1, 3)
    return {"dot": dot, "width": 4, "key": dot / 2.0, "unscaled": rng.choice([1, 2]) / 2.0}
"""


def test_it_draws_again_until_no_wrong_number_passes_for_the_key(root):
    (root / "quizzes" / "toy_quiz" / "draws.py").write_text(TWO)
    for dealt in quizroom.sheets(root, *(f"s{n}" for n in range(100))):
        key, wrong = (float(choice.text) for choice in dealt.quiz.items[2].choices)
        assert abs(key - wrong) > 0.01 * key


@pytest.mark.parametrize(
    ("draws", "says"),
    [
        ("x = 1", "found no function 'scaled_score' in draws.py"),
        ("def scaled_score(rng):\n    return {'dot': 1}", r"found {{key}}, expected one of dot"),
        ("def scaled_score(rng):\n    return 3", "gave 3, expected a dict"),
        ("def scaled_score(rng):\n    return 1 / 0", "raised ZeroDivisionError"),
        ("def scaled_score(rng:", "line 1"),
        (
            "def scaled_score(rng):\n    return dict(dot=1, width=4, key='a', unscaled=2)",
            "does not fit 'a'",
        ),
        (
            "def scaled_score(rng):\n    return dict(dot=1, width=4, key=float('inf'), unscaled=2)",
            "expected a finite number",
        ),
        ("def scaled_score(rng):\n    return dict(dot=1, width=1, key=1.0, unscaled=1)", "called 100 times"),
    ],
)
def test_draws_that_do_not_fit_are_named(root, draws, says):
    (root / "quizzes" / "toy_quiz" / "draws.py").write_text(draws)
    with pytest.raises(BrokenBank) as caught:
        quizroom.sheets(root, "ada")
    assert says in str(caught.value)


def test_without_draws_nothing_can_be_drawn(root):
    (root / "quizzes" / "toy_quiz" / "draws.py").unlink()
    with pytest.raises(BrokenBank, match=r"found no draws\.py beside it"):
        quizroom.sheets(root, "ada")


def test_braces_of_tex_are_left_alone_where_nothing_is_drawn(root):
    quizroom.changed(root, "What do the weights", "With $e^{{x}}$, what do the weights")
    assert "$e^{{x}}$" in quizroom.sheets(root, "ada")[0].quiz.items[0].text


def test_a_tolerance_may_be_drawn(root):
    quizroom.changed(root, "{{key:.4f}} ± 1%", "{{key:.4f}} ± {{width}}")
    (root / "quizzes" / "toy_quiz" / "he.md").unlink()
    item = quizroom.sheets(root, "ada")[0].quiz.items[2]
    assert item.choices[0].tolerance in (4.0, 16.0, 64.0, 256.0)


def test_the_secret_is_the_grader_s(root):
    dealt = quizroom.sheets(root, "ada")[0]
    deck = draw.Deck(*(bank.load(root, "toy_quiz"),) * 2, draw.draws(root, "toy_quiz"), course.secret(root))
    assert draw.deal(deck, "ada", 1) == dealt and dealt.quiz.items[0].kind is Kind.SINGLE
