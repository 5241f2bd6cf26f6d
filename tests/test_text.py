"""What strangers wrote, made fit to be read."""

import unicodedata

from autograder import text


def test_what_is_taken_for_harmless_at_a_glance_is():
    letters = [chr(number) for number in range(0x11000) if text._HARMLESS.fullmatch(chr(number))]
    assert len(letters) > 1000
    assert [letter for letter in letters if text._spelled(letter) != letter] == []
    assert not {unicodedata.category(letter) for letter in letters} & {"Mn", "Me", "Cf", "Cs"}
    assert not any(text._BREAKS.search(letter) or text._ESCAPES.search(letter) for letter in letters)
