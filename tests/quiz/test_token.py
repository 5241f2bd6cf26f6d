"""The line on a sheet: only the course can write it, and nothing of the key can be told from it."""

import base64
import json

import pytest
import quizroom
from hypothesis import given
from hypothesis import strategies as st

from autograder.quiz import token

SECRET = bytes(range(32))


@pytest.fixture
def dealt(tmp_path):
    return quizroom.sheets(quizroom.course(tmp_path / "course"), "עדה@example.org")[0]


def test_it_says_whose_sheet_it_is(dealt):
    said = token.read(token.make(dealt, SECRET), SECRET)
    assert (said.quiz, said.student, said.attempt, said.language) == ("toy_quiz", "עדה@example.org", 1, "en")
    assert said.print == token.content(dealt, SECRET)


def test_another_secret_reads_nothing(dealt):
    assert token.read(token.make(dealt, SECRET), b"x" * 32) is None


@given(st.data())
def test_no_letter_of_it_can_be_changed(data):
    whole = (
        base64.urlsafe_b64encode(b'{"quiz":"q","student":"s","attempt":1,"language":"en","print":"p"}')
        .decode()
        .rstrip("=")
    )
    line = f"{whole}.{token._seal(whole, SECRET)}"
    assert token.read(line, SECRET) is not None
    place = data.draw(st.integers(0, len(line) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019-_.=").filter(lambda letter: letter != line[place]))
    assert token.read(line[:place] + letter + line[place + 1 :], SECRET) is None


@pytest.mark.parametrize("line", ["", ".", "a.b", "é.b", "a" * 10**6, None, 3, b"a.b", ["a"]])
def test_whatever_else_is_no_line(line):
    assert token.read(line, SECRET) is None


def test_a_sealed_line_of_another_form_is_none():
    for plain in ({"quiz": "q"}, ["q"], "q"):
        body = base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")
        assert token.read(f"{body}.{token._seal(body, SECRET)}", SECRET) is None


def test_the_print_is_of_what_answers_mean(tmp_path):
    root = quizroom.course(tmp_path / "course")
    before = token.content(quizroom.sheets(root, "ada")[0], SECRET)
    assert token.content(quizroom.sheets(root, "ada", language="he")[0], SECRET) == before
    quizroom.changed(root, "What do the weights", "To what do the weights")
    assert token.content(quizroom.sheets(root, "ada")[0], SECRET) == before
    quizroom.changed(root, "- [ ] 0\n", "- [ ] 7\n")
    assert token.content(quizroom.sheets(root, "ada")[0], SECRET) != before
