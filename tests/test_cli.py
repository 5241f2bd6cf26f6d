"""cli: the commands as a person or a script meets them, each in a process of its own."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import classroom
import pytest
import toycourse
from classroom import SCALE, solution
from click.testing import CliRunner

from autograder import build, course
from autograder.cli import main

COMMAND = [sys.executable, "-m", "autograder.cli"]


def autograder(*words, folder, **environment):
    """What the command did: exit status, standard output and error."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "160", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


@pytest.fixture
def invoke(monkeypatch):
    """The command in this process, where a process of its own would only cost time."""

    def run(*words, folder):
        monkeypatch.chdir(folder)
        done = CliRunner().invoke(main, list(map(str, words)))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return run


@pytest.fixture
def root(tmp_path):
    return classroom.quick(tmp_path)


def hand_in(root, works):
    for name, text in works.items():
        path = root / "class" / name / "toy.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root / "class"


def test_a_class_is_graded_and_its_table_shown(root):
    hand_in(root, {"ada": solution(), "alan": solution((SCALE, "return x + factor"))})
    (root / "class" / "grace").mkdir()
    (root / "class" / "grace" / "toy.ipynb").write_bytes(b"no notebook")
    done = autograder("grade", "toy", "class", "--out", "out", folder=root)
    assert done.returncode == 0
    assert "toy: 3 submissions; 2 at once on cpu, isolation:" in done.stderr
    shown = [line.split() for line in done.stdout.splitlines()]
    assert ["ada", "ada__toy", "10", "/", "10", "graded"] in shown
    assert ["alan", "alan__toy", "8", "/", "10", "graded", "adds-instead"] in shown
    assert ["grace", "grace__toy", "0", "/", "10", "unreadable"] in shown
    assert "Report: out/index.html" in done.stdout
    with (root / "out" / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "submission", "student", "assignment", "score", "max_score", "status", "isolation", "device", "seconds",
    ]  # fmt: skip
    assert [row["score"] for row in rows] == ["10", "8", "0"]
    result = json.loads((root / "out" / "results" / "alan__toy.json").read_text("utf-8"))
    assert {"score", "max_score", "status", "isolation", "checks"} <= set(result)
    lost = next(check for check in result["checks"] if check["status"] == "failed")
    assert set(lost) == {"name", "title", "points", "max_points", "status", "feedback", "misconception"}
    assert lost["misconception"] == "adds-instead" and lost["feedback"].startswith("`scale` adds the factor")
    assert (root / "out" / "index.html").is_file()


def test_events_as_json_lines_and_going_on(root):
    hand_in(root, {"ada": solution(), "alan": solution(after="del scale")})
    words = ("grade", "toy", "class", "--out", "out", "--log-json", "--workers", "1", "--device", "cpu")
    first, second = (autograder(*words, folder=root) for _ in range(2))
    events = [json.loads(line) for line in first.stdout.splitlines()]
    assert [event["event"] for event in events] == ["started", "graded", "graded", "finished"]
    assert {(event["submission"], event["score"]) for event in events[1:3]} == {("ada__toy", 10.0), ("alan__toy", 5.0)}
    assert (first.stderr, first.returncode, second.returncode) == ("", 0, 0)
    assert [json.loads(line)["event"] for line in second.stdout.splitlines()] == ["started", "finished"]
    assert json.loads(second.stdout.splitlines()[0])["known"] == 2


def test_what_is_our_fault_exits_with_3(invoke, root):
    hand_in(root, {"ada": solution()})
    toycourse.edit(root, "test_hidden.py", "assert changed_arguments == []", "assert undefined_name == []")
    done = invoke("grade", "toy", "class", "--out", "out", folder=root)
    assert done.exit_code == 3
    assert "1 could not be graded for a reason that is ours" in done.stderr and "pending" in done.stdout
    with (root / "out" / "grades.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["score"], row["max_score"], row["status"]) == ("", "", "internal")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["grade", "toi", "class", "--out", "out"], 2, "Found there: toy"),
        (["grade", "toy", "nowhere", "--out", "out"], 2, "nowhere does not exist"),
        (["grade", "toy", "--out", "out"], 2, "Missing argument 'PATHS...'"),
        (["grade", "toy", "class"], 2, "Missing option '--out'"),
        (["grade", "toy", "class", "--out", "class/ada/toy.py/out"], 3, "nothing can be written to"),
        (["grade", "toy", "class", "--out", "out", "--gradebook", "no/such/book"], 3, "can't be opened"),
        (["grade", "toy", "class", "--out", "out", "--course", "/"], 2, "No course found"),
        (["grade", "toy", "class", "--out", "out", "--workers", "-1"], 2, "Invalid value for '--workers'"),
        (["verify", "toi"], 2, "toi"),
        (["build", "toi"], 2, "toi"),
        (["check", "nowhere.ipynb"], 2, "nowhere.ipynb"),
    ],
)
def test_wrong_usage_is_explained(invoke, tmp_path, words, status, sentence):
    root = classroom.quick(tmp_path)
    hand_in(root, {"ada": solution()})
    done = invoke(*words, folder=root)
    assert (done.exit_code, done.stdout) == (status, "")
    assert sentence in done.stderr and len(done.stderr) > 30


def test_a_course_is_looked_for_above(invoke, root):
    folder = hand_in(root, {"ada": "def scratch(:"})
    done = invoke("grade", "toy", "ada", "--out", folder.parent / "out", "--log-json", folder=folder)
    assert done.exit_code == 0 and json.loads(done.stdout.splitlines()[1])["score"] == 0


def test_check_tells_a_student_how_she_stands(root):
    files = build.build(course.load(root, "toy"))
    build.write(root, files)
    folder = root / "assignments" / "toy"
    (folder / "mine.py").write_text(solution(), "utf-8")
    good = autograder("check", "mine.py", folder=folder)
    stub = autograder("check", "toy.ipynb", folder=folder)
    assert (good.returncode, stub.returncode) == (0, 1)
    assert "All public tests pass." in good.stdout
    assert "not yet written" in stub.stdout


def test_build_and_build_check(invoke, root):
    before = invoke("build", "--check", folder=root)
    built = invoke("build", folder=root)
    after = invoke("build", "--check", "toy", folder=root)
    assert (before.exit_code, built.exit_code, after.exit_code) == (1, 0, 0)
    assert "toy.ipynb" in before.stderr and "toy: " in built.stdout and after.stdout + after.stderr == ""


def test_verify_proves_and_refutes(invoke, root):
    done = invoke("verify", folder=root)
    assert done.exit_code == 0, done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 9 and all(line.startswith("ok ") for line in lines[:-1]) and "8 graded" in lines[-1]
    toycourse.edit(root, "assignment.toml", '"test_scale_leaves_its_argument_alone", ', "")
    done = invoke("verify", "toy", folder=root)
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert "in-place" in line and "loses test_scale_leaves_its_argument_alone, which `fails` does not list" in line


def test_the_last_word_a_mended_check_and_what_came_of_it(invoke, root):
    hand_in(root, {"ada": solution(), "alan": solution((SCALE, "return x + factor"))})
    words = ("grade", "toy", "class", "--out", "report", "--workers", "1")
    assert invoke(*words, folder=root).exit_code == 0
    lost = "test_scale_multiplies_each_number"
    done = invoke("adjust", "alan__toy", lost, "1.5", "--reason", "Half a point for the idea.", folder=root)
    assert done.exit_code == 0 and done.stdout.splitlines() == [
        f"alan__toy, {lost}: 1.5 of 2 points, was 0 of 2 points. Half a point for the idea.",
        "Score: 9.5 / 10, was 8 / 10.",
        "Report: report/index.html",
    ]
    stricter = "assert student.scale(torch.ones(2, device=device), 3.0).sum() == 6"
    toycourse.edit(root, "test_hidden.py", "assert changed_arguments == []", stricter)
    done = invoke(*words, "--log-json", folder=root)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["started", "graded", "graded", "regraded", "finished"]
    assert events[0]["partly"] == 2 and (events[3]["gained"], events[3]["lost"], events[3]["total"]) == (0, 1, -1.0)
    done = invoke("compare", folder=root)
    assert done.exit_code == 0 and "0 gained, 1 lost" in done.stdout and "test_scale_leaves" in done.stdout
    done = invoke("compare", "report", "report/gradebook.sqlite", "--json", folder=root)
    assert json.loads(done.stdout)["unchanged"] == 2
    done = invoke("repeat", "alan__toy", folder=root)
    assert done.exit_code == 0 and done.stdout.startswith("alan__toy, attempt")
    assert "identical. graded, 7 / 10, 7 checks" in done.stdout
    toycourse.edit(root, "test_hidden.py", stricter, "assert changed_arguments == []")
    done = invoke(*words, folder=root)
    assert "Regraded:" in done.stdout
    assert "1 gained, 0 lost; 1 unchanged; +1 points in all." in " ".join(done.stdout.split())
    assert "graded, adjusted" in done.stdout
    done = invoke("adjust", "alan__toy", lost, "--undo", "--reason", "No.", folder=root)
    assert done.exit_code == 0 and "8 / 10, was 9.5 / 10" in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["adjust", "ada", "test_x", "--reason", "r"], "Give either POINTS or --undo."),
        (["adjust", "ada", "test_x", "1", "--undo", "--reason", "r"], "Give either POINTS or --undo."),
        (["adjust", "ada", "test_x", "1"], "Missing option '--reason'"),
        (["adjust", "ada", "test_x", "1", "--reason", "r"], "No gradebook found: neither gradebook.sqlite nor report/"),
        (["compare", "one"], "Give both OLD and NEW, or neither."),
        (["compare", "one", "two"], "No gradebook found: one is none and holds none."),
        (["repeat", "ada", "--gradebook", "one"], "No gradebook found: one is none and holds none."),
    ],
)
def test_wrong_usage_of_a_gradebook_is_explained(invoke, tmp_path, words, sentence):
    done = invoke(*words, folder=tmp_path)
    assert (done.exit_code, done.stdout) == (2, "") and sentence in done.stderr


POLICY = """
[policy]
due = 2026-03-12T23:59:00+01:00
penalty_per_day = "10 %"
late_days = 1
"""
HALF_PAST = 1_773_356_340 + 36 * 3600
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Scale and shift (5)\r\n"
    "    Points Possible,,,,,10\r\n"
    '"Lovelace, Ada",11,0042,ada,B,\r\n"Turing, Alan",12,0043,alan,B,9\r\n'
)


def test_lateness_is_settled_by_the_files_time_in_every_report_and_again_the_same(invoke, root):
    with (root / "solutions" / "toy" / "assignment.toml").open("a") as file:
        file.write(POLICY)
    hand_in(root, {"ada": solution(), "alan": solution((SCALE, "return x + factor"))})
    for name in ("ada", "alan"):
        os.utime(root / "class" / name / "toy.py", (HALF_PAST, HALF_PAST))
    (root / "solutions" / "roster.csv").write_text("login,extension: toy\nada,2026-03-14\nalan,\n")
    words = ("grade", "toy", "class", "--out", "report", "--workers", "1")
    for _ in range(2):
        done = invoke(*words, folder=root)
        assert done.exit_code == 0
        with (root / "report" / "grades.csv").open(encoding="utf-8", newline="") as file:
            assert [row["score"] for row in csv.DictReader(file)] == ["10", "7"]
    assert ["alan", "alan__toy", "7", "/", "10"] in [line.split()[:5] for line in done.stdout.splitlines()]
    late = json.loads((root / "report" / "results" / "alan__toy.json").read_text())["late"]
    assert late == {
        "handed_in": "2026-03-14T10:59:00+00:00", "clock": "file", "due": "2026-03-12T23:59:00+01:00", "days": 2,
        "raw_score": 8.0, "penalty": 1.0,
        "says": "Handed in 2026-03-14 11:59:00+01:00, due 2026-03-12 23:59:00+01:00: 2 days late; 1 day free. "
        "1 point taken away.",
    }  # fmt: skip
    page = (root / "report" / "pages" / "alan__toy.html").read_text()
    assert "<b>8</b> points earned, <b>1</b> taken away for lateness" in page and late["says"] in page
    assert "on time." in (root / "report" / "pages" / "ada__toy.html").read_text()
    assert "late: 1 less" in (root / "report" / "index.html").read_text()
    (root / "canvas.csv").write_bytes(CANVAS.encode())
    words = ("export", "canvas", "--template", "canvas.csv", "--gradebook", "report")
    done = invoke(*words, "--out", "filled.csv", folder=root)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Grades filled in: 2, of these in place of another: 1" in done.stderr
    expected = CANVAS.replace("ada,B,", "ada,B,10").replace("alan,B,9", "alan,B,7")
    assert (root / "filled.csv").read_bytes() == expected.encode()
    stranger = CANVAS.replace("0043,alan", "0044,alain").replace("Turing, Alan", "Turing, Alain")
    (root / "canvas.csv").write_bytes(stranger.encode())
    done = invoke(*words, folder=root)
    assert done.exit_code == 1 and "alan (alan__toy): not in canvas.csv; not filled in." in done.stderr
    (root / "canvas.csv").write_bytes(CANVAS.encode())
    done = invoke(*words, "--roster", "few.csv", folder=root)
    assert done.exit_code == 3 and "few.csv can't be read" in done.stderr
    (root / "few.csv").write_text("login\nalan\n")
    done = invoke(*words, "--roster", "few.csv", folder=root)
    assert done.stdout_bytes == CANVAS.replace("ada,B,", "ada,B,9").replace("alan,B,9", "alan,B,7").encode()
    assert done.exit_code == 0 and "ada (ada__toy): is not on the class list." in done.stderr


def test_copies_are_found_whatever_they_are_called(invoke, root):
    pytest.importorskip("copydetect")
    build.write(root, build.build(course.load(root, "toy")))
    own = "\n".join(f"def {name}(a, b):\n    return a[{n}:] + b // {n} - (a or b)[{n}]" for n, name in enumerate("pqr"))
    hand_in(root, {"ada": solution(after=own), "bo": solution(after=own.replace("a", "z")), "cy": "x = 1"})
    done = invoke("similar", "class", "--assignment", "toy", "--least", "90", folder=root)
    assert done.exit_code == 0 and "2 works compared, 1 pairs alike." in done.stdout
    assert "Side by side: similar/index.html" in done.stdout and (root / "similar" / "pairs" / "001.html").is_file()
    assert "Not compared: cy__toy: has too little code of its own." in done.stderr


def test_doctor_shows_every_layer(tmp_path):
    done = autograder("doctor", folder=tmp_path)
    assert done.returncode in (0, 3)
    for word in ("bubblewrap", "Landlock", "isolation: self", "device: cuda", "`grade` would"):
        assert word in done.stdout


def test_stopped_by_hand_it_says_how_to_go_on_and_leaves_nothing(root):
    works = {f"student{number}": solution(before="import time\ntime.sleep(0.2)") for number in range(8)}
    hand_in(root, works)
    words = ["grade", "toy", "class", "--out", "out", "--log-json", "--workers", "2"]
    temporary = root / "temporary"
    temporary.mkdir()
    running = subprocess.Popen(
        [*COMMAND, *words],
        cwd=root,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in running.stdout:
        if '"graded"' in line:
            break
    below = classroom.descendants(running.pid)
    assert len(below) >= 3
    began = time.monotonic()
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert running.returncode == 130
    assert "the same command goes on from here" in err and "Traceback" not in err
    assert json.loads(out.splitlines()[-1])["event"] == "stopped"
    assert classroom.running(below) == []
    assert list(temporary.glob("autograder*")) == []
    done = autograder(*words, folder=root)
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[0])["known"] >= 1
    assert len(list((root / "out" / "results").iterdir())) == 8


def test_help_names_every_command_and_the_version_is_known(invoke, tmp_path):
    done = autograder("--help", folder=tmp_path)
    for command in (
        "demo",
        "check",
        "grade",
        "verify",
        "build",
        "adjust",
        "compare",
        "repeat",
        "export",
        "similar",
        "doctor",
    ):
        assert f"\n  {command}" in done.stdout
    assert invoke("--version", folder=tmp_path).exit_code == 0
