"""Marks: what people really type is read, what it is worth is counted, and nothing hostile costs more."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.quiz import marking
from autograder.quiz.records import Choice, Item, Kind, Trouble


def item(kind, *choices, **more):
    return Item("an-item", kind, "What?", tuple(choices), "", "", **{"points": 2.0, **more})


SINGLE = item(
    Kind.SINGLE,
    Choice("zero", False, "No.", mistake="none"),
    Choice("one", True, "Yes.", credit=1.0),
    Choice("it depends", False, "Partly.", credit=0.5),
)
MULTIPLE = item(
    Kind.MULTIPLE,
    Choice("a1", True, "A.", credit=1.0),
    Choice("b1", False, "B.", mistake="bee"),
    Choice("c1", True, "C.", credit=1.0),
    Choice("d1", False, "D.", credit=0.5),
)
NUMERIC = item(
    Kind.NUMERIC,
    Choice("1234.5", True, "Yes.", tolerance=0.5, credit=1.0),
    Choice("12345", False, "A digit too far.", mistake="shift"),
    why="Count again.",
    unit="parameters",
)
SHORT = item(
    Kind.SHORT,
    Choice("self-attention", True, "Yes.", credit=1.0),
    Choice("קשב עצמי", True, "כן.", credit=1.0),
    Choice("RNN", False, "No.", mistake="rnn"),
    why="It looks at itself.",
)
MATCHING = item(
    Kind.MATCHING,
    Choice("query", True, "It asks.", match="asks", credit=1.0),
    Choice("key", True, "It offers.", match="offers", credit=1.0),
    Choice("value", True, "It gives.", match="gives", credit=1.0),
    Choice("", True, "Nothing.", match="forgets", credit=1.0),
)
ORDERING = item(
    Kind.ORDERING, *(Choice(text, True, f"{text}!", credit=1.0) for text in ("one", "two", "three", "four"))
)


@pytest.mark.parametrize(
    "answer", ["b", "B", " b ", "b)", "(b)", "b.", "'b'", "ב", "b\u200f", "ｂ", ["b"], "one", "One."]
)
def test_a_letter_or_the_choice_itself_is_read(answer):
    assert marking.mark(SINGLE, answer).points == 2.0


def test_what_a_wrong_choice_says():
    found = marking.mark(SINGLE, "a")
    assert (found.points, found.mistake, found.feedback, found.chosen, found.missed) == (0.0, "none", "No.", (0,), (1,))
    assert marking.mark(SINGLE, "c").points == 1.0


@pytest.mark.parametrize("answer", ["d", "a, b", "ab", "2", "xyz", "א ב", 7, {"a": "b"}, [[1]], b"b", 1j, True])
def test_what_is_no_choice_is_not_read(answer):
    found = marking.mark(SINGLE, answer)
    assert found.trouble is Trouble.UNREAD and found.points == 0.0


@pytest.mark.parametrize("answer", ["", "  ", None, [], "\u200b"])
def test_nothing_is_no_answer(answer):
    expected = Trouble.UNREAD if answer == "\u200b" else Trouble.BLANK
    assert marking.mark(SINGLE, answer).trouble is expected


@pytest.mark.parametrize(
    "answer", ["a, c", "a c", "ac", "CA", "a and c", ["a", "c"], {"a", "c"}, "א, ג", "אג", "א ו ג", "a;c"]
)
def test_several_letters_are_read_in_any_form(answer):
    found = marking.mark(MULTIPLE, answer)
    assert found.points == 2.0 and not found.missed


@pytest.mark.parametrize(
    ("answer", "points"), [("a", 1.0), ("a, b", 0.0), ("a, b, c", 1.0), ("b", 0.0), ("a, d", 1.5), ("a, c, d", 2.0)]
)
def test_wrong_choices_cost_what_right_ones_earn(answer, points):
    assert marking.mark(MULTIPLE, answer).points == points


def test_a_part_says_what_was_wrong_and_what_is_missing():
    found = marking.mark(MULTIPLE, "a, b")
    assert found.feedback == "B.\n\nC." and found.mistake == "bee" and found.missed == (2,)


@pytest.mark.parametrize(
    "answer",
    [
        "1234.5",
        "1,234.5",
        "1.234,5",
        "1234,5",
        "1 234,5",
        "1\u00a0234.5",
        "1\u202f234.5",
        "1'234.5",
        "1_234.5",
        "+1234.5",
        "1.2345e3",
        "1.2345E+03",
        "1.2345 × 10^3",
        "1.2345*10**3",
        "1.2345·10³",
        "1.2345x10^{3}",
        "≈1234.4",
        "= 1234.5",
        "n = 1234.5",
        "1234.5 parameters",
        "1234.5 Parameters",
        "1234.5param",
        "$1234.5$",
        "1234.5.",
        "2469/2",
        "2469 / 2",
        "١٢٣٤.٥",
        "１２３４．５",
        "1234.5\u200e",
        1234.5,
        1235,
        "1234",
        1234,
    ],
)
def test_numbers_are_read_as_people_write_them(answer):
    assert marking.mark(NUMERIC, answer).points == 2.0


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("-3e-2", (-0.03,)),
        ("−3,5", (-3.5,)),
        ("–3", (-3.0,)),
        ("1,234", (1.234, 1234.0)),
        ("1.234.567", (1234567.0,)),
        ("12,34,567", ()),
        ("0,05", (0.05,)),
        (".5", (0.5,)),
        ("5.", (5.0,)),
        ("½", (0.5,)),
        ("25%", (0.25,)),
        ("10^-3", (0.001,)),
        ("1/0", ()),
        ("nan", ()),
        ("inf", ()),
        ("1e999", ()),
        ("3 4", ()),
        ("3-4", ()),
        ("0x10", ()),
        ("1..2", ()),
        ("", ()),
        ("two", ()),
        ("1,2,3", ()),
        ("10**10**10", ()),
        ("9" * 5000, ()),
        ("1234 bytes", ()),
        ("1e-400", (0.0,)),
    ],
)
def test_what_a_text_can_mean(text, values):
    assert marking.values(text) == pytest.approx(values)


def test_a_percentage_is_itself_where_that_is_the_unit():
    assert marking.values("25%", "%") == (25.0,) and marking.values("25", "%") == (25.0,)


def test_foreseen_and_other_wrong_numbers():
    assert marking.mark(NUMERIC, "12345").mistake == "shift"
    assert marking.mark(NUMERIC, "7").feedback == "Count again."
    assert marking.mark(NUMERIC, "about five").trouble is Trouble.UNREAD
    assert marking.mark(NUMERIC, "1235.01").points == 0.0 and marking.mark(NUMERIC, "1235.0").points == 2.0


def test_exact_and_relative_numbers():
    exact = item(Kind.NUMERIC, Choice("659592", True, "", credit=1.0))
    share = item(Kind.NUMERIC, Choice("3.1e4", True, "", tolerance=0.02, relative=True, credit=1.0))
    assert marking.mark(exact, "659,592").points == 2.0 and marking.mark(exact, "659593").points == 0.0
    assert marking.mark(share, "30380").points == 2.0 and marking.mark(share, "30379").points == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        "self-attention",
        "Self Attention",
        "self – attention",
        " SELF‑ATTENTION. ",
        "`self-attention`",
        "קשב עצמי",
        "קשב־עצמי",
        "קֶשֶׁב עצמי",
    ],
)
def test_words_are_compared_by_what_they_say(answer):
    assert marking.mark(SHORT, answer).points == 2.0


def test_foreseen_and_other_wrong_words():
    assert marking.mark(SHORT, "rnn").mistake == "rnn"
    assert marking.mark(SHORT, "selfattention").feedback == "It looks at itself."


@pytest.mark.parametrize(
    "answer",
    [
        "1a 2b 3c",
        "1-a, 2-b, 3-c",
        "1:a;2:b;3:c",
        "1→a 2→b 3→c",
        "abc",
        "a b c",
        {"1": "a", 2: "b", "3": "c"},
        "1א 2ב 3ג",
        ["a", "b", "c"],
        "3c 1a 2b",
    ],
)
def test_pairs_are_read_in_any_form(answer):
    assert marking.mark(MATCHING, answer).points == 2.0


def test_each_pair_counts():
    found = marking.mark(MATCHING, "1a 2c 3d")
    assert found.points == pytest.approx(2 / 3) and found.missed == (1, 2) and found.chosen == (0, 2, 3)
    assert marking.mark(MATCHING, "1a").points == pytest.approx(2 / 3)
    assert marking.mark(MATCHING, "1b 2c 3a", shown=(2, 0, 1, 3)).points == 2.0


@pytest.mark.parametrize("answer", ["1a 1b 2c", "4a", "1z", "ab", "abcd", "hello 1a", "1 2 3"])
def test_what_is_no_pairing_is_not_read(answer):
    assert marking.mark(MATCHING, answer).trouble is Trouble.UNREAD


def test_neighbours_that_are_kept_count():
    assert marking.mark(ORDERING, "a b c d").points == 2.0
    assert marking.mark(ORDERING, "d a b c").points == pytest.approx(4 / 3)
    assert marking.mark(ORDERING, "dcba").points == 0.0
    assert marking.mark(ORDERING, "b, a, d, c", shown=(1, 0, 3, 2)).points == 2.0
    assert marking.mark(ORDERING, "d a b c").missed == (3,)


@pytest.mark.parametrize("answer", ["a b c", "a b c c", "a b c e", "1 2 3 4"])
def test_what_is_no_order_is_not_read(answer):
    assert marking.mark(ORDERING, answer).trouble is Trouble.UNREAD


ALL = [SINGLE, MULTIPLE, NUMERIC, SHORT, MATCHING, ORDERING]
HOSTILE = [
    "a" * 10**6,
    "9" * 10**6,
    "1e" + "9" * 1000,
    "10**10**10",
    "(" * 10**5,
    "\x00\x1b[2J",
    "\u202e" * 500,
    "1" + ",111" * 300,
    "-" * 999,
    "1 " * 450,
    "," * 999,
    "1/" * 400,
    "\ud800",
    [["a"]],
    ["a"] * 10**5,
    {"a": {"b": "c"}},
    10**5000,
    float("nan"),
    float("inf"),
    ["\x00"] * 50,
    dict.fromkeys(range(10**4), "a"),
    object(),
    ("a" * 999,) * 60,
    "ﷺ" * 900,
    "🁣" * 900,
]


@pytest.mark.parametrize("each", ALL, ids=lambda each: str(each.kind))
def test_hostile_answers_earn_nothing_and_cost_nothing(each):
    for answer in HOSTILE:
        began = time.process_time()
        found = marking.mark(each, answer)
        assert found.points == 0.0 and time.process_time() - began < 0.05


@given(
    st.sampled_from(ALL), st.text(max_size=80) | st.floats() | st.integers() | st.lists(st.text(max_size=3), max_size=5)
)
@settings(max_examples=500, deadline=None)
def test_no_answer_breaks_it_or_earns_too_much(each, answer):
    found = marking.mark(each, answer)
    assert 0.0 <= found.points <= each.points and math.isfinite(found.points)


@given(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)))
def test_every_form_of_a_number_means_it(value):
    for text in (f"{value:.3f}", f"{value:.3f}".replace(".", ","), f"{value:,.3f}", f"{value:e}", repr(value)):
        assert any(abs(found - value) <= 1e-6 * max(1, abs(value)) for found in marking.values(text)), text
