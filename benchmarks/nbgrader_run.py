"""`nbgrader autograde`, the other peer: the same cells, and a test cell for each hidden check, in this environment."""

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import direct
import nbformat
import otter_run

COURSE = "class"
STUDENT = "student"
CELL = "import hidden_checks\n\nhidden_checks.run({name!r}, globals())"


class NbgraderUnavailable(Exception):
    """It is not installed or does not run here."""


class Peer:
    """A course folder of nbgrader's with one assignment and one student."""

    def __init__(self, assignment: Path, lean: Path, folder: Path) -> None:
        """`lean`: the notebook without the cells that grading skips. Raises NbgraderUnavailable."""
        if importlib.util.find_spec("nbgrader") is None:
            raise NbgraderUnavailable("nbgrader is not installed: pip install 'attention-autograder[peers]'")
        self.name = assignment.name
        self.folder = folder / "nbgrader"
        for place in (f"source/{self.name}", f"submitted/{STUDENT}/{self.name}", "checks"):
            (self.folder / place).mkdir(parents=True)
        for name in ("solution.py", "test_hidden.py"):
            shutil.copy(assignment / name, self.folder / "checks")
        shutil.copy(Path(direct.__file__), self.folder / "checks")
        (self.folder / "checks" / "hidden_checks.py").write_text(otter_run.BRIDGE.format(name=assignment.name), "utf-8")
        book = nbformat.read(lean, 4)
        book.cells += [_test_cell(name, points) for name, points in _points(assignment).items()]
        nbformat.write(book, self.folder / "source" / self.name / f"{self.name}.ipynb")
        self._call("generate_assignment", self.name, "--create")
        released = self.folder / "release" / self.name / f"{self.name}.ipynb"
        shutil.copy(released, self.folder / "submitted" / STUDENT / self.name)

    def run(self) -> otter_run.Run:
        """Grade the student once more."""
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        self._call("autograde", self.name, "--student", STUDENT, "--force")
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return otter_run.Run(cpu, wall, after.ru_maxrss * 1024, self._score())

    def _score(self) -> float:
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}") as book:
            return float(book.find_submission(self.name, STUDENT).score)

    def _call(self, *words: str) -> None:
        places = {"PYTHONPATH": str(self.folder / "checks"), "JUPYTER_RUNTIME_DIR": str(self.folder)}
        command = [sys.executable, "-m", "nbgrader", *words, f"--CourseDirectory.course_id={COURSE}"]
        environment = {**os.environ, **places, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NbgraderUnavailable(f"`nbgrader {words[0]}` ended with {done.returncode}: {done.stderr[-1000:]}")


def _points(assignment: Path) -> dict[str, float]:
    return {name: direct.points(check) for name, check in direct.hidden(assignment).items()}


def _test_cell(name: str, points: float) -> nbformat.NotebookNode:
    facts = {"grade": True, "solution": False, "locked": True, "task": False, "schema_version": 3}
    nbgrader = {**facts, "grade_id": name, "points": points}
    return nbformat.v4.new_code_cell(CELL.format(name=name), metadata={"nbgrader": nbgrader})
