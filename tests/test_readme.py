"""Every command that the README and the docs show is run, where a new user would run it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import batch, build, course
from autograder.quiz import grading, sheet
from autograder.records import Request, Watcher

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
SETTING_UP = ("make ", "python3 -m venv", ".venv/bin/pip", "python benchmarks/", "otter ")


def commands(page: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line.partition("    #")[0].strip() for line in lines]


SHOWN = {command: page for page in reversed(PAGES) for command in commands(page)}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A course as a clone has it, with the finished work of one student."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("solutions", "assignments", "quizzes"):
        shutil.copytree(ROOT / name, folder / name)
    sheet.make(sheet.Order(folder, "a1_before", folder / "answers", ("ada", "alan")))
    answers = Request(folder, "a1_before", (folder / "answers",), folder / "quiz-report")
    grading.grade(answers, Watcher(lambda _: None, lambda _: None))
    assignment = course.load(ROOT, course.names(ROOT)[0])
    notebook = build.filled(assignment, course.source(assignment))
    for place in (folder, folder / "submissions" / "ada", folder / "work"):
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{assignment.name}.ipynb").write_text(notebook)
    (folder / "work" / f"{assignment.name}.py").write_text(course.source(assignment))
    graded = folder / "solutions" / assignment.name / "test_hidden.py"
    for mended in ("", "\n# mended\n"):  # two versions, to be compared
        graded.write_text(graded.read_text() + mended)
        request = batch.Request(folder, assignment.name, (folder / "submissions",), folder / "report", isolation="best")
        batch.grade(request, batch.Watcher(lambda _: None, lambda _: None))
    public = ROOT / "assignments" / assignment.name / "test_public.py"
    (folder / "work" / "test_public.py").write_bytes(public.read_bytes())
    (folder / "canvas.csv").write_text(
        f"Student,ID,SIS User ID,SIS Login ID,Section,{assignment.title} (5)\n"
        f'    Points Possible,,,,,{assignment.points}\n"Lovelace, Ada",1,0042,ada,B,\n'
    )
    (folder / "worksheet.csv").write_text(
        "Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (grade)\n"
        f"Participant 7,Ada,ada@x.org,Submitted,,{assignment.points},-\n"
    )
    return folder


RUN = sorted(command for command in SHOWN if not command.startswith(SETTING_UP))


@pytest.mark.parametrize("command", [pytest.param(c, marks=pytest.mark.slow) if " verify " in c else c for c in RUN])
def test_every_command_runs(desk, command):
    if "--dist" in command:
        pytest.importorskip("otter")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        shlex.split(command),
        cwd=desk / "work" if SHOWN[command] == "docs/students.md" else desk,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        input="\n" * 9 + "n\n",  # nine questions left for later, and not handed in
        timeout=600,
    )
    assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"


@pytest.mark.parametrize("command", sorted(command for command in SHOWN if command.startswith("make ")))
def test_every_make_target_exists(command):
    run = subprocess.run(["make", "--dry-run", command.split()[1]], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
