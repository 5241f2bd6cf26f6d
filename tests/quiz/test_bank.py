"""Banks: what is read is what was written, and what can't be read is said with file and line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import quizroom
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.errors import BrokenBank, InstructorError
from autograder.quiz import bank
from autograder.quiz.records import Choice, Item, Kind, Quiz, Shown

HOSTILE = st.sampled_from(
    "# id|> said|- [x] a|- [ ] b|1. one|+++|mistake: x|credit: 1|\\# a|a -> b|-> c|~~~|```|```python|  > x|{{a}}|$x$|"
    "± 2|קשב|* [x] |\\|#|- [|a \\-> b".split("|")
)
LINE = st.one_of(HOSTILE, st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12))
TEXT = st.lists(LINE, min_size=1, max_size=5).map("\n".join).map(str.strip).filter(bool)
ONE_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20).map(str.strip)
ID = st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
NUMBERS = st.sampled_from(["1", "0.25", "-3", "3.1e4", "1e-05", "659592"])


@st.composite
def choices(draw, kind):
    """One choice of an item of that kind."""
    right = draw(st.booleans()) or kind is Kind.ORDERING
    fields = {"why": draw(st.one_of(st.just(""), TEXT)), "mistake": draw(st.one_of(st.just(""), ID))}
    fields["credit"] = draw(st.sampled_from([1.0 if right else 0.0, 0.5, 0.3333]))
    if kind is Kind.NUMERIC:
        tolerance = draw(st.sampled_from([0.0, 0.005, 0.02, 1e-7, 0.07]))
        relative = bool(tolerance) and draw(st.booleans())
        return Choice(draw(NUMBERS), right, tolerance=tolerance, relative=relative, **fields)
    if kind is Kind.MATCHING:
        left = draw(st.one_of(st.just(""), TEXT.filter(lambda text: "\n" not in text)))
        return Choice(left, right, match=draw(TEXT), **fields)
    return Choice(draw(TEXT), right, **fields)


@st.composite
def items(draw, id_):
    kind = draw(st.sampled_from(Kind))
    return Item(
        id=id_,
        kind=kind,
        text=draw(TEXT),
        choices=tuple(draw(st.lists(choices(kind), max_size=4))),
        objective=draw(ONE_LINE),
        source=draw(ONE_LINE),
        points=draw(st.sampled_from([1.0, 2.0, 0.5, 1.25])),
        why=draw(st.one_of(st.just(""), TEXT)),
        unit=draw(ONE_LINE),
        draw=draw(st.sampled_from(["", "my_draw"])),
        shuffle=draw(st.booleans()),
    )


@st.composite
def quizzes(draw):
    ids = draw(st.lists(ID, unique=True, max_size=4))
    due = draw(st.sampled_from([None, datetime(2027, 1, 31, 23, 59, tzinfo=UTC)]))
    return Quiz(
        name="toy",
        title=draw(TEXT),
        language="en",
        items=tuple(draw(items(id_)) for id_ in ids),
        assignment=draw(st.sampled_from(["", "toy"])),
        shown=draw(st.sampled_from(Shown)),
        attempts=draw(st.integers(0, 5)),
        minutes=draw(st.integers(1, 90)),
        due=due,
    )


@given(quizzes())
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read_again(quiz):
    assert bank.parse(bank.write(quiz), "toy", "en") == quiz


def test_a_line_of_spaces_inside_a_choice_is_kept():
    item = Item(
        id="a",
        kind=Kind.SINGLE,
        text="A?",
        choices=(Choice("one\n \n\ntwo", True, ""), Choice("three", False, "")),
        objective="",
        source="",
    )
    quiz = Quiz(name="toy", title="T", language="en", items=(item,))
    assert bank.parse(bank.write(quiz), "toy", "en").items[0].choices[0].text == "one\n \n\ntwo"


@given(st.lists(LINE, max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_with_its_place(lines):
    text = "\n".join(['+++\ntitle = "T"\n+++\n# a\nkind: single\n', *lines])
    try:
        quiz = bank.parse(text, "toy", "en")
    except BrokenBank as error:
        said = str(error)
    else:
        said = "quizzes/toy/en.md:" if bank.parse(bank.write(quiz), "toy", "en") == quiz else "another quiz"
    assert said.startswith("quizzes/toy/en.md:")


def test_the_toy_is_read_in_both_languages(tmp_path):
    root = quizroom.course(tmp_path / "course")
    assert bank.names(root) == ["toy_quiz"]
    assert bank.languages(root, "toy_quiz") == ["en", "he"]
    english, hebrew = (bank.load(root, "toy_quiz", language) for language in ("en", "he"))
    assert [item.kind for item in english.items] == list(Kind)
    assert [item.id for item in hebrew.items] == [item.id for item in english.items]
    assert hebrew.shown is Shown.SUBMITTED and hebrew.minutes == 5 and hebrew.title == "בוחן קטן"
    assert hebrew.items[0].choices[1].mistake == "wrong-axis"
    assert hebrew.items[0].choices[2].credit == 0.5
    assert hebrew.items[2].unit == "יחידות" and hebrew.items[2].draw == "scaled_score"
    assert bank.places(quizroom.ENGLISH)["sum-of-weights"] == 9


def test_code_may_look_like_the_bank_itself():
    text = quizroom.ENGLISH.replace(
        "Order the steps.", "```python\n# softmax\n- [x] no choice\n1. no step\n```\nOrder."
    )
    item = bank.parse(text, "toy", "en").items[-1]
    assert "# softmax\n- [x] no choice" in item.text and len(item.choices) == 4


def test_a_choice_may_go_on_over_lines_and_hold_code():
    text = quizroom.ENGLISH.replace("- [ ] 0\n", "- [ ] this\n\n  ```\n  # code\n    deep\n  ```\n")
    choice = bank.parse(text, "toy", "en").items[0].choices[3]
    assert choice.text == "this\n\n```\n# code\n  deep\n```" and choice.why == "Softmax gives positive numbers."


FRONT = '+++\ntitle = "T"\n+++\n'
GOOD = FRONT + "# a\nkind: single\n\nWhat?\n\n- [x] this\n  > Yes.\n- [ ] that\n  > No.\n"


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", ":1", "expected a line `+++`"),
        ("+++\ntitle = 1", ":1", "no second line"),
        ("+++\ntitle = \n+++\n", ":2", "not valid TOML"),
        ("+++\n+++\n", ":2", "title: found None, expected a text"),
        ('+++\ntitle = "T"\nshow = "x"\n+++\n', ":2", "expected one of title, assignment, shown"),
        ('+++\ntitle = "T"\nshown = "now"\n+++\n', ":2", "expected one of at once"),
        ('+++\ntitle = "T"\nattempts = true\n+++\n', ":2", "a whole number from 0"),
        ('+++\ntitle = "T"\ndue = 2027-01-31T23:59:00\n+++\n', ":2", "a moment with an offset"),
        ('+++\ntitle = "T"\nassignment = 3\n+++\n', ":2", "assignment: found 3, expected a text"),
        (FRONT + "hello\n", ":4", "expected the first item's heading"),
        (FRONT + "# My id\n", ":4", "expected lower case and hyphens"),
        (FRONT + "# a\nsort: single\n", ":5", "expected `key: value`"),
        (FRONT + "# a\nkind: single\nkind: single\n", ":6", "a second time"),
        (FRONT + "# a\nkind: essay\n\nx\n", ":4", "expected one of single, multiple"),
        (GOOD.replace("kind: single", "kind: single\npoints: 0"), ":4", "a number above 0"),
        (GOOD.replace("kind: single", "kind: single\norder: mixed"), ":4", "expected `fixed`"),
        (GOOD + GOOD.removeprefix(FRONT), ":13", "a second time, expected each once"),
        (GOOD.replace("- [x]", "- [y]"), ":9", "expected `- [x] `"),
        (GOOD.replace("- [x]", "* [x]"), ":9", "expected `- [x] `"),
        (GOOD.replace("  > Yes.", "> Yes."), ":11", "not indented"),
        (GOOD.replace("  > Yes.", "Yes."), ":10", "two spaces before what belongs"),
        (GOOD.replace("  > Yes.", "  > Yes.\n  More."), ":11", "`> ` before it"),
        (GOOD.replace("  > Yes.", "  > Yes.\n  credit: 2"), ":9", "from 0 to 1"),
        (GOOD.replace("  > Yes.", "  mistake: a\n  mistake: b"), ":11", "once for each choice"),
        (GOOD.replace("- [x] this", "- [x] "), ":9", "without a text"),
        (GOOD.replace("What?", "> a\n\nWhat?\n\n```\nx"), ":", "expected"),
        (GOOD.replace("What?", "What?\n\n```\nx"), ":9", "code block that is not closed"),
        (GOOD.replace("What?", "What?\n\n> All in all.") + "\n> Again.\n", ":16", "second explanation"),
        (GOOD.replace("single", "numeric").replace("this", "1 ± x"), ":9", "a tolerance such as"),
        (GOOD.replace("single", "matching").replace("this", "a b"), ":9", "a pair `left -> right`"),
    ],
)
def test_what_has_not_the_form_is_refused(text, place, says):
    with pytest.raises(BrokenBank) as caught:
        bank.parse(text, "toy", "en")
    assert str(caught.value).startswith(f"quizzes/toy/en.md{place}")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("- [ ] that", "- [x] that", "2 choices marked [x], expected exactly one"),
        ("- [x] this", "- [ ] this", "0 choices marked [x]"),
        ("- [ ] that\n  > No.\n", "", "at least two"),
        ("What?", "", "found no question"),
        ("kind: single", "kind: numeric", "expected a number such as"),
        ("kind: single", "kind: ordering", "`- [x]"),
        ("- [x] this", "- [ ] this", "0 choices"),
    ],
)
def test_what_could_not_be_marked_is_refused(tmp_path, old, new, says):
    root = quizroom.course(tmp_path / "course", english=GOOD.replace(old, new))
    with pytest.raises(BrokenBank) as caught:
        bank.load(root, "toy_quiz")
    assert says.strip("`") in str(caught.value) or "steps" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("# name-it", "# nameit", "lacks name-it and has nameit besides"),
        ("- [ ] 0\n  > סופטמקס נותן מספרים חיוביים.\n", "", "found 3 choices, expected 4"),
        ("- [x] 1", "- [ ] 1", "found [ ], expected [x] as in en.md"),
        ("± 1%", "± 2%", "expected {{key:.4f}} with its tolerance"),
        ("- [x] -> מה המקום שוכח", "- [x] דבר -> מה המקום שוכח", "another pair"),
        ("# sum-of-weights\n", "# sum-of-weights\nkind: multiple\n", "kind: found multiple, expected single"),
        ("# sum-of-weights\n", "# sum-of-weights\npoints: 3\n", "points: found 3"),
    ],
)
def test_a_translation_stays_in_step(tmp_path, old, new, says):
    root = quizroom.course(tmp_path / "course")
    quizroom.changed(root, old, new, language="he")
    with pytest.raises(BrokenBank) as caught:
        bank.load(root, "toy_quiz", "he")
    assert str(caught.value).startswith("quizzes/toy_quiz/he.md") and says in str(caught.value)


def test_what_is_not_there_is_said_with_what_is(tmp_path):
    root = quizroom.course(tmp_path / "course")
    with pytest.raises(InstructorError, match="Found there: toy_quiz"):
        bank.load(root, "toy")
    with pytest.raises(InstructorError, match=r"Found: en, he\. Another language is one more file"):
        bank.load(root, "toy_quiz", "fr")
    (root / "quizzes" / "toy_quiz" / "he.md").write_bytes('+++\ntitle = "קשב"\n'.encode("cp1255"))
    with pytest.raises(BrokenBank, match=r"he\.md:2: found bytes that are not UTF-8"):
        bank.load(root, "toy_quiz", "he")


def test_what_a_bank_cannot_hold_is_not_written():
    item = Item("no id", Kind.SHORT, "x", (), "", "")
    quiz = Quiz(name="toy", title="T", language="en", items=(item,))
    with pytest.raises(BrokenBank, match="expected lower case and hyphens"):
        bank.write(quiz)
    several = Item("a", Kind.SHORT, "x", (), "one\ntwo", "")
    with pytest.raises(BrokenBank, match="objective: found several lines"):
        bank.write(Quiz("toy", "T", "en", (several,)))


def test_every_bank_of_the_course_is_written_as_it_is_read():
    root = Path(bank.__file__).parents[2]
    for name in bank.names(root):
        for language in bank.languages(root, name):
            quiz = bank.load(root, name, language)
            assert bank.parse(bank.write(quiz), name, language) == quiz
