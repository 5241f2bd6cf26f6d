"""selfcheck: a student's work against the public tests, whatever it does."""

import ast
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import toycourse

from autograder import build, course, selfcheck
from autograder.errors import StudentError

TITLES = [
    "Doubling 1, 2, 3 gives 2, 4, 6.",
    "The result has the shape of the input.",
    "Three features become two.",
]


@pytest.fixture
def folder(tmp_path):
    root = toycourse.make(tmp_path)
    build.write(root, build.build(course.load(root, "toy")))
    return root / "assignments" / "toy"


def work(folder, *edits, before="", after="", name="mine.py"):
    """A student's module: the solution with the edits, and cells before and after it."""
    text = course.source(course.load(folder.parents[1], "toy"))
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / name
    path.write_text(f"# %%\n{before}\n\n{text}\n\n# %%\n{after}\n", "utf-8")
    return path


def verdicts(report):
    assert [result.title for result in report.results] == TITLES
    return [result.passed for result in report.results]


def test_the_notebook_as_it_is_handed_out_passes_nothing(folder):
    report = selfcheck.check(folder / "toy.ipynb")
    assert verdicts(report) == [False] * 3 and not report.passed and report.notes == ()
    assert report.results[2].message == "not yet written: Affine.forward"


def test_the_solution_passes_everything(folder):
    report = selfcheck.check(work(folder))
    assert verdicts(report) == [True] * 3 and report.passed
    assert selfcheck.render(report).splitlines()[0] == "✓ Doubling 1, 2, 3 gives 2, 4, 6."
    assert selfcheck.render(report).endswith("\nAll public tests pass.")


def test_a_notebook_with_magics_is_run(folder):
    nb = nbformat.read(folder / "toy.ipynb", 4)
    stub = next(cell for cell in nb.cells if 'NotImplementedError("scale")' in cell.source)
    stub.source = stub.source.replace('raise NotImplementedError("scale")', "return factor * x")
    nb.cells.insert(0, nbformat.v4.new_code_cell("%matplotlib inline\n!pip install nothing\nfiles = !ls\n"))
    nbformat.write(nb, folder / "toy.ipynb")
    assert verdicts(selfcheck.check(folder / "toy.ipynb")) == [True, True, False]


def test_a_message_speaks_to_the_student(folder):
    report = selfcheck.check(work(folder, ("x * factor", "x + factor"), ("self.weight.transpose(0, 1)", "self.weight")))
    assert verdicts(report) == [False, True, False]
    text = selfcheck.render(report)
    assert "✗ Doubling 1, 2, 3 gives 2, 4, 6.\n    expected [2, 4, 6], got [3.0, 4.0, 5.0]\n✓ The result" in text
    assert "    RuntimeError: mat1 and mat2 shapes" in text and "line 17: product = x @ self.weight" in text
    assert text.endswith("1 of 3 public tests pass.")
    for noise in ("test_public", "Traceback", "conftest", "^^^", "E   "):
        assert noise not in text


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1 / 0", "Cell 1 stopped: ZeroDivisionError: division by zero\n    1 / 0"),
        ("def f(:\n    pass", "Cell 1 stopped: SyntaxError: "),
    ],
)
def test_a_failing_cell_hides_no_later_one(folder, cell, said):
    report = selfcheck.check(work(folder, before=cell))
    assert report.passed and report.notes[0].startswith(said)
    assert selfcheck.render(report).startswith(said)


def test_sys_exit_ends_nothing(folder):
    assert selfcheck.check(work(folder, before="import sys\nsys.exit()")).passed


def test_only_the_tests_of_a_missing_name_fail(folder):
    report = selfcheck.check(work(folder, ("def scale(", "def scale_by("), ("class Affine", "class Affine")))
    assert verdicts(report) == [False, False, True]
    assert "'scale' is not defined: check that its cell was not renamed" in report.results[0].message


def test_an_endless_loop_is_ended_and_said(folder):
    started = time.monotonic()
    report = selfcheck.check(work(folder, ("return x * factor", "while True: pass")), seconds=6)
    assert time.monotonic() - started < 10
    assert report.results[0].message == "It did not end within 6 seconds: is there an endless loop?"
    assert report.results[2].message.startswith("Not reached")


def test_an_endless_cell_is_named(folder):
    with pytest.raises(
        StudentError, match=r"No test was run, because of cell 1 of mine.py: it did not end within 6 sec"
    ):
        selfcheck.check(work(folder, before="while True: pass"), seconds=6)


def test_a_crash_costs_no_test_that_was_over(folder):
    crash = ("product = x @ self.weight.transpose(0, 1)", "import os; os._exit(3)")
    report = selfcheck.check(work(folder, crash))
    assert verdicts(report) == [True, True, False]
    assert report.results[2].message == "Python stopped here (exit status 3)."


def test_nothing_stays_behind(folder, tmp_path):
    sleeper = f"import subprocess\nsubprocess.Popen(['sleep', '987'], cwd={str(tmp_path)!r})"
    before = sorted(folder.iterdir())
    path = work(folder, before=sleeper)
    assert selfcheck.check(path).passed
    path.unlink()
    assert sorted(folder.iterdir()) == before
    time.sleep(0.2)
    assert not any(process.info["cmdline"] == ["sleep", "987"] for process in psutil.process_iter(["cmdline"]))


def test_settings_of_pytest_around_it_do_not_matter(folder, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    (folder / "conftest.py").write_text("raise RuntimeError")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    assert selfcheck.check(work(folder)).passed


@pytest.mark.parametrize("name", ["toy.py", "toy (1).py", "toy-final.py"])
def test_tests_are_found_by_the_name_in_the_course_around(folder, name):
    home = folder.parents[1] / "handed in" / "alice"
    home.mkdir(parents=True)
    assert selfcheck.check(work(folder, name=name).rename(home / name)).passed


def test_tests_can_be_named(folder, tmp_path):
    path = work(folder).rename(tmp_path / "mine.py")
    assert selfcheck.check(path, folder).passed and selfcheck.check(path, folder / "test_public.py").passed
    with pytest.raises(StudentError, match="There are no public tests at"):
        selfcheck.check(path, tmp_path)


def test_what_is_missing_is_said(folder, tmp_path):
    with pytest.raises(StudentError, match="There is no file"):
        selfcheck.check(folder / "nothing.ipynb")
    path = work(folder).rename(tmp_path / "mine.py")
    with pytest.raises(StudentError, match=r"No public tests found for mine.py.*--tests FOLDER"):
        selfcheck.check(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from toy import (", "can't be read"),
        ("import torch", "imports nothing to test"),
        ("import nope\nfrom toy import scale", "No module named 'nope'"),
    ],
)
def test_damaged_tests_are_said(folder, text, said):
    path = work(folder)
    (folder / "test_public.py").write_text(text)
    with pytest.raises(StudentError, match=said):
        selfcheck.check(path)


ELSEWHERE = """
import builtins, os

missing = {"resource", "fcntl", "pwd", "grp", "termios", "pty", "select.epoll", "_posixsubprocess"}
known = builtins.__import__

def import_ours(name, globals=None, locals=None, fromlist=(), level=0):
    if name in missing and str((globals or {}).get("__name__")).startswith("autograder"):
        raise ModuleNotFoundError(f"No module named {name!r} on this system")
    return known(name, globals, locals, fromlist, level)

builtins.__import__ = import_ours
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "memfd_create", "pidfd_open"):
    delattr(os, name)
"""


def test_it_needs_nothing_that_windows_lacks(folder, tmp_path):
    """In both processes: modules and flags that only Unix has are gone for every file of ours."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(ELSEWHERE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONIOENCODING": "cp1252"}
    probe = [sys.executable, "-c", "import autograder.typeset"]
    done = subprocess.run(probe, env=environment, capture_output=True, text=True, timeout=60)
    assert "on this system" in done.stderr, "what is taken away is missed where it is used"
    work(folder, ("return x * factor", "return x + factor"), before="input()")
    large = nbformat.read(folder / "toy.ipynb", 4)
    large.cells[2].outputs = [nbformat.v4.new_output("stream", text="x" * 3 * 2**20)]
    nbformat.write(large, folder / "large.ipynb")
    for name, said in (
        ("mine.py", "FAIL Doubling 1, 2, 3 gives 2, 4, 6.\n    expected [2, 4, 6], got [3.0, 4.0, 5.0]\nok   The"),
        ("large.ipynb", "not yet written: Affine.forward"),
    ):
        command = [sys.executable, "-m", "autograder.cli", "check", name]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="cp1252", timeout=180)
        assert done.returncode == 1 and said in done.stdout.replace("\r", ""), done.stderr


def test_only_what_every_system_has_is_imported_by_it():
    """Every file of ours that `check` loads, whatever it loads them for."""
    program = (
        "import autograder.cli, autograder.selfcheck, sys; print([n for n in sys.modules if n[:11] == 'autograder.'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    loaded = ast.literal_eval(done.stdout)
    assert "autograder.notebook" in loaded and "autograder.sandbox.spawn" not in loaded
    for name in loaded:
        tree = ast.parse(Path(sys.modules.get(name, importlib.import_module(name)).__file__).read_text("utf-8"))
        imported = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        assert not imported & {"resource", "fcntl", "pwd", "grp", "termios", "pty", "multiprocessing"}, name
