"""Answers are read from cells, and no cell is run, however it is written."""

import time

import pytest

from autograder.quiz import answers
from autograder.records import Cell


def read(*sources):
    return answers.read([Cell(number, source) for number, source in enumerate(sources, 1)])


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('x = "b"  # a, b, c or d', "b"),
        ("x = 'b'", "b"),
        ('x: str = "b"', "b"),
        ('y = x = "b"', "b"),
        ("x = b", "b"),
        ("x = 0,25", "0,25"),
        ("x = 0,05", "0,05"),
        ("x = 1_234.5  # so many", "1_234.5"),
        ("x = -3e-2", "-3e-2"),
        ("x = 1/4", "1/4"),
        ("x = 10**10**10", "10**10**10"),
        ('x = ["a", "c"]', ["a", "c"]),
        ('x = {"1": "b"}', {"1": "b"}),
        ("x = [a, c]", "[a, c]"),
        ("x = None", ""),
        ("x = int('3')", "int('3')"),
        ('x = "a"\nx = "c"', "c"),
        ('x = "קשב"', "קשב"),
        ('x = "b', "b"),
        ("%pip install torch\nx = b  # so", "b"),
        ("  x = 'b'\nbroken(", "b"),
        ('x = """b"""', "b"),
    ],
)
def test_what_a_name_was_set_to(source, value):
    assert read(source).values["x"] == value


@pytest.mark.parametrize(
    "source", ["x == 'b'", "print('b')", "def x():\n    y = 1", "x += 'b'", "x.y = 'b'", "", "#x = 1"]
)
def test_what_is_no_answer(source):
    assert "x" not in read(source).values


def test_the_last_word_counts_over_all_cells():
    assert read('x = "a"', 'x = "b"').values == {"x": "b"}


def test_nothing_is_run(tmp_path):
    target = tmp_path / "made"
    read(f"x = open({str(target)!r}, 'w')", f"import pathlib; pathlib.Path({str(target)!r}).touch()")
    assert not target.exists()


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 5000,
        "x = " + "-" * 15000 + "1",
        "x = " + "not " * 4000 + "1",
        "x = " + "a." * 9000 + "b",
        "x = " + "1+" * 9000 + "1",
        "x = " + "lambda: " * 2000 + "1",
        "x = " + "9" * 19000,
        "x = 'a'" + "\nif 1:" * 3000,
        "x = " + "[" * 39 + "]" * 39,
        "x = 'b'\n" * 400_000,
        "x = '\\ud800'",
        "\x00x = 1",
        "x = f'" + "{x}" * 5000 + "'",
        "x = " + "await " * 3000 + "1",
        "x = " + "1 if 1 else " * 1500 + "1",
        "x = " + "a[" * 39 + "0" + "]" * 39,
    ],
    ids=lambda source: source[:20],
)
def test_hostile_cells_cost_little(source):
    began = time.process_time()
    read(source)
    assert time.process_time() - began < 0.5


def test_the_sheet_s_line_is_kept_apart():
    given = read('quiz_sheet = "a.b"\nx = 1', 'quiz_sheet = "c.d"', 'quiz_sheet = "a.b"')
    assert given.tokens == ("a.b", "c.d") and given.values == {"x": "1"}
