"""demo: a small class, made of an assignment: the good, the mistaken and the unlucky."""

import json

import nbformat
import pytest
import toycourse
from click.testing import CliRunner

from autograder import build, course, demo, notebook
from autograder.cli import main
from autograder.errors import UnreadableSubmission
from autograder.records import Entry


@pytest.fixture
def assignment(tmp_path):
    return course.load(toycourse.make(tmp_path), "toy")


def extract(path):
    return notebook.extract(Entry(path.parent.name, path.parent.name, path))


def test_a_notebook_of_a_percent_file_is_valid_and_runs_no_experiment(assignment, tmp_path):
    content = demo.notebook_of(assignment, course.source(assignment), before="first = 1", after="last = 1")
    read = nbformat.reads(content.decode(), 4)
    nbformat.validate(read)
    assert read.cells[0].source == "first = 1" and read.cells[-1].source == "last = 1"
    assert read.cells[1].cell_type == "markdown" and "# Scale and shift" in read.cells[1].source
    path = tmp_path / "ada.ipynb"
    path.write_bytes(content)
    cells = extract(path).cells
    assert [cell.skip for cell in cells].count(True) >= 4
    assert not any("def test_" in cell.source for cell in cells if not cell.skip)


def test_everyone_hands_in_and_the_broken_ones_are_broken(assignment, tmp_path):
    folder = tmp_path / "class"
    count = demo.make_class(assignment, folder)
    paths = sorted(folder.rglob("*.ipynb"))
    assert count == len(paths) == 16 and len({path.parent for path in paths}) == 16
    broken = []
    for path in paths:
        try:
            assert extract(path).cells
        except UnreadableSubmission:
            broken.append(path.name)
    assert sorted(broken) == ["screenshot.ipynb", "toy.ipynb"]


def test_the_stub_is_the_notebook_as_it_is_handed_out(assignment, tmp_path):
    root = assignment.folder.parents[1]
    build.write(root, build.build(assignment))
    demo.make_class(assignment, tmp_path / "class")
    handed_out = (root / "assignments" / "toy" / "toy.ipynb").read_bytes()
    assert sum(path.read_bytes() == handed_out for path in (tmp_path / "class").rglob("*.ipynb")) == 1


def test_the_class_is_graded_as_it_was_meant(quick_course, tmp_path):
    out = tmp_path / "report"
    done = CliRunner().invoke(main, ["demo", "--out", str(out), "--course", str(quick_course)])
    assert done.exit_code == 0, done.output
    assert "A class of 16 students has handed in Scale and shift" in done.stdout
    assert f"Report: {out}/index.html" in done.stdout and (out / "index.html").is_file()
    results = [json.loads(path.read_text("utf-8")) for path in sorted(out.glob("results/*.json"))]
    names = [result["student"] for result in results]
    scores = [result["score"] for result in results]
    assert scores == [10, 10, 10, 8, 8, 6, 6, 0, 5, 0, 5, 10, 10, 5, 0, 0], list(zip(names, scores, strict=True))
    assert [result["status"] for result in results].count("unreadable") == 2
    named = {check["misconception"] for result in results for check in result["checks"] if check["misconception"]}
    assert named == set(toycourse.MISTAKES)
