"""What a student gets by installing the package: all of it that `check` needs, and nothing that she should not read."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder import course

ROOT = Path(__file__).parent.parent
PRIVATE = ("solutions", "quizzes", "assignments", "tests", "dist", "benchmarks")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package, built where everything private lies beside it, as in a clone."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        ROOT, folder / "clone", ignore=lambda path, names: [name for name in names if _left_out(path, name)]
    )
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(folder / "clone")], check=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def _left_out(path, name):
    return name == "__pycache__" or (
        Path(path) == ROOT and (name.startswith(".") or name in ("dist", "build", "report"))
    )


def test_it_holds_the_package_alone(wheel):
    names = wheel.namelist()
    assert {name.partition("/")[0] for name in names} == {"autograder", _metadata(names)}
    assert not [name for name in names if name.partition("/")[0] in PRIVATE]
    code = [name for name in names if name.endswith((".py", ".pyc"))]
    assert not [name for name in code if re.search(r"(^|/)(test_\w+|solution|conftest)\.py", name)]


def _metadata(names):
    return next(name.partition("/")[0] for name in names if ".dist-info/" in name)


def test_no_solution_and_no_hidden_test_is_in_it(wheel):
    """No assignment's hidden check by name, and none of the lines that only its solution has."""
    ours = [name for name in wheel.namelist() if not name.startswith("autograder/example/")]  # nobody's to solve
    text = "\n".join(wheel.read(name).decode("utf-8", "replace") for name in ours)
    for name in course.names(ROOT):
        assignment = course.load(ROOT, name)
        assert not [check for check in course.checks(assignment) if re.search(rf"def {check}\b", text)]
        assert not [mistake.says for mistake in assignment.mistakes if mistake.says in text]
        stub = (ROOT / "assignments" / name / f"{name}.py").read_text("utf-8")
        own = [line for line in course.source(assignment).splitlines() if line.strip() not in stub]
        told = [line for line in own if len(line.strip()) >= 40 and not _is_comment(line) and line.strip() in text]
        assert len(told) < 3 < len(own), told  # one or two that anybody would write


def _is_comment(line):
    return line.lstrip().startswith("#")


def test_all_that_it_needs_at_run_time_is_in_it(wheel):
    for path in (ROOT / "autograder").rglob("*"):
        if path.is_file() and path.suffix not in (".pyc",) and not path.name.startswith("."):
            assert path.relative_to(ROOT).as_posix() in wheel.namelist(), path
