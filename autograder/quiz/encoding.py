"""Text that was decoded with the wrong table: found, named, and refused with what to do.

A file that was read wrongly once and saved again is valid UTF-8, so nothing but its letters tells. Four signs are
looked for, each of them next to impossible in what people write:

* characters whose bytes in another table are UTF-8 again, as `Ã©` and `×©×` are in Windows-1252;
* Chinese characters whose bytes in GBK are Hebrew, Cyrillic, Greek or Arabic letters in UTF-8. Bytes that GB2312 does
  not know are dropped on the way, so the whole is never UTF-8 again and only the share of such characters tells;
* words that consist of letters with accents only, which is what Windows-1255 and Windows-1251 look like in Latin-1;
* what a decoder leaves where it gave up: U+FFFD, control characters, runs of question marks.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from autograder.errors import InstructorError

_SINGLE = ("cp1252", "cp1255", "cp1251", "cp1250", "mac_roman", "cp437")
_DOUBLE = ("gb18030", "big5", "cp932", "cp949")
_NAMES = {
    "cp1252": "Windows-1252",
    "cp1255": "Windows-1255",
    "cp1251": "Windows-1251",
    "cp1250": "Windows-1250",
    "mac_roman": "Mac Roman",
    "cp437": "code page 437",
    "gb18030": "GBK",
    "big5": "Big5",
    "cp932": "Shift JIS",
    "cp949": "EUC-KR",
}
_SCRIPTS = {
    "Hebrew": (0x0590, 0x05FF),
    "Cyrillic": (0x0400, 0x04FF),
    "Greek": (0x0370, 0x03FF),
    "Arabic": (0x0600, 0x06FF),
}
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_HAN_IN_A_WORD = re.compile(r"(?<=[a-z])[\u3400-\u9fff](?=[a-z])")
_ALONE = re.compile(r"(?<![\u3400-\u9fff])[\u3400-\u9fff](?![\u3400-\u9fff])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ACCENTED = re.compile(r"(?<![^\W\d_])[À-ÖØ-öø-ÿ]{3,}(?![^\W\d_])")
_FINAL_INSIDE = re.compile("[êíïóõ](?=[à-ú])")
_QUESTION_MARKS = re.compile(r"(?<![?\w])\?{2,}(?:[ \t]+\?{2,})+|(?<![?\w!])\?{4,}")
_EASTERN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff61-\uff9f]")
_TYPOGRAPHY = frozenset("–—…‘’“”•™ ")
_UMLAUTS = frozenset("äöüåß")
_USUAL = (
    (0x00A0, 0x017F),
    (0x0384, 0x03CE),
    (0x0401, 0x045F),
    (0x05B0, 0x05F4),
    (0x060C, 0x066C),
    (0x0900, 0x0DFF),
    (0x1EA0, 0x1EF9),
    (0x2010, 0x22FF),
    (0x3000, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xFF00, 0xFF5E),
    (0x1F300, 0x1FAFF),
)
_ENOUGH = 4
_SHARE = 0.8
_COVERED = 0.5


class WronglyDecoded(InstructorError):
    """A text whose letters are not those its author wrote."""


def read(path: Path) -> str:
    """The text of a UTF-8 file. Raises WronglyDecoded if it is in another encoding, or was decoded wrongly before."""
    return decoded(path.read_bytes(), path.name)


def decoded(data: bytes, name: str) -> str:
    """Bytes as text. Raises WronglyDecoded, with the file's name and line, what was found and what to do."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise WronglyDecoded(f"{name} is in UTF-16. Save it again as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WronglyDecoded(
            f"{name}, line {line}: byte 0x{data[error.start]:02X} is not UTF-8{_perhaps(data)}. "
            "Open the file in that encoding and save it again as UTF-8."
        ) from error
    for number, line_text in enumerate(text.splitlines(), 1):
        if found := damage(line_text):
            raise WronglyDecoded(f"{name}, line {number}: {found}")
    if found := damage(text):
        raise WronglyDecoded(f"{name}: {found}")
    return text


def damage(text: str) -> str:
    """What is wrong with the text and what to do about it, or an empty string."""
    return next(_signs(text), "")


def _signs(text: str) -> Iterator[str]:
    if "\ufffd" in text:
        where = text.index("\ufffd")
        yield (
            f"a character was lost and stands as U+FFFD ({_shown(text, where)}). "
            "Take the text from its source again, as UTF-8."
        )
    if text.isascii():
        yield from _left_by_a_decoder(text)
        return
    yield from _letters_in_chinese(text)
    yield from _utf8_read_otherwise(text)
    yield from _left_by_a_decoder(text)
    yield from _only_accents(text)


def _left_by_a_decoder(text: str) -> Iterator[str]:
    if found := _CONTROLS.search(text):
        yield (
            f"there is a control character, U+{ord(found[0]):04X} ({_shown(text, found.start())}). "
            "Take the text from its source again, as UTF-8."
        )
    if found := _QUESTION_MARKS.search(text):
        yield (
            f"letters were lost and stand as question marks ({_shown(text, found.start())}). "
            "They can't be recovered: take the text from its source again, as UTF-8."
        )


def _utf8_read_otherwise(text: str) -> Iterator[str]:
    """UTF-8 read in a table of one byte each, or of two."""
    foreign = sum(not each.isascii() for each in text)
    for codec in _SINGLE:
        found = [each for each in _sequences(text, codec) if _is_usual(each[1])]
        covered = sum(len(each[1].encode()) for each in found)
        solid = [each for each in found if not _is_typography(text, *each)]
        if solid and covered >= _COVERED * foreign:
            start, letter = solid[0]
            restored = _restored(text, codec)
            meant = f"meant was {restored[:40]!r}" if restored else f"{letter!r} was meant there"
            yield f"UTF-8 was read as {_NAMES[codec]} ({_shown(text, start)}, {meant}). {_again(codec)}"
            return
    if len(_EASTERN.findall(text)) < _SHARE * sum(each.isalpha() and not each.isascii() for each in text):
        return
    for codec in _DOUBLE:
        share, restored = _share_of_utf8(text, codec)
        letters = [each for each in restored if each.isalpha() and not each.isascii()]
        if share >= _SHARE and len(letters) >= _ENOUGH and all(map(_is_usual, letters)):
            yield f"UTF-8 was read as {_NAMES[codec]} ({_shown(text, 0)}, meant was {restored[:40]!r}). {_again(codec)}"
            return


def _letters_in_chinese(text: str) -> Iterator[str]:
    """Two bytes of UTF-8 make one Chinese character in GBK; GB2312 and a careless decoder drop those it lacks."""
    han = _HAN.findall(text)
    inside = _HAN_IN_A_WORD.findall(text)
    if inside and len(_ALONE.findall(text)) == len(han) and all(_one_letter(each) < "\u0250" for each in han):
        yield (
            f"UTF-8 was read as GB2312 or GBK ({_shown(text, text.index(inside[0]))}: {inside[0]} stands for "
            f"{_one_letter(inside[0])}). {_again('gb18030')}"
        )
        return
    for script, (low, high) in _SCRIPTS.items():
        meant = [letter for each in han if low <= ord(letter := _one_letter(each)) <= high]
        sure = script == "Hebrew" and len(meant) > 1 and any(letter < "ס" for letter in meant)
        if len(meant) >= _SHARE * len(han) and (len(han) >= _ENOUGH or (sure and len(meant) == len(han))):
            yield (
                f"{script} in UTF-8 was read as GB2312 or GBK ({_shown(text, text.index(han[0]))}: these characters "
                f"stand for {''.join(meant)[:12]!r}); bytes that this table lacks are dropped on the way. Take the "
                "text from its source again, as UTF-8."
            )
            return


def _only_accents(text: str) -> Iterator[str]:
    words = [word for word in _ACCENTED.findall(text) if not set(word.casefold()) <= _UMLAUTS and len(set(word)) > 1]
    letters = "".join(words)
    if len(letters) < _ENOUGH or len(letters) < _COVERED * sum(each.isalpha() for each in text):
        return
    hebrew = all("à" <= letter <= "ú" for letter in letters) and not any(map(_FINAL_INSIDE.search, words))
    codec = "cp1255" if hebrew else "cp1251"
    meant = " ".join(words).encode("latin-1").decode(codec, "replace")
    yield (
        f"{'Hebrew' if hebrew else 'Cyrillic'} in {_NAMES[codec]} was read as Latin-1 "
        f"({_shown(text, text.index(words[0]))}, meant was {meant[:40]!r}). "
        f"Read the source as {_NAMES[codec]} and save it as UTF-8."
    )


def _sequences(text: str, codec: str) -> Iterator[tuple[int, str]]:
    """Where characters in a row are, in this table, the bytes of one character of UTF-8; and which."""
    raw = [_byte(each, codec) for each in text]
    start = 0
    while start < len(raw):
        length = _utf8_length(raw[start])
        piece = raw[start : start + length]
        letter = _utf8(bytes(piece)) if length > 1 and len(piece) == length and min(piece) >= 0 else ""
        if letter:
            yield start, letter
        start += length if letter else 1


def _byte(character: str, codec: str) -> int:
    """The byte that a forgiving decoder reads as this character, -1 if there is none."""
    try:
        return character.encode(codec)[0]
    except UnicodeEncodeError:
        return ord(character) if 0x80 <= ord(character) <= 0x9F else -1


def _utf8_length(lead: int) -> int:
    return 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 1


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _is_usual(letter: str) -> bool:
    """Whether people write this character, so that its bytes in a row are no accident."""
    return any(low <= ord(letter) <= high for low, high in _USUAL) and unicodedata.category(letter) != "Cn"


def _is_typography(text: str, start: int, letter: str) -> bool:
    """A letter before a dash or a quotation mark, as in Å–Ö, which is UTF-8 by accident only."""
    return set(text[start + 1 : start + len(letter.encode())]) <= _TYPOGRAPHY


def _share_of_utf8(text: str, codec: str) -> tuple[float, str]:
    """How much of what is not ASCII is UTF-8 if written in this table, and what it says then."""
    raw = text.encode(codec, "ignore")
    restored = raw.decode("utf-8", "ignore")
    wide = sum(byte > 0x7F for byte in raw)
    return sum(byte > 0x7F for byte in restored.encode()) / max(1, wide), restored


def _restored(text: str, codec: str) -> str:
    """The text as UTF-8, if all of its bytes in this table are; else nothing."""
    raw = [_byte(each, codec) for each in text]
    whole = _utf8(bytes(raw)) if min(raw) >= 0 else ""
    return whole if whole != text and all(unicodedata.category(each) != "Cn" for each in whole) else ""


def _one_letter(han: str) -> str:
    """The letter whose two bytes of UTF-8 are this character in GBK; itself if there is none."""
    raw = han.encode("gb18030")
    letter = _utf8(raw) if len(raw) == 2 else ""
    return letter if len(letter) == 1 and (letter.isalpha() or letter in "¿¡«»§°") else han


def _perhaps(data: bytes) -> str:
    """Which encoding the bytes look like: the one in which nearly all that is not ASCII is a letter of one script."""
    best, share = "", 0.6
    for codec in ("gb18030", "cp1255", "cp1251", "cp1252"):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        wide = [each for each in text if not each.isascii()]
        scripts = [unicodedata.name(each, " ").split()[0] for each in wide if each.isalpha()]
        usual = {"gb18030": "CJK", "cp1255": "HEBREW", "cp1251": "CYRILLIC", "cp1252": "LATIN"}[codec]
        telling = scripts.count(usual) / max(1, len(wide))
        if telling > share:
            best, share = codec, telling
    return f"; it looks like {_NAMES[best]}" if best else ""


def _again(codec: str) -> str:
    return f"Open the original as UTF-8, not as {_NAMES[codec]}, and save it again."


def _shown(text: str, where: int) -> str:
    piece = text[max(0, where - 8) : where + 16]
    return repr("".join(each if each.isprintable() else f"<U+{ord(each):04X}>" for each in piece))
