import csv
import json
import os
import stat
from pathlib import Path

import pytest
from rich.console import Console

from autograder import reports
from autograder.records import Assignment, CheckResult, Grade, Limits, Outcome, Status
from autograder.text import cell, file_names, line, visible, write_whole

ASSIGNMENT = Assignment("a1_attention", "Attention", Path("a1"), 20, 90, "gentle", (), (), (), Limits(), (), "v1")

HOSTILE = (
    "<script>alert(1)</script>",
    "=1+1",
    "+1",
    "-1",
    "@sum",
    "\t=1",
    "\r=1",
    "＝1",
    "x;=1+1",
    'O\'Neil, Zoë "Zo"',
    "נועה לוי",
    "abc\u202egnp.exe",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07rest",
    "\x9b31mred",
    "two\nlines\r\nthree",
    "A" * 10_000,
    "../../x",
    "/etc/passwd",
    "C:\\x",
    "..",
    "",
    "-rf",
    "nul",
    "[bold]x[/bold]",
    "\ud800",
    "\x00",
)


def grade(submission="alice", student=None, **more):
    wrong = CheckResult(
        "test_mask", "Never reads a masked key.", 1.5, 3, Status.FAILED, "Look again.", "mask", "SECRET"
    )
    known = {
        "submission": submission,
        "student": submission if student is None else student,
        "assignment": "a1_attention",
        "status": Outcome.GRADED,
        "score": 18.5,
        "max_score": 20.0,
        "isolation": "self",
        "device": "cpu",
        "seconds": 0.61234,
        "checks": (wrong,),
        "notes": ("Cell 4 failed: SyntaxError.",),
        "detail": "SECRET",
        "digest": "SECRET",
        "version": "SECRET",
    }
    return Grade(**known | more)


def written(out, grades):
    reports.write(out, ASSIGNMENT, grades, {g.submission for g in grades})
    with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_csv_has_the_columns_and_order_that_scripts_depend_on(tmp_path):
    rows = written(tmp_path, [grade("zoe"), grade("alice", "Alice")])
    assert rows == [
        ["submission", "student", "assignment", "score", "max_score", "status", "isolation", "device", "seconds"],
        ["alice", "Alice", "a1_attention", "18.5", "20", "graded", "self", "cpu", "0.6"],
        ["zoe", "zoe", "a1_attention", "18.5", "20", "graded", "self", "cpu", "0.6"],
    ]


def test_a_pending_score_is_an_empty_cell_and_null(tmp_path):
    rows = written(tmp_path, [grade(status=Outcome.INTERNAL, score=None, max_score=None, checks=())])
    assert rows[1][3:6] == ["", "", "internal"]
    result = json.loads((tmp_path / "results/alice.json").read_text())
    assert result["score"] is None and result["max_score"] is None


def test_no_cell_is_a_formula_whichever_separator_a_spreadsheet_takes(tmp_path):
    rows = written(tmp_path, [grade(name) for name in HOSTILE])
    assert len(rows) == 1 + len(set(HOSTILE)) and {len(row) for row in rows} == {9}
    for row in rows[1:]:
        for text in row:
            for part in text.replace(";", "|").replace(",", "|").replace("\t", "|").split("|"):
                assert not part.lstrip().startswith(tuple("=+-@＝＋－＠"))
            assert text.isprintable()
    assert 'O\'Neil, Zoë "Zo"' in {row[1] for row in rows}
    assert "נועה לוי" in {row[1] for row in rows}


def test_a_result_has_these_keys_and_nothing_for_the_instructor(tmp_path):
    written(tmp_path, [grade()])
    text = (tmp_path / "results/alice.json").read_text()
    result = json.loads(text)
    keys = "submission student assignment score max_score status isolation device seconds notes checks"
    assert list(result) == keys.split()
    assert list(result["checks"][0]) == ["name", "title", "points", "max_points", "status", "feedback", "misconception"]
    assert "SECRET" not in text
    assert result["checks"][0]["misconception"] == "mask"


def test_the_instructor_reads_everything_and_nobody_else_does(tmp_path):
    written(tmp_path, [grade()])
    path = tmp_path / "instructor/alice.json"
    result = json.loads(path.read_text())
    assert result["detail"] == result["digest"] == result["version"] == result["checks"][0]["detail"] == "SECRET"
    assert result["counts"] is True
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_every_submission_has_files_of_its_own_inside_the_folders(tmp_path):
    out = tmp_path / "deep" / "out"
    written(out, [grade(name) for name in HOSTILE])
    for folder in ("results", "instructor"):
        assert len(list((out / folder).glob("*.json"))) == len(set(HOSTILE))
    assert sorted(path.name for path in out.iterdir()) == ["grades.csv", "instructor", "results"]
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_no_text_in_a_result_acts(tmp_path):
    evil = "\x1b[2J\x1b]52;c;aGk=\x07\u202ebidi\x00\x08<script>\n=1"
    check = CheckResult("n", evil, 0, 1, Status.RAISED, evil, evil, evil)
    written(tmp_path, [grade("x", evil, notes=(evil,), checks=(check,), detail=evil)])
    for path in tmp_path.glob("*/*.json"):
        for character in path.read_text(encoding="utf-8"):
            assert character.isprintable() or character == "\n"
    assert json.loads((tmp_path / "results/x.json").read_text())["notes"] == ["⟨U+202E⟩bidi<script>\n=1"]


def test_files_are_identical_whatever_the_order_and_the_time(tmp_path):
    grades = [grade(name) for name in HOSTILE]
    written(tmp_path / "one", grades)
    written(tmp_path / "two", grades[::-1])
    written(tmp_path / "two", grades)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert files == sorted(path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*.*"))
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "grades.csv"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_table_shows_names_as_they_are_and_nothing_acts():
    console = Console(width=160, record=True, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    grades = [grade(name) for name in HOSTILE] + [grade("later", status=Outcome.INTERNAL, score=None, max_score=None)]
    console.print(reports.table(grades))
    text = console.export_text()
    assert "[bold]x[/bold]" in text and "18.5 / 20" in text and "mask" in text and "pending" in text
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb\rc\u2028d\te", "a\nb\nc\nd\te"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x9d0;t\x9cafter", "after"),
        ("\x1b]never ended", "never ended"),
        ("a\x00\x07\x08\x7fb", "ab"),
        ("a\u202eb\u2066c\u200bd\ufeff", "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩d⟨U+FEFF⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * 4),
        ("", ""),
    ],
)
def test_visible(text, shown):
    assert visible(text) == shown


def test_visible_is_bounded_and_quick():
    assert len(visible("x" * 10**7, 100)) == 100 and visible("x" * 101, 100).endswith("…")
    assert visible("x" * 100, 100) == "x" * 100
    assert len(visible("\x9d" * 10**6)) <= 4000
    assert len(line("\u202e" * 10**6)) <= 200


def test_stripping_an_escape_never_makes_another():
    assert "\x1b" not in visible("\x1b\x1b[0m[31m") and "\x9b" not in visible("\x1b[\x9b31m")


def test_an_ordinary_id_is_its_own_file_name():
    for id_ in ("alice", "alice__attention", "Zoë O'Neil", "נועה לוי", "12345_late_67_a1 (2)", "a.b"):
        assert file_names([id_]) == {id_: id_}


def test_file_names_are_unique_where_case_and_unicode_form_do_not_count():
    ids = ["Alice", "alice", "ALICE", "Zoe\u0308", "Zo\u00eb", "stra\u00dfe", "STRASSE", "a/b", "a\\b", "a_b", "x~1"]
    names = file_names(ids)
    assert len({name.casefold() for name in names.values()}) == len(ids)
    assert names == file_names(ids[::-1])
    assert names["a_b"] == "a_b"


def test_a_file_name_is_never_a_path_nor_hidden_nor_an_option_nor_a_device():
    for name in file_names(HOSTILE).values():
        assert Path(name).name == name and name[0] not in ".-" and len(name.encode()) < 150
        assert name.lower() not in {"nul", "con"} and name.isprintable()


def test_cell_leaves_ordinary_text_alone():
    assert cell("Anne-Marie; B. C, D") == "Anne-Marie; B. C, D"
