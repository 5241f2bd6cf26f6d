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
    for command in ("demo", "check", "grade", "verify", "build", "doctor"):
        assert f"\n  {command}" in done.stdout
    assert invoke("--version", folder=tmp_path).exit_code == 0
