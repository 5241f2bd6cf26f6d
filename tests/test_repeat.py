"""repeat: a recorded grading comes out the same again, or it is said what is no longer there."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import classroom
import pytest
import toycourse
from classroom import AFFINE, SCALE, solution

from autograder import batch, repeat
from autograder.errors import InstructorError, OperatorError
from autograder.gradebook import Gradebook, Origin
from autograder.records import Cell
from autograder.repeat import Wanted

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GUARDED = "\nif __name__ == '__main__':\n    raise SystemExit('not run while grading')\n"
ODD = "# é \\u2028 \u2028 \t'''\nprint('\\ud800', '''\n# %%x\n''')"


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course whose report holds a module, a notebook, a file that can't be read, and gradings of two versions."""
    root = classroom.quick(tmp_path_factory.mktemp("repeat"))
    sources = [ODD, "# autograder: skip\nraise SystemExit", solution((AFFINE, "return product"))]
    cells = [{"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": 1} for s in sources]
    cells.insert(1, {"cell_type": "markdown", "metadata": {}, "source": "# Prose"})
    notebook = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    works = {
        "module": f"{solution((SCALE, 'return x + factor'), before=ODD)}{GUARDED}",
        "notebook": notebook.encode(),
        "odd": b"no notebook",
        "prints": solution(before="print(object())"),
    }
    classroom.hand_in(root / "class", works)
    grade(root)
    toycourse.edit(root, "test_hidden.py", "torch.randn(4, device=device), 3.0)", "torch.randn(5, device=device), 3.0)")
    grade(root)
    shutil.rmtree(root / "class")
    return root


def grade(root):
    request = batch.Request(root, "toy", (root / "class",), root / "out", workers=1, isolation="best")
    return batch.grade(request, batch.Watcher(lambda _: None, lambda _: None))


@pytest.fixture
def root(graded, tmp_path):
    return shutil.copytree(graded, tmp_path / "course")


def again(root, submission="module", number=None, place=None):
    return repeat.repeat(Wanted(place or root / "out", None, submission, number, root))


@pytest.mark.parametrize("submission", ["module", "notebook"])
def test_what_was_graded_comes_out_the_same_though_its_file_is_gone(graded, submission):
    found = again(graded, submission)
    assert found.differences == () and found.now.cells and found.now.checks != ()
    assert [check.status for check in found.now.checks] == [check.status for check in found.attempt.grade.checks]
    assert set(found.attempt.grade.taken) < {check.name for check in found.now.checks}
    assert repeat.render(found).startswith(f"{submission}, attempt {found.attempt.number} of 2")
    assert ": identical. graded, " in repeat.render(found) and "every verdict and word the same" in repeat.render(found)


def test_another_version_is_named_with_what_differs(graded):
    with Gradebook.open(graded / "out" / "gradebook.sqlite") as book:
        first, second = book.attempts("toy", "module")
    with pytest.raises(InstructorError, match="can't be repeated") as caught:
        again(graded, number=first.number)
    said = str(caught.value)
    assert f"toy (version {first.grade.version} then, {second.grade.version} now)" in said
    assert "the check test_scale_leaves_its_argument_alone. Put that back" in said


def test_a_new_title_hinders_nothing(root):
    toycourse.edit(root, "assignment.toml", '"Scale and shift"', '"Scale"')
    assert again(root, "prints").differences == ()


def test_another_secret_is_no_secret(root):
    (root / "solutions" / ".secret").write_text("0" * 64)
    with pytest.raises(InstructorError, match=r"What differs: the course's secret \(\w{16} then, \w{16} now\)\. Put"):
        again(root)


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("torch", r"torch \(1\.0 then, .* now\)"),
        ("python", r"Python \(1\.0"),
        ("autograder", r"autograder \(1\.0"),
    ],
)
def test_other_versions_of_what_it_rests_on_are_named(root, field, sentence):
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        last = book.attempts("toy", "module")[-1]
        book.record(last.grade, NOW, Origin(replace(last.basis, **{field: "1.0"}), last.suffix))
    with pytest.raises(InstructorError, match=sentence):
        again(root)


def test_a_record_without_code_or_basis_says_so(root):
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        last = book.attempts("toy", "module")[-1]
        book.record(last.grade, NOW)
        book.record(replace(last.grade, digest="other"), NOW, Origin(last.basis, ".py"))
        *_, bare, lost = book.attempts("toy", "module")
    for each in (bare, lost):
        with pytest.raises(InstructorError, match="holds no code, or not on what the grade rests"):
            again(root, number=each.number)
    with pytest.raises(InstructorError, match="its file could not be read, so no code was judged"):
        again(root, "odd")


def test_code_that_is_not_what_was_judged_is_not_run(root):
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        last = book.attempts("toy", "module")[-1]
        forged = replace(last.grade, digest="forged", cells=(Cell(1, "x = 1\n"),))
        book.record(forged, NOW, Origin(last.basis, ".py"))
    with pytest.raises(InstructorError, match="can't be put back into a file that reads the same"):
        again(root)


def test_a_machine_without_the_device_says_so(root):
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        last = book.attempts("toy", "module")[-1]
        book.record(replace(last.grade, device="cuda"), NOW, Origin(last.basis, ".py"))
    with pytest.raises(OperatorError, match="CUDA was asked for"):
        again(root)


def test_what_differs_is_told_check_by_check(root):
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        last = book.attempts("toy", "module")[-1]
        first, second, third, *rest = last.grade.checks
        checks = (
            replace(first, misconception="no-bias"),
            replace(second, points=0.0),
            *rest,
            replace(third, name="test_gone"),
        )
        forged = replace(last.grade, checks=checks, score=7.0, notes=("One.", "Two."))
        book.record(forged, NOW, Origin(last.basis, last.suffix))
    found = again(root)
    assert found.differences == (
        "the score: graded, 7 / 10 then, graded, 8 / 10 now",
        f"{first.name}: the student reads other words (no-bias then, adds-instead now)",
        f"{second.name}: passed, 0 points then; passed, 1 points now",
        f"{third.name}: not judged then",
        "test_gone: judged then, not now",
        f"what is said of the whole: One. Two. then, {' '.join(found.now.notes) or 'nothing'} now",
    )
    lines = repeat.render(found).splitlines()
    assert lines[0].endswith("not identical.") and len(lines) == 7


def test_what_is_not_there_is_told_from_what_is(graded):
    with pytest.raises(InstructorError, match=r"module has no attempt 99: it has \d+, \d+\. Name one with --attempt"):
        again(graded, number=99)
    with pytest.raises(InstructorError, match="no submission 'modul' of toy"):
        again(graded, "modul")
    with pytest.raises(InstructorError, match="No gradebook found"):
        again(graded, place=Path("/nowhere"))
