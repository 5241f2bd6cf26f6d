"""Text that was decoded wrongly is found, and nothing else is."""

import pytest
from sentences import FINE

from autograder.quiz import encoding

HEBREW = "מה סכום המשקלים של שאילתה אחת, ולמה?"
SPANISH = "¿Qué añade la codificación posicional?"
GERMAN = "Größe und Übung für die Maße"
POLISH = "Zażółć gęślą jaźń"
RUSSIAN = "Что такое внимание и зачем оно"
GREEK = "Η προσοχή είναι χρήσιμη"
CHINESE = "注意力机制的权重之和是多少"


@pytest.mark.parametrize("language", FINE)
def test_what_people_write_is_left_alone(language):
    for sentence in FINE[language]:
        for said in (sentence, sentence.upper(), *sentence.split()):
            assert encoding.damage(said) == "", said
    assert encoding.damage("\n".join(FINE[language])) == ""


def test_all_languages_in_one_text_are_left_alone():
    assert encoding.damage("\n".join(sentence for sentences in FINE.values() for sentence in sentences)) == ""


@pytest.mark.parametrize("codec", ["gb2312", "gbk", "gb18030"])
@pytest.mark.parametrize("errors", ["ignore", "replace"])
def test_hebrew_read_as_chinese_is_found(codec, errors):
    ruined = HEBREW.encode().decode(codec, errors)
    found = encoding.damage(ruined)
    assert "GB2312 or GBK" in found or "U+FFFD" in found
    assert "from its source again, as UTF-8" in found


@pytest.mark.parametrize("said", [HEBREW, SPANISH, GERMAN, POLISH, RUSSIAN, GREEK, CHINESE])
@pytest.mark.parametrize("codec", ["latin-1", "cp1252", "cp1255", "cp1251", "mac_roman", "cp437"])
def test_utf8_read_as_a_table_of_one_byte_is_found(said, codec):
    ruined = said.encode().decode(codec, "replace")
    assert encoding.damage(ruined)
    if (codec, said) != ("cp1255", CHINESE):
        assert encoding.damage(said.encode().decode(codec, "ignore"))


@pytest.mark.parametrize("said", [HEBREW, "Größe für Übung"])
def test_the_reason_says_what_was_meant(said):
    found = encoding.damage(said.encode().decode("latin-1"))
    assert "UTF-8 was read as Windows-1252" in found and said[:20] in found
    assert "Open the original as UTF-8, not as Windows-1252, and save it again." in found


@pytest.mark.parametrize("codec", ["gb18030", "big5", "cp932"])
def test_utf8_read_as_a_table_of_two_bytes_is_found(codec):
    for said in (RUSSIAN, CHINESE):
        ruined = said.encode().decode(codec, "ignore")
        assert encoding.damage(ruined) or codec == "big5"
    assert "GB2312 or GBK" in encoding.damage(SPANISH.encode().decode("gbk", "ignore"))


def test_windows_hebrew_and_cyrillic_read_as_latin_1():
    found = encoding.damage(HEBREW.encode("cp1255").decode("latin-1"))
    assert "Hebrew in Windows-1255 was read as Latin-1" in found and "שאילתה" in found
    assert "Cyrillic in Windows-1251 was read as Latin-1" in encoding.damage(RUSSIAN.encode("cp1251").decode("latin-1"))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Gr\ufffdße", "stands as U+FFFD"),
        ("a\x85b", "a control character, U+0085"),
        ("a\x00b", "a control character, U+0000"),
        ("??? ???? ??", "stand as question marks"),
        ("One ?????", "stand as question marks"),
    ],
)
def test_what_a_decoder_left_is_found(said, found):
    assert found in encoding.damage(said)


def test_bytes_in_another_encoding_are_refused_with_their_line(tmp_path):
    path = tmp_path / "he.md"
    path.write_bytes(b"title\n" + HEBREW.encode("cp1255"))
    with pytest.raises(
        encoding.WronglyDecoded, match=r"he\.md, line 2: byte 0x.. is not UTF-8; it looks like Windows-1255"
    ):
        encoding.read(path)
    with pytest.raises(encoding.WronglyDecoded, match="it looks like GBK"):
        encoding.decoded(CHINESE.encode("gbk"), "zh.md")
    with pytest.raises(encoding.WronglyDecoded, match="is in UTF-16"):
        encoding.decoded(HEBREW.encode("utf-16"), "he.md")
    with pytest.raises(encoding.WronglyDecoded, match=r"he\.md, line 2: .*GBK"):
        encoding.decoded(f"fine\n{HEBREW.encode().decode('gbk', 'ignore')}".encode(), "he.md")
    short = "\n".join(word.encode().decode("gb2312", "ignore") for word in HEBREW.split())
    with pytest.raises(encoding.WronglyDecoded, match=r"he\.md: "):
        encoding.decoded(short.encode(), "he.md")
    assert encoding.decoded(b"\xef\xbb\xbf" + HEBREW.encode(), "he.md") == HEBREW
