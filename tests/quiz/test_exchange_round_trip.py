"""What goes out comes back, or is named; what strangers give is read with bounds."""

import json
import zipfile
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from samples import AWKWARD, HEBREW, PLAIN, item, key, no, quizzes

from autograder.errors import InstructorError
from autograder.quiz import bank, exchange
from autograder.quiz.exchange import forms, limits, markup
from autograder.quiz.records import Kind, Quiz

FULL = ("moodle-xml", "gift", "qti-1.2", "qti-2.1")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
NEVER = ("wording", "explanations", "which choices are right", "numeric value", "unit", "found again")


def back(name, quiz):
    draft = forms.Draft(quiz)
    export = exchange.FORMATS[name].writes([draft])
    found = exchange.FORMATS[name].reads(export.data, "file", "")
    return found, forms.losses([draft], found, export)


def said(losses, *words):
    return [each for each in losses if any(word in each for word in words)]


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("quiz", [PLAIN, HEBREW], ids=["plain", "hebrew"])
def test_wording_keys_and_explanations_come_back(name, quiz):
    found, losses = back(name, quiz)
    assert not said(
        losses, *NEVER, "the source", "the objective", "unknown answer", "the item's id", "the quiz's title"
    )
    assert found.quizzes[0].language == quiz.language
    assert [each.kind for each in found.quizzes[0].items] == [each.kind for each in quiz.items if name != "gift" or each.kind is not Kind.ORDERING]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("name", exchange.FORMATS)
@settings(
    max_examples=30,
    deadline=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(quiz=quizzes())
def test_made_up_quizzes_come_back(name, quiz):
    export = exchange.FORMATS[name].writes([forms.Draft(quiz)])
    found, losses = back(name, quiz)
    assert not said(losses, *NEVER)
    assert len(found.quizzes[0].items if found.quizzes else ()) == len(quiz.items) - len(export.left_out)
    for read in found.quizzes:
        assert bank.parse(bank.write(read), read.name, read.language) == read


def test_the_losses_of_each_format_are_named():
    named = {name: " | ".join(back(name, PLAIN)[1]) for name in exchange.FORMATS}
    for name in exchange.FORMATS:
        assert "the quiz's assignment: toy" in named[name]
        assert "a share of the value" in named[name] or name == "ai-for-beginners"
    assert "the points: awkward" in named["gift"] and "the points" not in named["moodle-xml"]
    assert "left out, since GIFT knows no ordering questions: steps" in named["gift"]
    assert "Moodle 4.4" in named["moodle-xml"]
    assert "the quiz's attempts" in named["gift"] and "the quiz's attempts" not in named["qti-1.2"] + named["qti-2.1"]
    assert "the quiz's due" not in named["qti-1.2"] and "the quiz's due" in named["qti-2.1"]
    assert "jupyterquiz knows no matching questions: pairs" in named["jupyterquiz"]
    assert "the credit of choices: one-key" in named["jupyterquiz"]
    assert "right or wrong as a whole" in named["qti-2.1"]
    assert "one right option only: blocks, number, word, pairs, steps" in named["ai-for-beginners"]


def test_the_mistake_that_a_choice_reveals_is_a_loss_everywhere():
    quiz = Quiz("q", "Q", "en", (item("a", "single", "A?", key("b"), no("c", mistake="no-scale")),))
    for name in exchange.FORMATS:
        assert said(back(name, quiz)[1], "the mistake that a choice reveals: a")


def test_a_written_file_says_what_it_lacks(tmp_path):
    written = exchange.write("ai-for-beginners", [PLAIN], tmp_path)
    assert written.path.name == "sample.en.ai-for-beginners.json" and written.path.read_text().startswith("[")
    assert written.losses[-1].startswith("not validated")
    assert not said(exchange.write("gift", [PLAIN], tmp_path / "x.gift").losses, "not validated")
    assert said(
        exchange.write("moodle-xml", [PLAIN], tmp_path / "x.xml").losses,
        "reads matching, numeric, ordering, short items",
    )
    assert said(exchange.write("qti-2.1", [PLAIN], tmp_path / "x.zip").losses, "reads ordering items")


def test_a_self_check_is_a_notebook_if_its_name_says_so(tmp_path):
    written = exchange.write("jupyterquiz", [PLAIN], tmp_path / "check.ipynb")
    assert json.loads(written.path.read_text())["nbformat"] == 4
    assert said(written.losses, "knows no matching questions: pairs")


def test_two_quizzes_share_a_file(tmp_path):
    for name in FULL:
        path = exchange.write(name, [PLAIN, HEBREW], tmp_path).path
        read = exchange.read(name, path)
        assert [quiz.title for quiz in read.quizzes] in (["A sample / with a slash", "דוגמה קצרה"], ["דוגמה קצרה", "A sample / with a slash"])  # fmt: skip  # noqa: E501
    with pytest.raises(InstructorError, match="Export one at a time"):
        exchange.write("jupyterquiz", [PLAIN, HEBREW], tmp_path)


DRAWS = SimpleNamespace(numbers=lambda rng: {"a": rng.randrange(10**8)})
DRAWN = Quiz("drawn", "Drawn", "en", (PLAIN.items[0], item("number", "numeric", "{{a}}?", key("{{a}}"), draw="numbers", why="No.")))  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("name", FULL)
def test_parametrised_items_become_variants(tmp_path, name):
    written = exchange.write(name, [DRAWN], tmp_path, exchange.Variants({"drawn": DRAWS}, 3))
    assert "3 variants each instead): number" in written.losses[0]
    items = exchange.read(name, written.path).quizzes[0].items
    assert [each.id for each in items] == ["one-key", "number-v1", "number-v2", "number-v3"]
    assert len({each.text for each in items}) == 4
    whole = written.path.read_bytes()
    if whole[:2] == b"PK":
        whole = b"".join(limits.unzip(whole, "x").values())
    expected = {"moodle-xml": b"$course$/top/Drawn/number", "gift": b"$course$/top/Drawn/number"}
    assert expected.get(name, b'title="number"') in whole


def test_parametrised_items_need_to_be_drawn(tmp_path):
    with pytest.raises(InstructorError, match=r"drawn: number: parametrised, so say how many"):
        exchange.write("gift", [DRAWN], tmp_path)


def test_unknown_formats_and_nothing_to_write(tmp_path):
    with pytest.raises(InstructorError, match=r"There is no format 'scorm'\. There are ai-for-beginners, moodle-xml"):
        exchange.write("scorm", [PLAIN], tmp_path)
    with pytest.raises(InstructorError, match="Name at least one"):
        exchange.write("gift", [], tmp_path)


def test_exports_are_the_same_each_time(tmp_path):
    for name in exchange.FORMATS:
        one = exchange.write(name, [PLAIN], tmp_path / "a").path.read_bytes()
        assert one == exchange.write(name, [PLAIN], tmp_path / "b").path.read_bytes()


@pytest.mark.parametrize("name", exchange.FORMATS)
@pytest.mark.parametrize("data", [b"", b"\x00", b"PK\x03\x04 no", b"<quiz>", b"[1, 2]", b"{}", b"[" * 100_000, "שלום".encode("cp1255")], ids=range(8))  # fmt: skip  # noqa: E501
def test_rubbish_is_refused(name, data):
    with pytest.raises(InstructorError):
        exchange.reads(name, data, "file")


BOMB = b"""<?xml version="1.0"?><!DOCTYPE q [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<quiz><question type="multichoice"><name><text>&b;</text></name></question></quiz>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE q [<!ENTITY a SYSTEM "file:///etc/passwd">]><quiz><question>&a;</question></quiz>"""


@pytest.mark.parametrize("data", [BOMB, OUTSIDE, BOMB.decode().encode("utf-16")], ids=["laughs", "outside", "utf-16"])
@pytest.mark.parametrize("name", ["moodle-xml", "qti-1.2", "qti-2.1"])
def test_entities_are_refused(name, data):
    with pytest.raises(exchange.UnreadableExchange, match="document type or entities"):
        exchange.reads(name, data, "file.xml")


def test_elements_beyond_reason_are_refused():
    with pytest.raises(exchange.UnreadableExchange, match="beyond reason"):
        limits.xml(b"<a>" * 200, "deep.xml")


def packed(files):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_zips_are_read_with_bounds(monkeypatch):
    with pytest.raises(exchange.UnreadableExchange, match="which leaves the archive"):
        limits.unzip(packed({"../x.xml": "<a/>"}), "x.zip")
    with pytest.raises(exchange.UnreadableExchange, match="unpacks to more than 8 MiB"):
        limits.unzip(packed({"x.xml": b" " * (limits.MEMBER_CAP + 1)}), "x.zip")
    monkeypatch.setattr(limits, "TOTAL_CAP", 2**20)
    with pytest.raises(exchange.UnreadableExchange, match="unpacks to more than 0 MiB"):
        limits.unzip(packed({"a.xml": b" " * 2**20, "b.xml": b"  "}), "x.zip")
    monkeypatch.setattr(limits, "MEMBERS_CAP", 2)
    with pytest.raises(exchange.UnreadableExchange, match="holds 3 files, expected at most 2"):
        limits.unzip(packed({"a": "", "b": "", "c": ""}), "x.zip")
    whole = bytearray(packed({"x.xml": "<a>some text that is packed</a>"}))
    whole[45] ^= 255
    with pytest.raises(exchange.UnreadableExchange, match=r"x\.xml"):
        limits.unzip(bytes(whole), "x.zip")


def test_files_that_are_not_there_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(exchange.UnreadableExchange, match="can't be read"):
        exchange.read("gift", tmp_path / "none.gift")
    monkeypatch.setattr(limits, "FILE_CAP", 10)
    (tmp_path / "large.gift").write_text("x" * 11)
    with pytest.raises(exchange.UnreadableExchange, match="has more than"):
        exchange.read("gift", tmp_path / "large.gift")


def test_json_says_where_it_is_wrong():
    with pytest.raises(exchange.UnreadableExchange, match=r"file\[0\].quizzes: found None, expected a list"):
        exchange.reads("ai-for-beginners", b"[{}]", "file")
    with pytest.raises(exchange.UnreadableExchange, match="NaN is no number"):
        exchange.reads("jupyterquiz", b"[NaN]", "file")
    question = {"question": "q", "type": "numeric", "answers": [{"type": "range", "range": [2, 1], "correct": True}]}
    with pytest.raises(exchange.UnreadableExchange, match="a lower and an upper end"):
        exchange.reads("jupyterquiz", json.dumps([question]).encode(), "file")
    question = {"question": "q", "type": "drawing", "answers": []}
    with pytest.raises(exchange.UnreadableExchange, match="one of multiple_choice, many_choice, numeric, string"):
        exchange.reads("jupyterquiz", json.dumps([question]).encode(), "file")


def test_nothing_to_import_is_said():
    with pytest.raises(exchange.UnreadableExchange, match="holds no question"):
        exchange.reads("moodle-xml", b"<quiz><question type='description'/></quiz>", "file")


def test_text_that_no_xml_can_hold_is_left_out():
    quiz = Quiz("q", "Q\x00", "en", (item("a", "single", "A\x0b?", key("b\ufffe"), no("c")),))
    for name in FULL:
        assert exchange.FORMATS[name].reads(exchange.FORMATS[name].writes([forms.Draft(quiz)]).data, "f", "").quizzes


def test_markdown_comes_back_from_html():
    for text in (
        AWKWARD,
        "a * b_c_d $5 and 6",
        "1. one\n2. two\n   - in",
        "line\\\nbreak",
        "1\\. no list",
        "\\$5, \\*",
        "> q\n> r",
    ):
        for language in ("en", "he"):
            assert markup.same(markup.markdown(markup.html(text, language)), text), text


def test_directions_are_kept_apart():
    shown = markup.html("קשב $x$ ו`y`", "he")
    assert shown.startswith('<span lang="he" dir="rtl">')
    assert '<span dir="ltr">\\(x\\)</span>' in shown and '<code dir="ltr">' in shown
    data = exchange.FORMATS["qti-2.1"].writes([forms.Draft(HEBREW)]).data
    whole = b"".join(limits.unzip(data, "x").values()).decode()
    assert "\u2067" in whole and "\u2066\\(" in whole and 'xml:lang="he"' in whole and " dir=" not in whole


def test_due_times_come_back_in_utc():
    found, _ = back("qti-1.2", PLAIN)
    assert found.quizzes[0].due == PLAIN.due and found.quizzes[0].due.utcoffset() == timedelta(0)


def test_imports_are_linted():
    bare = replace(
        PLAIN.items[0], objective="", source="", choices=tuple(replace(each, why="") for each in PLAIN.items[0].choices)
    )
    data = exchange.FORMATS["gift"].writes([forms.Draft(replace(PLAIN, items=(bare,)))]).data
    assert {"explained", "grounded"} <= {each.rule for each in exchange.reads("gift", data, "file").findings}
