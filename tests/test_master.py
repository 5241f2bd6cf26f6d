"""master: the notebook for Otter-Grader, and what `grader.check` says in it with Otter and without."""

import contextlib
import io
import json
import subprocess
import sys

import nbformat
import pytest
import toycourse

from autograder import build, course, master
from autograder.build import SKIP
from autograder.errors import BrokenAssignment, InstructorError

pytest.importorskip("otter")

MARK = "    # BEGIN SOLUTION NO PROMPT\n    return x * factor\n    # END SOLUTION"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return course.load(toycourse.make(tmp_path_factory.mktemp("toy")), "toy")


@pytest.fixture(scope="module")
def made(toy, tmp_path_factory):
    return master.assign(toy, ["torch"], tmp_path_factory.mktemp("made"))


def cells(text):
    return nbformat.reads(text, 4).cells


def run(text, folder, without_otter=False):
    """What the code cells print, run like in a notebook that lies in `folder`."""
    printed = io.StringIO()
    names = {"__name__": "__main__"}
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        if without_otter:
            patch.setitem(sys.modules, "otter", None)
        for cell in cells(text):
            if cell.cell_type == "code":
                exec(compile(cell.source, "cell", "exec"), names)
    return printed.getvalue()


def test_the_cells_are_those_of_build_with_a_check_below_each_step(toy, made):
    found = cells(made.notebook)
    plain = nbformat.reads(build.build(toy)["assignments/toy/toy.ipynb"].decode(), 4).cells
    checks = [cell.source for cell in found if "grader.check(" in cell.source and "def " not in cell.source]
    assert checks == [f'{SKIP}\ngrader.check("q1")', f'{SKIP}\ngrader.check("q2")']
    rest = [cell for cell in found if cell.source not in checks and "_find_grader" not in cell.source]
    assert len(rest) == len(plain) == len(found) - 3
    for mine, theirs in zip(rest, plain, strict=True):
        assert theirs.source.startswith(mine.source)
    nbformat.validate(nbformat.reads(made.notebook, 4))


def test_what_is_not_run_while_grading_says_so_to_otter_too(made):
    for cell in cells(made.notebook):
        skipped = cell.cell_type == "code" and cell.source.startswith(SKIP)
        assert cell.metadata == ({"tags": ["otter_ignore"]} if skipped else {})


def test_it_holds_public_tests_only(made):
    tests = nbformat.reads(made.notebook, 4).metadata.otter.tests
    assert sorted(tests) == ["q1", "q2"]
    assert "name='Doubling 1, 2, 3 gives 2, 4, 6.', points=None, hidden=False" in tests["q1"]
    assert all("\npoints = 0\n" in text for text in tests.values())
    for secret in ("x * factor", "product", "SOLUTION", "keeps_the_dtype", "reference"):
        assert secret not in made.notebook


def test_the_same_bytes_each_time(toy, made, tmp_path):
    assert master.assign(toy, ["torch"], tmp_path).notebook == made.notebook


def test_a_filled_notebook_differs_in_the_answers_only(toy, made):
    pairs = list(zip(cells(made.notebook), cells(master.handed_in(toy, course.source(toy))), strict=True))
    changed = [left.source for left, right in pairs if left.source != right.source and not left.source.startswith(SKIP)]
    assert len(changed) == 2 and all("raise NotImplementedError(" in source for source in changed)
    assert all(left.metadata == right.metadata for left, right in pairs)


@pytest.mark.parametrize("without_otter", [True, False], ids=["no Otter", "no file"])
def test_without_otter_or_its_file_the_same_tests_are_run(toy, tmp_path, without_otter):
    said = run(master.handed_in(toy, course.source(toy)), tmp_path, without_otter)
    assert said.count("✓") == 3
    assert "✓ Doubling 1, 2, 3 gives 2, 4, 6.\n✓ The result has the shape of the input.\n" in said
    wrong = run(master.handed_in(toy, course.mutant(toy, toy.mistakes[0])), tmp_path, without_otter)
    assert "✗ Doubling 1, 2, 3 gives 2, 4, 6.\n    expected [2, 4, 6], got [3.0, 4.0, 5.0]\n" in wrong


def test_without_otter_the_stub_waits(made, tmp_path):
    said = run(made.notebook, tmp_path, without_otter=True)
    assert "… Doubling 1, 2, 3 gives 2, 4, 6. (not yet written: scale)\n" in said and "✗" not in said


def test_a_check_without_the_cell_above_says_what_to_run(made, tmp_path):
    kept = nbformat.reads(made.notebook, 4)
    kept.cells = [cell for cell in kept.cells if "def test_" not in cell.source]
    assert "… test_scale_doubles is not there: run the cell above first" in run(nbformat.writes(kept), tmp_path)


def test_in_jupyter_otter_runs_its_own_copy_of_the_tests(toy, made, tmp_path):
    """With a real kernel and real Otter, the notebook beside it as its author has saved it."""
    nbclient = pytest.importorskip("nbclient")
    for text, expected in (
        (course.source(toy), ["All test cases passed!", "All test cases passed!"]),
        (course.mutant(toy, toy.mistakes[0]), ["expected [2, 4, 6], got [3.0, 4.0, 5.0]", "All test cases passed!"]),
    ):
        notebook = nbformat.reads(made.notebook, 4)
        for cell, filled in zip(notebook.cells, cells(master.handed_in(toy, text)), strict=True):
            cell.source = filled.source
        (tmp_path / "toy.ipynb").write_text(nbformat.writes(notebook), "utf-8")
        nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
        checks = [cell for cell in notebook.cells if cell.source.endswith(('check("q1")', 'check("q2")'))]
        said = [cell.outputs[0].data["text/plain"] for cell in checks]
        assert all(wanted in text for wanted, text in zip(expected, said, strict=True)), said


def test_public_tests_outside_jupyter_are_the_same(toy, tmp_path):
    """`autograder check`, on the notebook that `grader.check` is in."""
    for path, content in build.build(toy).items():
        (tmp_path / path.rsplit("/")[-1]).write_bytes(content)
    (tmp_path / "toy.ipynb").write_text(master.handed_in(toy, course.mutant(toy, toy.mistakes[0])), "utf-8")
    command = [sys.executable, "-m", "autograder.cli", "check", "toy.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "✗ Doubling 1, 2, 3 gives 2, 4, 6.\n    expected [2, 4, 6], got [3.0, 4.0, 5.0]\n" in done.stdout


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("    doubled = scale(", "    a = 1  # SOLUTION\n    doubled = scale(", "left this in cell 7"),
        ("# %%\nimport torch\n", "# %%\nimport torch\nimport math  # IGNORE\n", "left this in cell 4"),
        ("# Multiply every number of a tensor by", "# ```otter\n# open: [\n# Multiply every number of a tensor by",
         "`otter assign` failed on toy"),
    ],
)  # fmt: skip
def test_what_otter_takes_for_its_own_is_named(tmp_path, before, after, said):
    root = toycourse.make(tmp_path)
    toycourse.edit(root, "solution.py", before, after)
    (tmp_path / "made").mkdir()
    with pytest.raises((BrokenAssignment, InstructorError), match=said):
        master.assign(course.load(root, "toy"), ["torch"], tmp_path / "made")


def test_without_otter_build_says_what_to_install(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "otter", None)
    with pytest.raises(InstructorError, match="needs Otter-Grader: pip install"):
        master.assign(toy, ["torch"], tmp_path)


def test_titles_are_put_in_with_any_quotes():
    text = "@test_case(points=None, hidden=False)\ndef test_a(env):\n    pass\n"
    titled = master.with_titles(text, {"test_a": """It's "right" \\1."""})
    (call,) = [line for line in titled.splitlines() if line.startswith("@")]
    assert json.dumps("""It's "right" \\1.""")[1:4] == "It'" and repr("""It's "right" \\1.""") in call
