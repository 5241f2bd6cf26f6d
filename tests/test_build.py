"""build: what students get is cut from the solution, runs, and tells nothing of it."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import toycourse
from nbclient import NotebookClient

from autograder import build, course
from autograder.errors import BrokenAssignment

REPOSITORY = Path(__file__).parents[1]
REAL = course.names(REPOSITORY) if (REPOSITORY / "solutions").is_dir() else []
DEAR = ("a2_seq2seq", "a6_masked_lm", "a7_fine_tuning")  # they train


@pytest.fixture
def root(tmp_path):
    return toycourse.make(tmp_path)


def built(root, name="toy"):
    return {Path(path).name: content.decode() for path, content in build.build(course.load(root, name)).items()}


def notebook(root, name="toy"):
    return nbformat.reads(built(root, name)[f"{name}.ipynb"], 4)


def code(nb):
    return [cell.source for cell in nb.cells if cell.cell_type == "code"]


def finished(root, *edits):
    """The notebook of a student who has written what the solution has, but for the edits (before, after)."""
    toy = course.load(root, "toy")
    for before, after in ((build._BEGIN, "# mine"), (build._END, "# till here"), *edits):
        path = toy.folder / "solution.py"
        path.write_text(path.read_text("utf-8").replace(before, after), "utf-8")
    return nbformat.reads(build.build(toy)["assignments/toy/toy.ipynb"].decode(), 4)


def execute(nb, allow_errors=False):
    """What the cells print, by cell."""
    nb = copy.deepcopy(nb)
    NotebookClient(nb, timeout=300, kernel_name="python3", allow_errors=allow_errors).execute()
    outputs = (cell.outputs for cell in nb.cells if cell.cell_type == "code")
    return ["".join(output.get("text", "") for output in cell) for cell in outputs]


def pytest_in(folder):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder, capture_output=True, text=True
    )
    return done.stdout.splitlines()[-1]


def test_four_files_are_made(root):
    files = build.build(course.load(root, "toy"))
    assert sorted(files) == [
        f"assignments/toy/{name}" for name in ("README.md", "test_public.py", "toy.ipynb", "toy.py")
    ]


def test_the_same_solution_gives_the_same_bytes_wherever_it_lies(root, tmp_path):
    elsewhere = toycourse.make(tmp_path / "elsewhere")
    assert build.build(course.load(root, "toy")) == build.build(course.load(elsewhere, "toy"))


def test_cell_ids_follow_the_content(root):
    before = {cell.source: cell.id for cell in notebook(root).cells}
    toycourse.edit(root, "solution.py", "# ## 1. Scale\n", "# ## 1. Scaling\n")
    after = {cell.source: cell.id for cell in notebook(root).cells}
    assert len(set(before.values())) == len(before)
    same = before.keys() & after.keys()
    assert len(same) == len(before) - 1 and all(before[source] == after[source] for source in same)


def test_the_notebook_is_plain_and_valid(root):
    nb = notebook(root)
    nbformat.validate(nb)
    assert (nb.nbformat, nb.nbformat_minor, nb.metadata.kernelspec.name) == (4, 5, "python3")
    assert all(not cell.metadata for cell in nb.cells)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in nb.cells if cell.cell_type == "code")
    opening = nb.cells[0].source
    for said in ("# Scale and shift\n", "10 minutes · gentle · 10 points", "Hand in", "toy.ipynb"):
        assert said in opening
    assert sum(cell.source.startswith("# Scale and shift") for cell in nb.cells) == 1


def test_nothing_of_the_solution_is_left(root):
    for text in built(root).values():
        for secret in ("SOLUTION", "x * factor", "product = ", "mul_", "adds-instead", "if __name__"):
            assert secret not in text


def test_the_stub_looks_written_by_hand(root):
    stub = built(root)["toy.py"]
    assert stub.startswith('"""Scale and shift: 10 minutes, gentle, 10 points.\n')
    assert stub.endswith('returns (..., out_features); another width raises ValueError."""\n'
                         '        raise NotImplementedError("Affine.forward")\n')  # fmt: skip
    assert "import torch\nfrom torch import nn\n\n\ndef scale(x, factor):\n" in stub
    assert '    """\n    raise NotImplementedError("scale")\n\n\nclass Affine' in stub
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--diff", "-"], input=stub, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f():\n    # BEGIN SOLUTION NO PROMPT\n    x = 1\n    # END SOLUTION\n    pass", "def f():\n    pass"),
        ("a = 1\n\n# BEGIN SOLUTION NO PROMPT\nb = 2\n# END SOLUTION\n\nc = 3", "a = 1\n\nc = 3"),
        ("a = 1\n\n# BEGIN SOLUTION NO PROMPT\nb = 2\n# END SOLUTION\n\n\nc = 3", "a = 1\n\n\nc = 3"),
        ("# BEGIN SOLUTION NO PROMPT\nb = 2\n# END SOLUTION\n\nc = 3", "c = 3"),
        ("a = None\n# BEGIN SOLUTION NO PROMPT\na = 2\n# END SOLUTION\n", "a = None"),
        ("# BEGIN SOLUTION NO PROMPT\na = 2\n\n# END SOLUTION", ""),
        ("a\n# BEGIN SOLUTION NO PROMPT\n# END SOLUTION\nc\n# BEGIN SOLUTION NO PROMPT\nd\n# END SOLUTION", "a\nc"),
    ],
)  # fmt: skip
def test_a_region_leaves_no_trace(before, after):
    assert build._cut(before) == after


def test_public_tests_run_with_plain_pytest(root):
    build.write(root, build.build(course.load(root, "toy")))
    folder = root / "assignments" / "toy"
    assert "from toy import Affine, scale\n" in (folder / "test_public.py").read_text("utf-8")
    assert "3 failed" in pytest_in(folder)
    (folder / "toy.py").write_text(course.source(course.load(root, "toy")), "utf-8")
    assert "3 passed" in pytest_in(folder)


def test_imports_of_the_tests_are_gathered(root):
    toycourse.edit(root, "solution.py", "# %%\ndef test_affine", "# %%\nimport math, cmath\n\n\ndef test_affine")
    toycourse.edit(root, "solution.py", "Affine(3, 2)(torch.ones(4, 3))", "Affine(int(math.pi), 2)(torch.ones(4, 3))")
    text = built(root)["test_public.py"]
    assert "import math\n\nimport torch\n\nfrom toy import" in text and "cmath" not in text
    assert "\n\n\n\n" not in text


def test_an_unfinished_notebook_runs_to_its_end(root):
    printed = execute(notebook(root))
    assert printed[2].splitlines() == [
        "… Doubling 1, 2, 3 gives 2, 4, 6. (not yet written: scale)",
        "… The result has the shape of the input. (not yet written: scale)",
    ]
    assert printed[3] == "This cell waits for your code. Not yet there: scale\n"
    assert printed[6].startswith("This cell waits for your code.")


def test_a_finished_notebook_shows_what_is_right(root):
    printed = execute(finished(root))
    assert printed[2].splitlines() == ["✓ Doubling 1, 2, 3 gives 2, 4, 6.", "✓ The result has the shape of the input."]
    assert printed[3] == "half of 0 to 4: [0.0, 0.5, 1.0, 1.5, 2.0]\n"


def test_a_wrong_notebook_shows_what_is_wrong(root):
    wrong = (("x * factor", "x + factor"), ("self.weight.transpose(0, 1)", "self.weight"))
    printed = execute(finished(root, *wrong), allow_errors=True)
    assert printed[2].splitlines()[:2] == [
        "✗ Doubling 1, 2, 3 gives 2, 4, 6.",
        "    expected [2, 4, 6], got [3.0, 4.0, 5.0]",
    ]
    assert "RuntimeError('mat1 and mat2" in printed[5]
    assert "test_affine_maps_to_the_new_width() to see where" in printed[5]


def test_cells_that_are_not_graded_are_marked(root):
    cells = code(notebook(root))
    assert [cell.startswith(build.SKIP) for cell in cells] == [False, False, True, True, False, True, True]
    assert cells[3].startswith('# autograder: skip\ntry:\n    line = scale(torch.arange(5.0), 0.5)\n\n    print("half')
    assert "except NotImplementedError as missing" in cells[3]
    assert "except (NotImplementedError, NameError) as missing" in cells[6]


def test_a_block_that_needs_nothing_of_the_student_is_shown_as_it_is(root):
    toycourse.edit(root, "solution.py", "line = scale(torch.arange(5.0), 0.5)", "line = torch.arange(5.0)")
    assert code(notebook(root))[3].startswith("# autograder: skip\nline = torch.arange(5.0)\n\nprint(")


LINE = "    return x * factor\n"
BROKEN = {
    "no end": (f"{LINE}    # END SOLUTION\n", LINE, "line 23: found a region still open at the next cell .line 28"),
    "no beginning": (
        "    # BEGIN SOLUTION NO PROMPT\n" + LINE,
        LINE,
        "line 24: found '# END SOLUTION', expected regions",
    ),
    "other marker": (" NO PROMPT\n" + LINE, "\n" + LINE, "line 23: found '# BEGIN SOLUTION', expected '# BEGIN"),
    "stub is not Python": ('raise NotImplementedError("scale")', "(", "line 26: '.' was never closed"),
    "no docstring": ('    """Three features become two."""\n', "", "line 79: found test_affine_maps.* without a docst"),
    "parameters": ("test_scale_doubles()", "test_scale_doubles(x)", "line 30: found test_scale_doubles with param"),
    "same name": ("test_scale_keeps_the_shape", "test_scale_doubles", "line 36: found test_scale_doubles a second"),
    "no message": (', f"expected shape (4, 2), got {shape}"', "", "line 82: found an assert without a message"),
    "else": ("line.tolist())\n", "line.tolist())\nelse:\n    pass\n", "line 48: found an else"),
    "mixed": ("line.tolist())\n", "line.tolist())\n\n\nx = 2\n", "line 43: found more in the cell than `if __name__"),
    "preceded": (
        'if __name__ == "__main__":\n    line',
        '# why\nif __name__ == "__main__":\n    line',
        "line 44: foun",
    ),
    "beside": ("\n\n# %%\ndef test_scale_doubles", "\n\ndef test_scale_doubles", "line 17: found scale beside publi"),
    "cut whole": (
        "# %%\ndef scale",
        "# %%\n# BEGIN SOLUTION NO PROMPT\n# END SOLUTION\ndef scaled",
        "'scale' is cut wi",
    ),
    "no tests": ("def test_", "def tset_", "line 1: found no public test"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_cut_is_named_with_its_line(root, case):
    before, after, said = BROKEN[case]
    toy = course.load(root, "toy")
    text = course.source(toy)
    assert before in text
    (toy.folder / "solution.py").write_text(text.replace(before, after), "utf-8")
    with pytest.raises(BrokenAssignment, match=said) as caught:
        build.build(toy)
    assert "solutions/toy/solution.py" in str(caught.value)


def test_differences_are_named(root):
    files = build.build(course.load(root, "toy"))
    assert build.check(root, files)[0] == "assignments/toy/toy.ipynb is missing: run `autograder build`."
    assert build.write(root, files) == list(files) and build.write(root, files) == []
    folder = root / "assignments" / "toy"
    (folder / "__pycache__").mkdir()
    assert build.check(root, files) == []
    (folder / "old.py").touch()
    (folder / "toy.py").write_bytes(files["assignments/toy/toy.py"].replace(b"import torch\n", b"import torch as t\n"))
    assert build.check(root, files) == [
        "assignments/toy/toy.py is not what `autograder build` makes, from line 7 on: run it.",
        "assignments/toy/old.py is not made by `autograder build`: delete it.",
    ]
    assert build.write(root, files) == ["assignments/toy/toy.py"]


@pytest.mark.parametrize("name", REAL)
def test_every_assignment_is_built_as_it_is_committed(name):
    files = build.build(course.load(REPOSITORY, name))
    assert build.check(REPOSITORY, files) == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in DEAR else name for name in REAL]
)
def test_every_stub_loads_and_its_public_tests_find_it(name, tmp_path):
    build.write(tmp_path, build.build(course.load(REPOSITORY, name)))
    assert " failed" in pytest_in(tmp_path / "assignments" / name)
    shutil.copyfile(REPOSITORY / "solutions" / name / "solution.py", tmp_path / "assignments" / name / f"{name}.py")
    assert "failed" not in pytest_in(tmp_path / "assignments" / name)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in DEAR else name for name in REAL]
)
def test_every_unfinished_notebook_runs_to_its_end(name):
    printed = "".join(execute(notebook(REPOSITORY, name)))
    assert "✓" not in printed and "✗" not in printed and "not yet written" in printed
