"""The assignments of this course, each proved against itself, and each notebook run as its best student would."""

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from autograder import build, course
from autograder.verify import Manner, verify

REPOSITORY = Path(__file__).parents[1]
NAMES = course.names(REPOSITORY) if (REPOSITORY / "solutions").is_dir() else []


@pytest.mark.parametrize("name", NAMES)
def test_an_assignment_knows_many_mistakes_and_many_ways_to_be_right(name):
    assignment = course.load(REPOSITORY, name)
    tree = ast.parse((assignment.folder / "test_hidden.py").read_text("utf-8"))
    checks = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert len(checks) >= 10 and len(course.variants(assignment)) >= 6 and len(assignment.mistakes) >= 15
    assert len({mistake.says for mistake in assignment.mistakes}) == len(assignment.mistakes)
    for one, two in itertools.combinations([course.mutant(assignment, each) for each in assignment.mistakes], 2):
        assert one != two
    for mistake in assignment.mistakes:
        assert 30 < len(mistake.says) < 400 and mistake.says[-1] in ".?", mistake.says


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_assignment_tells_right_from_wrong(name):
    problems = {(proof.kind, proof.name): proof.problem for proof in verify(REPOSITORY, name, Manner())}
    assert {key: problem for key, problem in problems.items() if problem} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_way_to_be_right_passes_the_public_tests(name, tmp_path):
    assignment = course.load(REPOSITORY, name)
    public = (REPOSITORY / "assignments" / name / "test_public.py").read_text("utf-8")
    said = {}
    for variant, path in course.variants(assignment).items():
        text = path.read_text("utf-8")
        if "def load_named(" in text and "load_named" not in public:
            continue  # the text says that the public tests know the prescribed names only
        folder = tmp_path / variant
        folder.mkdir()
        (folder / "test_public.py").write_text(public, "utf-8")
        whole = course.source(assignment) + text.replace("from __future__ import annotations\n", "")
        (folder / f"{name}.py").write_text(whole, "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "test_public.py"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            said[variant] = done.stdout[-2000:]
    assert said == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_finished_notebook_runs_from_top_to_bottom(name, tmp_path):
    assignment = course.load(REPOSITORY, name)
    notebook = nbformat.reads(build.filled(assignment, course.source(assignment)), 4)
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "✗" not in printed and "not yet written" not in printed and "✓" in printed
    assert any("image/png" in output.get("data", {}) for output in outputs)
