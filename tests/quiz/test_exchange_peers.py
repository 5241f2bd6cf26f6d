"""Our exports, read by programs of others where these are installed."""

import html
import json
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import nbformat
import pytest
from samples import HEBREW, PLAIN

from autograder.quiz import bank, draw, exchange
from autograder.quiz.exchange import jupyterquiz, markup
from autograder.quiz.records import Kind

ROOT = Path(__file__).parents[2]
PEGJS = Path(sys.prefix) / "peers" / "node_modules" / "gift-pegjs"
SAMPLES = pytest.mark.parametrize("quiz", [PLAIN, HEBREW], ids=["plain", "hebrew"])


def ours():
    """Two quizzes of this course that have all kinds of items and parametrised ones, in two languages, as drawn."""
    for name in bank.names(ROOT)[-2:]:
        source = bank.load(ROOT, name)
        for language in bank.languages(ROOT, name):
            variants = exchange.Variants({name: draw.draws(ROOT, name)}, 2, sources={name: source})
            yield exchange.drawn(bank.load(ROOT, name, language), variants)


def exported(name, quizzes, folder):
    for number, quiz in enumerate(quizzes):
        path = folder / f"{number}{exchange.FORMATS[name].suffix}"
        yield quiz, exchange.write(name, [quiz], path).path


@pytest.fixture(scope="module")
def everything():
    return [PLAIN, HEBREW, *(draft.quiz for draft in ours())]


def test_gift_pegjs_reads_our_gift(everything, tmp_path):
    node = shutil.which("node")
    if node is None or not PEGJS.is_dir():
        pytest.skip("gift-pegjs is not installed")
    code = f"const g = require({json.dumps(str(PEGJS))}); const fs = require('fs'); console.log(JSON.stringify(process.argv.slice(1).map(path => g.parse(fs.readFileSync(path, 'utf8')))))"  # noqa: E501
    pairs = list(exported("gift", everything, tmp_path))
    done = subprocess.run([node, "-e", code, *(str(path) for _, path in pairs)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    kinds = {"single": "MC", "multiple": "MC", "numeric": "Numerical", "short": "Short", "matching": "Matching"}
    for (quiz, _), found in zip(pairs, json.loads(done.stdout), strict=True):
        questions = [each for each in found if each["type"] != "Category"]
        items = [each for each in quiz.items if each.kind is not Kind.ORDERING]
        assert [(each["id"], each["type"]) for each in questions] == [(each.id, kinds[each.kind]) for each in items]
        for question, item in zip(questions, items, strict=True):
            assert markup.same(exchange.forms.unasked(question["stem"]["text"])[0], item.text)
            if item.kind in (Kind.SINGLE, Kind.MULTIPLE):
                read = [markup.markdown(each["text"]["text"]) for each in question["choices"]]
                assert all(map(markup.same, read, [each.text for each in item.choices]))
                rights = [each["isCorrect"] or (each["weight"] or 0) > 0 for each in question["choices"]]
                assert [right for right, each in zip(rights, item.choices, strict=True) if each.credit in (0, 1)] == [
                    each.right for each in item.choices if each.credit in (0, 1)
                ]
            elif item.kind is Kind.NUMERIC:
                assert question["choices"][0]["isCorrect"]


def test_a_moodle_parser_reads_our_choice_questions(everything, tmp_path):
    parser = pytest.importorskip("moodle_xml_parser.parser")
    for quiz, path in exported("moodle-xml", everything, tmp_path):
        items = [each for each in quiz.items if each.kind in (Kind.SINGLE, Kind.MULTIPLE)]
        questions = parser.parse_file(str(path))["multichoice"]
        assert [each.name for each in questions] == [each.id for each in items]
        for question, item in zip(questions, items, strict=True):
            assert question.single == (item.kind is Kind.SINGLE) and question.shuffle_answers == item.shuffle
            assert question.default_grade == item.points
            assert question.text_pre_parse == html.unescape(exchange.forms.asked(item, quiz.language)).strip()
            assert [each.answer for each in question.options] == [
                html.unescape(markup.html(each.text, quiz.language)) for each in item.choices
            ]
            most = max(each.score_fraction for each in question.options)
            assert [each.score_fraction == most for each in question.options] == [each.right for each in item.choices]


@pytest.mark.parametrize("name", ["qti-1.2", "qti-2.1"])
def test_an_integrity_check_passes_our_packages(name, everything, tmp_path):
    checker = pytest.importorskip("qti_package_maker.common.package_integrity")
    for _, path in exported(name, everything, tmp_path):
        assert checker.check_package(str(path)) == []


def test_qti2latex_reads_our_qti_12(everything, tmp_path):
    reader = pytest.importorskip("qti2latex")
    kinds = {
        "single": "multiple_choice_question",
        "multiple": "multiple_answers_question",
        "numeric": "numerical_question",
    }
    for quiz, path in exported("qti-1.2", everything, tmp_path):
        with zipfile.ZipFile(path) as archive:
            name = next(each for each in archive.namelist() if "meta" not in each and each != "imsmanifest.xml")
            root = ET.fromstring(archive.read(name))
        found = reader.findall_anyns(root, "item")
        assert len(found) == len(quiz.items)
        for node, item in zip(found, quiz.items, strict=True):
            if item.kind not in kinds:
                continue
            assert reader.guess_type(reader.get_qti_metadata(node), node) == kinds[item.kind]
            assert reader.get_item_stem(node) == exchange.forms.asked(item, quiz.language)
            if item.kind is Kind.NUMERIC:
                continue
            choices = reader.get_choices(node)
            assert [text for _, text in choices] == [markup.html(each.text, quiz.language) for each in item.choices]
            if all(each.credit in (0, 1) for each in item.choices) and item.kind is Kind.SINGLE:
                right = {ident for (ident, _), each in zip(choices, item.choices, strict=True) if each.right}
                scored = [
                    each for each in node.iter() if each.tag.endswith("respcondition") and each.get("continue") == "No"
                ]
                assert {each.text for part in scored for each in part.iter() if each.tag.endswith("varequal")} == right


def test_onyx2moodle_reads_our_qti_21(everything, tmp_path):
    reader = pytest.importorskip("onyx2moodle.parser")
    kinds = {Kind.NUMERIC: "textEntry", Kind.SHORT: "textEntry", Kind.MATCHING: "match", Kind.ORDERING: "order"}
    for quiz, path in exported("qti-2.1", everything, tmp_path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder := tempfile.mkdtemp(dir=tmp_path))
        for item in quiz.items:
            (file,) = Path(folder).rglob(f"{item.id}.xml")
            found = reader.parse_item(file)
            (declared,) = found.response_decls.values()
            kind = kinds.get(item.kind, "choice")
            if kind != "order":
                (interaction,) = found.interactions
                assert interaction.kind == kind
            if kind == "choice":
                assert interaction.shuffle == item.shuffle
                shown = [each.identifier for each in interaction.choices]
                rights = [ident for ident, each in zip(shown, item.choices, strict=True) if each.right]
                assert declared.correct_values == rights
                read = [markup.markdown(markup.isolated(each.html)) for each in interaction.choices]
                assert all(map(markup.same, read, [each.text for each in item.choices]))
            elif kind == "match":
                assert len(declared.correct_values) == sum(bool(each.text) for each in item.choices)
            elif kind == "textEntry":
                assert len(declared.correct_values) == 1


def test_jupyterquiz_shows_our_questions(tmp_path, monkeypatch):
    shown = pytest.importorskip("jupyterquiz.dynamic.display")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed")
    made = []
    monkeypatch.setattr(shown, "display", lambda part: made.append(part.data))
    import jupyterquiz as peer

    monkeypatch.setattr(peer, "display_quiz", shown.display_quiz)
    exec(jupyterquiz.cell(PLAIN), {})
    page = tmp_path / "page.html"
    press = "document.querySelectorAll('.MCButton').forEach(each => each.click())"
    page.write_text(f"<!doctype html><meta charset=utf-8>{made[0]}</div><script>{made[1]}\n;{press}</script>", "utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        f"--user-data-dir={tmp_path}/p",
    ]
    done = subprocess.run(
        [chromium, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    body = done.stdout.split("<script>")[0]
    assert body.count('class="Quiz"') >= 5
    assert body.count("correctButton") >= 3 and "incorrectButton" in body
    assert "\\(\\frac{1}{\\sqrt{d_k}}\\)" in body and "<code>a&lt;b</code>" in body


def test_the_notebook_is_one():
    whole = nbformat.reads(jupyterquiz.notebook([PLAIN, HEBREW]), as_version=4)
    nbformat.validate(whole)
    assert [cell.cell_type for cell in whole.cells] == ["markdown", "code"] * 2
    assert 'dir="rtl"' in whole.cells[2].source and 'alignment="right"' in whole.cells[3].source
    assert "softmax" not in whole.cells[1].source
