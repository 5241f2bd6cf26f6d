"""The assignments of this course, each proved against itself, and each notebook run as its best student would."""

import ast
import itertools
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
def test_a_finished_notebook_runs_from_top_to_bottom(name, tmp_path):
    assignment = course.load(REPOSITORY, name)
    notebook = nbformat.reads(build.filled(assignment, course.source(assignment)), 4)
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "✗" not in printed and "not yet written" not in printed and "✓" in printed
    assert any("image/png" in output.get("data", {}) for output in outputs)
