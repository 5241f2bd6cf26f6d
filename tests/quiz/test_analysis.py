"""Item analysis: the figures are those of the definitions, and the page is whole in both languages."""

import re
import shutil
import statistics

import numpy
import pytest
import quizroom

from autograder.errors import InstructorError
from autograder.quiz import analysis, bank, draw, grading, words
from autograder.records import Request, Watcher


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A course in which sixty have been graded."""
    root = quizroom.course(tmp_path_factory.mktemp("analysis") / "course")
    (root / "solutions" / ".secret").write_text("5e" * 32)
    (root / "solutions" / "toy").mkdir()
    (root / "solutions" / "toy" / "assignment.toml").write_text(quizroom.TOML)
    quizroom.class_of(root, root / "class", 60)
    grading.grade(Request(root, "toy_quiz", (root / "class",), root / "out"), Watcher(lambda _: None, lambda _: None))
    return root


@pytest.fixture(scope="module")
def grades(root):
    from autograder.gradebook import Gradebook

    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        return book.latest("toy_quiz")


@pytest.fixture(scope="module")
def study(root, grades):
    quiz = draw.fill(bank.load(root, "toy_quiz"), draw.draws(root, "toy_quiz"), 0)
    return analysis.analyse(quiz, grades, words.load("en"))


def test_difficulty_and_discrimination_are_numpy_s(study, grades):
    table = numpy.array([[check.points for check in grade.checks] for grade in grades])
    for place, each in enumerate(study.items):
        rest = table.sum(axis=1) - table[:, place]
        assert each.difficulty == pytest.approx(table[:, place].mean() / each.item.points)
        assert each.discrimination == pytest.approx(numpy.corrcoef(table[:, place], rest)[0, 1])
    assert min(each.discrimination for each in study.items) > 0.1  # the class was made from weak to strong


def test_alpha_is_cronbach_s(study, grades):
    table = numpy.array([[check.points for check in grade.checks] for grade in grades])
    k = table.shape[1]
    expected = k / (k - 1) * (1 - table.var(axis=0, ddof=1).sum() / table.sum(axis=1).var(ddof=1))
    assert study.alpha == pytest.approx(expected)


def test_who_chose_what_adds_up(study):
    single, multiple, numeric, short, matching, ordering = study.items
    for each in (single, numeric, short):
        unread = sum(1 for sheet in study.sheets if not sheet.answers[each.item.id].chosen)
        assert sum(option.count for option in each.options) + unread == 60
    right = next(option for option in single.options if option.right)
    assert right.thirds[2] > right.thirds[0] and right.rest > 0.5
    assert [option.name for option in ordering.options] == ["1–2", "2–3", "3–4"]
    assert all(option.right == (option.name in ("1a", "2b", "3c")) for option in matching.options)
    assert sum(count for _, count in short.others) <= 60 and len(multiple.options) == 4


def test_a_single_item_s_key_is_chosen_by_those_who_have_the_point(study):
    single = study.items[0]
    have = sum(sheet.answers["sum-of-weights"].share == 1 for sheet in study.sheets)
    assert next(option for option in single.options if option.right).count == have


def test_what_can_not_be_told_is_not():
    assert analysis.correlation([1, 1, 1], [1, 2, 3]) is None
    assert analysis.correlation([1, 2], [1, 2]) is None
    assert analysis.alpha([[1, 1], [2, 2]]) is None and analysis.alpha([[1, 2]]) is None
    assert analysis.correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1.0)
    assert statistics.correlation([1, 5, 2, 8], [3, 1, 4, 1]) == pytest.approx(
        analysis.correlation([1, 5, 2, 8], [3, 1, 4, 1])
    )


@pytest.mark.parametrize("language", ["en", "he"])
def test_the_page_is_whole(root, language):
    path = analysis.write(root, "toy_quiz", root / "out", root / "out", language)
    text = path.read_text("utf-8")
    assert path.name == f"items.{language}.html"
    assert f'<html lang="{language}" dir="{"rtl" if language == "he" else "ltr"}">' in text
    assert "<script" not in text and not re.search(r'(?:src|href)="(?!#|data:image/svg)', text)
    pictures = re.findall(r"<img [^>]*>", text)
    assert len(pictures) == 8 and all(re.search(r'alt="[^"]{20,}"', picture) for picture in pictures)
    assert text.count("<article") == 6 and "<math" in text and "{{" not in text
    assert "no-scale" in text and "are not divided by the root of <code>d_k</code>" in text
    assert text.count("<th scope") > 30 and len(re.findall(r"<h1", text)) == 1


def test_the_same_class_gives_the_same_page(root):
    one = analysis.write(root, "toy_quiz", root / "out", root / "out", "en").read_bytes()
    assert analysis.write(root, "toy_quiz", root / "out", root / "again", "en").read_bytes() == one


def test_without_sheets_there_is_nothing_to_say(root, tmp_path):
    with pytest.raises(InstructorError, match="No gradebook found"):
        analysis.write(root, "toy_quiz", tmp_path, tmp_path, "en")
    quiz = bank.load(root, "toy_quiz")
    with pytest.raises(InstructorError, match="No answer sheet has been graded yet"):
        analysis.analyse(quiz, [], words.load("en"))


def test_one_sheet_is_enough_for_a_page(tmp_path):
    root = quizroom.course(tmp_path / "course")
    quizroom.class_of(root, root / "class", 1)
    grading.grade(Request(root, "toy_quiz", (root / "class",), root / "out"), Watcher(lambda _: None, lambda _: None))
    assert "Only 1 sheets" in analysis.write(root, "toy_quiz", root / "out", root / "out", "en").read_text("utf-8")


def test_bad_questions_are_pointed_out(root, grades):
    """A key that is wrong: the best choose what the bank calls wrong."""
    from dataclasses import replace

    def turned(grade):
        first = grade.checks[0]
        return replace(grade, checks=(replace(first, points=1.0 - first.points), *grade.checks[1:]))

    quiz = draw.fill(bank.load(root, "toy_quiz"), draw.draws(root, "toy_quiz"), 0)
    items = (replace(quiz.items[0], choices=tuple(replace(c, right=not c.right) for c in quiz.items[0].choices)),)
    study = analysis.analyse(
        replace(quiz, items=(*items, *quiz.items[1:])), list(map(turned, grades)), words.load("en")
    )
    assert "check the key" in study.items[0].advice[-1]
    assert any("more often than the weakest" in option.advice for option in study.items[0].options)


@pytest.mark.parametrize("language", ["en", "he"])
def test_chromium_shows_it_at_any_width(root, language):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("chromium is not installed")
    path = analysis.write(root, "toy_quiz", root / "out", root / "out", language)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (360, 1000):
            page = browser.new_page(viewport={"width": width, "height": 800})
            said = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width and said == []
            broken = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
            assert page.evaluate(broken) == 0
            assert page.evaluate("getComputedStyle(document.querySelector('math')).direction") == "ltr"
        browser.close()
