"""Each rule finds what was planted for it, and is silent on what is right."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from samples import HEBREW, PLAIN, item, key, no

from autograder.quiz import bank, lint, pictures
from autograder.quiz.records import Choice, Quiz

ROOT = Path(__file__).parents[2]


def quiz(*items, language="en"):
    return Quiz("q", "Q", language, items)


def single(id_="one", right="to weigh them", *wrong, **more):
    wrong = wrong or ("to count them", "to sort them", "to drop them")
    places = [no(each) for each in wrong]
    return item(id_, "single", "What is it for?", *places[:1], key(right), *places[1:], **more)


def number(*choices, **more):
    return item("n", "numeric", "How many?", *choices, **{"why": "No.", **more})


LISTED = lint.Around(mistakes=frozenset({"no-scale"}))


def found(rule, *items, around=LISTED, **more):
    return [each.says for each in lint.check(quiz(*items, **more), around) if each.rule == rule]


RIGHT = (single(), single("two", "`a`", "`b`", "`c`"), number(key("4"), no("5", tolerance=0.1)))


def test_nothing_is_said_of_what_is_right():
    assert lint.check(quiz(*RIGHT), lint.Around()) == []


@pytest.mark.parametrize(
    ("rule", "planted", "says"),
    [
        ("key", item("a", "single", "A?", key("b"), key("c"), no("d")), "2 choices are right. Mark exactly one"),
        ("key", item("a", "single", "A?", no("b"), no("c")), "0 choices are right"),
        ("key", item("a", "multiple", "A?", no("b"), no("c")), "no answer is right"),
        ("key", item("a", "multiple", "A?", key("b"), key("c")), "every choice is right"),
        ("key", item("a", "single", "A?", key("b")), "there are 1 answers, expected at least 2"),
        ("key", item("a", "single", " ", key("b"), no("c")), "there is no question"),
        ("key", item("a", "single", "A?", key("b"), no("c", credit=1.0)), "is wrong and earns everything"),
        ("key", item("a", "single", "A?", key("b"), no("c", credit=1.5)), "has credit 1.5"),
        ("key", item("a", "single", "A?", key("b"), no("c"), points=0.0), "worth 0.0 points"),
        ("key", item("a", "single", "A?", key("b"), no("c  d"), no("C d")), "'c d' stands there 2 times"),
        ("explained", item("a", "single", "A?", key("b", ""), no("c")), "1 of 2 answers are not explained ('b')"),
        ("explained", number(key("4"), why=""), "an answer that is not foreseen"),
        ("grounded", replace(single(), source=" "), "it has no source"),
        ("grounded", replace(single(), objective=""), "it has no objective"),
        ("mistake", item("a", "single", "A?", key("b"), no("c", mistake="nowhere")), "'nowhere' is not in the"),
        ("mistake", item("a", "single", "A?", key("b", mistake="no-scale"), no("c")), "a right answer reveals"),
        ("length", single("a", "to weigh all of the vectors by how they answer the query"), "the longest is"),
        ("form", single("a", "$d_k$"), "the only one that has a formula"),
        ("form", single("a", "`d_k`"), "the only one that has code"),
        ("form", single("a", "to weigh."), "the only one that ends like a sentence"),
        ("form", single("a", "usually to weigh"), "the only one that hedges"),
        ("form", single("a", "weigh (say, by 3)"), "the only one that has an example"),
        ("form", single("a", "weigh", "always a", "never b", "only c"), "every wrong choice says always"),
        ("all-of-the-above", single("a", "b", "All of the above", "c"), "speaks of other choices"),
        ("all-of-the-above", single("a", "b", "A and B", "c"), "speaks of other choices"),
        ("all-of-the-above", single("a", "b", "כל התשובות נכונות", "c"), "speaks of other choices"),
        ("numbers", number(key("much")), "'much' is no number"),
        ("numbers", number(key("100", tolerance=5.0), no("104")), "104 lies within the key's tolerance"),
        ("encoding", single("a", "GrÃ¶Ãe und MaÃ"), "UTF-8 was read as Windows-1252"),
        ("parametrised", replace(single(), text="{{a}}?"), "no `draw: …` says"),
        ("pictures", replace(single(), text="![](a.svg)"), "has no description"),
        ("pictures", replace(single(), text="![a plot](https://x.org/a.png)"), "lies elsewhere"),
    ],
)  # fmt: skip
def test_a_planted_defect_is_found(rule, planted, says):
    said = found(rule, planted)
    assert len(said) == 1 and says in said[0]
    assert not found(rule, *RIGHT)


def test_ids_and_questions_are_unique():
    assert found("unique", single(), single()) == ["the id is used 2 times. Give each item its own.", "it asks the same as one. Keep one of them."]  # fmt: skip  # noqa: E501
    assert not found("unique", single(), single("two", "another"))


def test_a_mistake_of_the_list_may_be_named():
    named = item("a", "single", "A?", key("b"), no("c", mistake="no-scale"))
    assert not found("mistake", named)
    assert "can't be looked up" in found("mistake", named, around=lint.Around(mistakes=None))[0]
    assert (
        "none, as the quiz names no assignment" in found("mistake", named, around=lint.Around(mistakes=frozenset()))[0]
    )


def at(place, number, shuffle):
    choices = [no(f"c{each} {number}") for each in range(4)]
    choices[place] = key(f"c{place} {number}")
    return item(f"i{number}", "single", f"Q {number}?", *choices, shuffle=shuffle)


def test_keys_at_one_place_are_found_where_the_order_is_fixed():
    assert "stands at place 2 in 5 of 5 items" in found("positions", *(at(1, number, False) for number in range(5)))[0]
    assert not found("positions", *(at(1, number, True) for number in range(5)))
    assert found("positions", *(at(1, number, True) for number in range(5)), around=lint.Around(imported=True))
    assert not found("positions", *(at(number % 4, number, False) for number in range(16)))
    assert not found("positions", *(at(0, number, False) for number in range(2)))


def test_a_quiz_whose_longest_choices_are_right_is_found():
    longer = [single(f"i{number}", "to weigh them all", "to count", "to sort", "to drop") for number in range(6)]
    assert "longest in 6 of 6 items" in found("length", *longer)[0]
    assert not found(
        "length", *longer[:2], *(single(f"j{number}", "no", "a longer one", "b", "c") for number in range(4))
    )


STEP = item("s", "ordering", "Order $a_1$ by {{n}}.", key("one $x_2$"), key("two"), why="w", draw="d")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text": "סדרו $a_1$ לפי {{m}}."}, "the question has {{m}}, in en {{n}}."),
        ({"text": "סדרו $b_1$ לפי {{n}}."}, "the question differs in the formula 'a_#'"),
        ({"why": ""}, "only one of the two says something"),
        ({"choices": (key("אחת"),)}, "it has 1 choices, in en 2"),
        ({"choices": (key("אחת $x_2$"), no("שתיים"))}, "other choices are right"),
        ({"kind": "single"}, "it is single, in en ordering"),
    ],
)
def test_a_translation_out_of_step_is_found(change, says):
    source = quiz(STEP)
    translated = replace(STEP, text="סדרו $a_{7}$ לפי {{n}}.", choices=(key("אחת $x_3$"), key("שתיים")))
    around = lint.Around(source=source)
    assert not found("translation", replace(translated, text="סדרו $a_7$ לפי {{n}}."), around=around, language="he")
    said = found("translation", replace(translated, **{"text": "$a_7$ {{n}}", **change}), around=around, language="he")
    assert len(said) == 1 and says in said[0]
    assert "its items are other; expected s" in found("translation", single("other"), around=around)[0]


def plan(**functions):
    for function in functions.values():
        function.__doc__ = "It counts. Source: a paper."
    return lint.Around(draws=SimpleNamespace(**functions))


DRAWN = number(key("{{a}}"), no("{{b}}"), draw="counts")


def ample(rng):
    value = rng.randrange(10**9)
    return {"a": value, "b": value + 1}


def silent(rng):
    return ample(rng)


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        (lambda rng: {"a": (value := rng.randrange(500)), "b": value + 1}, "draw the same"),
        (lambda rng: {"a": 4, "b": 4}, "two choices were alike each time"),
        (lambda rng: {"a": float("inf"), "b": 1.0}, "expected a finite number"),
        (lambda rng: {"a": "nan", "b": 1}, "expected a number"),
        (lambda rng: {"a": 1}, "found {{b}}"),
        (lambda rng: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_draws_that_go_wrong_are_found(counts, says):
    said = found("parametrised", DRAWN, around=plan(counts=counts))
    assert len(said) == 1 and says in said[0]


def test_draws_are_there_explained_and_ample():
    assert not found("parametrised", DRAWN, around=plan(counts=ample))
    assert "no function 'counts'" in found("parametrised", DRAWN)[0]
    assert (
        "Give it a docstring"
        in found("parametrised", DRAWN, around=lint.Around(draws=SimpleNamespace(counts=silent)))[0]
    )
    assert not found("parametrised", replace(DRAWN, text=r"$d_{d_{ff}}$, {{a}}?"), around=plan(counts=ample))


def test_a_broken_draw_leaves_braces():
    broken = replace(DRAWN, text="{{ a }}?")
    assert "a {{…}} is left" in found("parametrised", broken, around=plan(counts=ample))[0]


def svg(ink, ground="white"):
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><rect width="100%" height="90" fill="{ground}"/><text style="fill: {ink}">a</text></svg>'  # noqa: E501


def test_pictures_are_there_and_readable(tmp_path):
    shown = replace(single(), text="![Weights of five words](a.svg)")
    around = lint.Around(folder=tmp_path)
    assert "there is no picture 'a.svg'" in found("pictures", shown, around=around)[0]
    (tmp_path / "a.svg").write_text(svg("#111"))
    assert not found("pictures", shown, around=around)
    (tmp_path / "a.svg").write_text(svg("rgb(200, 200, 200)"))
    assert "has a contrast of 1.7:1" in found("pictures", shown, around=around)[0]
    (tmp_path / "a.svg").write_text(svg("#ddd", "navy"))
    assert not found("pictures", shown, around=around)
    assert "no picture" in found("pictures", replace(single(), text="![x y](../../a.svg)"), around=around)[0]


def test_pixels_are_readable(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for ink, least in (((20, 20, 20), 12), ((215, 215, 215), None)):
        picture = image.new("RGB", (200, 100), (255, 255, 255))
        picture.paste(ink, (20, 20, 80, 40))
        picture.save(tmp_path / "a.png")
        seen = pictures.of(tmp_path / "a.png")
        assert seen > least if least else seen < pictures.CONTRAST
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert pictures.of(tmp_path / "a.png") is None
    assert round(pictures.contrast((0, 0, 0), (255, 255, 255)), 1) == 21.0


BANK = bank.write(quiz(*RIGHT))


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / "quizzes" / "q"
    folder.mkdir(parents=True)
    (folder / "en.md").write_text(BANK, "utf-8")
    return tmp_path


def test_a_course_is_linted_file_by_file(course):
    folder = course / "quizzes" / "q"
    assert lint.lint(course) == []
    (folder / "he.md").write_bytes(BANK.replace("weigh", "לשקול").encode("cp1255"))
    (finding,) = lint.lint(course, ["q"])
    assert (finding.language, finding.rule) == ("he", "encoding") and "Windows-1255" in finding.says
    (folder / "he.md").write_text(BANK.replace("# two", "# three"), "utf-8")
    (finding,) = lint.lint(course)
    assert finding.rule == "readable" and "lacks two" in finding.says
    (folder / "en.md").write_text("nothing")
    assert [each.rule for each in lint.lint(course)] == ["readable"]
    assert lint.text(lint.lint(course)).startswith("q/en: ") and lint.text([]) == ""


def test_a_known_mistake_comes_from_the_assignment(course):
    folder = course / "quizzes" / "q"
    text = BANK.replace('title = "Q"', 'title = "Q"\nassignment = "toy"').replace("- [ ] 5", "- [ ] 5").replace("  > Not so.\n", "  > Not so.\n  mistake: no-scale\n", 1)  # fmt: skip  # noqa: E501
    (folder / "en.md").write_text(text, "utf-8")
    assert [each.rule for each in lint.lint(course)] == ["mistake"]
    (course / "solutions" / "toy").mkdir(parents=True)
    (course / "solutions" / "toy" / "assignment.toml").write_text('[[mistakes]]\nid = "no-scale"\n')
    assert lint.lint(course) == []


def test_findings_are_safe_to_print():
    finding = lint.Finding("q\x1b[31m", "en", "a\nb", "key", "\u202etext")
    assert lint.text([finding]) == "q/en/a b: ⟨U+202E⟩text [key]"


def test_the_samples_are_as_meant():
    assert {each.rule for each in lint.check(HEBREW, lint.Around())} <= {"form"}
    assert {each.rule for each in lint.check(PLAIN, lint.Around())} <= {"form", "explained", "length"}
    assert isinstance(PLAIN.items[0].choices[0], Choice)
