"""What Colab and VS Code do to a notebook file changes no verdict, here or in `grader.check`.

What they write was read in files that they had saved and in their own threads; they themselves were not run.
"""

import json
import random
from dataclasses import replace

import classroom
import nbformat
import pytest

from autograder import build, course, master, notebook, returned, selfcheck, steps
from autograder.records import Entry

WRONG = (classroom.SCALE, "return x + factor")


def colab(text):
    """As Google Colab saves: format 4.0, ids in the cells' metadata, what others put there gone, an account in it."""
    read = json.loads(text)
    dice = random.Random(7)
    cells = []
    for cell in read["cells"]:
        about = {"id": "".join(dice.choices("abcdefghijkLMNOPQRS0123456789_-", k=12))}
        kept = {"cell_type": cell["cell_type"], "source": lines(cell["source"]), "metadata": about}
        if cell["cell_type"] == "code":
            about |= {
                "colab": {"base_uri": "https://localhost:8080/", "height": 35},
                "executionInfo": {
                    "elapsed": 412,
                    "status": "ok",
                    "timestamp": 1722608125960,
                    "user": {"displayName": "Ada", "userId": "121360192"},
                    "user_tz": -60,
                },
                "outputId": "d1c9354e-43db-45ab-c38b-b24bcee97356",
            }
            output = {"output_type": "stream", "name": "stdout", "text": ["one\n"]}
            kept |= {"execution_count": 7, "outputs": [output]}
        cells.append(kept)
    extra = {"cell_type": "code", "metadata": {"id": "x"}, "execution_count": None, "outputs": []}
    cells.append(
        {**extra, "source": ["# autograder: skip\n", "!pip install torch\n", "from google.colab import drive"]}
    )
    return json.dumps({
        "nbformat": 4,
        "nbformat_minor": 0,
        "metadata": {
            "colab": {"provenance": [{"file_id": "x", "timestamp": 1}], "toc_visible": True, "gpuType": "T4"},
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python"},
            "accelerator": "GPU",
        },
        "cells": cells,
    })  # fmt: skip


def vscode(text):
    """As VS Code saves: ids of its own or none, a language per cell, its interpreter's name and version."""
    read = json.loads(text)
    for number, cell in enumerate(read["cells"]):
        cell.pop("id")
        cell["metadata"] = {"vscode": {"languageId": "python" if cell["cell_type"] == "code" else "markdown"}}
        cell["source"] = lines(cell["source"])
        if cell["cell_type"] == "code":
            cell |= {"execution_count": number, "outputs": []}
    read["metadata"] = {
        "kernelspec": {"display_name": ".venv (3.12.3)", "language": "python", "name": "python3"},
        "language_info": {
            "codemirror_mode": {"name": "ipython", "version": 3},
            "file_extension": ".py",
            "mimetype": "text/x-python",
            "name": "python",
            "nbconvert_exporter": "python",
            "pygments_lexer": "ipython3",
            "version": "3.12.3",
        },
        "orig_nbformat": 4,
        "vscode": {"interpreter": {"hash": "31f2aee4e71d21fbe5cf8b01ff0e069b9275f58929596ceb00d14d90e3e16cd6"}},
    }
    return json.dumps({**read, "nbformat_minor": 2}, ensure_ascii=False, indent=1)


def lines(source):
    return ("".join(source) if isinstance(source, list) else source).splitlines(keepends=True)


EDITORS = pytest.mark.parametrize("saved", [colab, vscode], ids=["Colab", "VS Code"])


@pytest.fixture(scope="module")
def toy(quick_course):
    return course.load(quick_course, "toy")


def finished(toy, *edits):
    text = course.source(toy)
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return build.filled(toy, text)


@EDITORS
@pytest.mark.parametrize("edits", [(), (WRONG,)], ids=["right", "wrong"])
def test_check_finds_the_same(toy, tmp_path, saved, edits):
    for path, content in build.build(toy).items():
        (tmp_path / path.rpartition("/")[2]).write_bytes(content)
    reports = []
    for text in (finished(toy, *edits), saved(finished(toy, *edits))):
        (tmp_path / "toy.ipynb").write_text(text, "utf-8")
        reports.append(selfcheck.check(tmp_path / "toy.ipynb"))
    assert reports[0] == reports[1] and reports[0].passed == (not edits)


def told(grade):
    """Each check without the numbers in which other code, if only a cell more, makes a difference."""
    return [replace(check, detail="") for check in grade.checks]


@EDITORS
def test_grade_finds_the_same_and_the_answers_are_found(pool, toy, tmp_path, saved):
    works = {"right": finished(toy), "wrong": finished(toy, WRONG)}
    before = classroom.grade(pool, tmp_path / "before", {name: text.encode() for name, text in works.items()})
    after = classroom.grade(pool, tmp_path / "after", {name: saved(text).encode() for name, text in works.items()})
    for name in works:
        assert told(after[name]) == told(before[name]) and after[name].score == before[name].score
    assert after["right"].score == 10 and after["wrong"].score == 8
    places = [
        [(panel.names, panel.cell) for panel in returned.panels(after["wrong"].checks, steps.names(toy), submission)]
        for folder in ("before", "after")
        for submission in [notebook.extract(Entry("wrong", "wrong", tmp_path / folder / "wrong.ipynb"))]
    ]
    assert places[0] == places[1] and all(cell > 0 for _, cell in places[0])


@EDITORS
def test_grader_check_says_the_same_where_its_metadata_are_gone(toy, tmp_path, saved):
    """Both keep the cells alone, which is all that the lines in the notebook need where Otter finds nothing."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    text = saved(master.handed_in(toy, course.source(toy).replace(*WRONG)))
    assert "otter" not in json.loads(text)["metadata"]
    read = nbformat.reads(text, 4)
    read.cells = [cell for cell in read.cells if "!pip" not in cell.source]
    (tmp_path / "toy.ipynb").write_text(text, "utf-8")
    nbclient.NotebookClient(read, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    first, second = (
        cell.outputs[0].text for cell in read.cells if cell.source.endswith(('check("q1")', 'check("q2")'))
    )
    assert "✗ Doubling 1, 2, 3 gives 2, 4, 6." in first and "✓ The result has the shape" in first
    assert second == "✓ Three features become two.\n"
