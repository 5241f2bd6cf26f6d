"""bundle: what lies in autograder.zip, and what must not."""

import ast
import io
import os
import subprocess
import sys
import zipfile

import pytest
import toycourse
from click.testing import CliRunner

from autograder import build, bundle, course
from autograder.cli import main

pytest.importorskip("otter")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = toycourse.make(tmp_path_factory.mktemp("bundle"))
    (root / "solutions" / "roster.csv").write_text("student,email\nada,ada@x.org\n")
    (root / "solutions" / "toy" / "__pycache__").mkdir()
    (root / "solutions" / "toy" / "__pycache__" / "left.pyc").touch()
    return root


@pytest.fixture(scope="module")
def made(root):
    return bundle.make(course.load(root, "toy"))


@pytest.fixture(scope="module")
def archive(made):
    return zipfile.ZipFile(io.BytesIO(made["dist/toy/autograder.zip"]))


def test_two_files_are_made(made):
    assert sorted(made) == ["dist/toy/autograder.zip", "dist/toy/toy.ipynb"]


def test_the_same_bytes_each_time(root, made):
    assert bundle.make(course.load(root, "toy")) == made


def test_what_services_call_stands_at_the_root(archive):
    names = set(archive.namelist())
    assert {"setup.sh", "run_autograder", "run_otter.py", "otter_config.json", "requirements.txt"} <= names
    for name in ("setup.sh", "run_autograder"):
        assert archive.getinfo(name).external_attr >> 16 == 0o100755
        subprocess.run(["bash", "-n"], input=archive.read(name), check=True)


def test_there_is_a_test_for_each_check_worth_what_it_is(root, archive):
    checks = course.checks(course.load(root, "toy"))
    tests = {name[6:-3]: archive.read(name).decode() for name in archive.namelist() if name.startswith("tests/")}
    assert set(tests) == {*checks, "q1", "q2"}
    for name, text in tests.items():
        found = {node.targets[0].id: node.value.value for node in ast.parse(text).body if isinstance(node, ast.Assign)}
        assert found == {"OK_FORMAT": False, "name": name, "points": checks.get(name, 0)}
        assert ("hidden=True" in text) == (name in checks)


def test_the_course_in_it_is_of_this_assignment_alone(root, archive):
    found = {name for name in archive.namelist() if name.startswith("files/course/")}
    files = {f"toy/{name}" for name in ("assignment.toml", "solution.py", "test_hidden.py")}
    assert found == {f"files/course/solutions/{name}" for name in (".secret", "roster.csv", *files)}
    assert archive.read("files/course/solutions/.secret").decode().strip() == course.secret(root).hex()
    assert all(archive.getinfo(name).external_attr >> 16 == 0o100600 for name in found)


def test_the_package_is_in_it_whole(archive):
    names = set(archive.namelist())
    assert {"files/autograder/hosted.py", "files/autograder/sandbox/filters/cpu-x86_64.bpf"} <= names
    assert not [name for name in names if "__pycache__" in name]


def test_requirements_are_the_versions_of_here(archive):
    lines = archive.read("requirements.txt").decode().splitlines()
    names = {line.partition("==")[0] for line in lines}
    assert {"torch", "numpy", "pytest", "nbformat", "ipython"} <= names and not names & {"ruff", "jupytext"}
    assert all("==" in line and "+" not in line for line in lines)


@pytest.mark.parametrize("index", ["", "https://wheels.example/cpu $(date)"])
def test_where_torch_comes_from_is_told_when_it_is_built(root, monkeypatch, tmp_path, index):
    monkeypatch.setenv("TORCH_INDEX", index)
    (content,) = [made for path, made in bundle.make(course.load(root, "toy")).items() if path.endswith(".zip")]
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        (line,) = [line for line in made.read("setup.sh").decode().splitlines() if line.startswith("built_for=")]
    said = subprocess.run(["bash", "-c", f'{line}; printf %s "$built_for"'], capture_output=True, text=True, check=True)
    assert said.stdout == index


def test_the_command_writes_what_nobody_else_may_read(root):
    done = CliRunner().invoke(main, ["build", "--dist", "--course", str(root)])
    assert (done.exit_code, done.output) == (0, "toy: dist/toy/toy.ipynb, dist/toy/autograder.zip\n")
    assert os.stat(root / "dist" / "toy" / "autograder.zip").st_mode & 0o777 == 0o600
    assert CliRunner().invoke(main, ["build", "--dist", "--course", str(root)]).output == "toy: up to date\n"
    assert not (root / "assignments").exists()


def test_dist_and_check_do_not_go_together(root):
    done = CliRunner().invoke(main, ["build", "--dist", "--check", "--course", str(root)])
    assert done.exit_code == 2 and "give one of the two" in done.output


def test_setup_says_what_is_missing(archive, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "setup.sh").write_bytes(archive.read("setup.sh"))
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "id"):
        (tmp_path / "bin" / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
    done = subprocess.run(
        [tmp_path / "bin" / "bash", tmp_path / "source" / "setup.sh"],
        env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "Python 3.11 or later with venv is needed" in done.stderr


def test_the_solution_is_as_the_student_files_have_it_not(made):
    assert b"x * factor" not in made["dist/toy/toy.ipynb"]
    assert sys.version_info >= (3, 11) and build.SKIP.encode() in made["dist/toy/toy.ipynb"]
