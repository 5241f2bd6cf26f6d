"""An assignment as a notebook for Otter-Grader: the master that `otter assign` reads, and what students get of it.

Otter cuts the solutions out and keeps the public tests in the notebook's metadata. What it leaves to chance or gets
wrong is mended here: ids follow from the content, every cell must be what `autograder build` makes of it, and cells
that are not run while grading say so to Otter too.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder import build, course
from autograder.build import RUN_TEST, SKIP, Item
from autograder.errors import BrokenAssignment, InstructorError
from autograder.records import Assignment

IGNORED = "otter_ignore"
SECONDS = 300

_CONFIG = """\
# ASSIGNMENT CONFIG
init_cell: false
check_all_cell: false
export_cell: false
solutions_pdf: false
template_pdf: false
run_tests: false
show_question_points: false
strip_solutions_from_all_cells: true
requirements: {requirements}
tests:
  ok_format: false
generate:
  pdf: false
  show_stdout: false
  show_hidden: false"""

_QUESTION = """\
# BEGIN QUESTION
name: {question}
points: 0"""

_TEST = """\
def {name}(env):
    names = dict(env)
    exec({source!r}, names)
    names[{name!r}]()"""

_OPENING_CELL = '''\
{skip}
def _find_grader():
    """Otter-Grader where it is installed and finds this notebook, else the same public tests without it."""
    try:
        import json

        import otter

        with open("{name}.ipynb", encoding="utf-8") as file:
            json.load(file)["metadata"]["otter"]["tests"]
        return otter.Notebook("{name}.ipynb")
    except Exception:
        return _PublicTests()


class _PublicTests:
    """Runs the tests in the cell above each `grader.check`."""

    tests = {{
{tests}
    }}

    def check(self, question):
        for name in self.tests[question]:
            test = globals().get(name)
            if test is None:
                print("…", f"{{name}} is not there: run the cell above first")
                continue
{run_test}


grader = _find_grader()'''


@dataclass(frozen=True, slots=True)
class Assigned:
    """What `otter assign` made. notebook: for students, as text.  archive: Otter's own, to be completed."""

    notebook: str
    archive: Path


def assign(assignment: Assignment, requirements: list[str], folder: Path) -> Assigned:
    """Have `otter assign` work in `folder`, an empty one, and mend what it made.

    Raises InstructorError where Otter-Grader is missing or fails, BrokenAssignment where it leaves a cell otherwise
    than `build` does.
    """
    if importlib.util.find_spec("otter") is None:
        raise InstructorError("`autograder build --dist` needs Otter-Grader: pip install 'attention-autograder[otter]'")
    wanted = _cells(assignment, build.items(assignment, course.source(assignment)))
    master = folder / f"{assignment.name}.ipynb"
    master.write_text(_master(assignment, wanted, requirements), "utf-8")
    _run_otter(master, folder)
    made = json.loads((folder / "made" / "student" / master.name).read_text("utf-8"))
    (archive,) = (folder / "made" / "autograder").glob("*.zip")
    return Assigned(_mended(assignment, wanted, made), archive)


def handed_in(assignment: Assignment, text: str) -> str:
    """The student's notebook as somebody hands it in whose code is `text`: solution.py, or a change of it."""
    cells = _cells(assignment, build.items(assignment, text, handed_in=True))
    return build.document(assignment.name, (_cell(item) for item in cells))


def with_titles(test_file: str, titles: dict[str, str]) -> str:
    """An exception-format test file of Otter's in which each test of `titles` has its title for a name."""
    for name, title in titles.items():
        found = re.compile(rf"@test_case\((?=points=[^\n]*\ndef {re.escape(name)}\()")
        test_file = found.sub(lambda _, title=title: f"@test_case(name={title!r}, ", test_file)  # type: ignore[misc]
    return test_file


def questions(assignment: Assignment) -> dict[str, dict[str, str]]:
    """The public tests of each question: their titles by name."""
    with_tests = [item for item in build.items(assignment, course.source(assignment)) if item.tests]
    return {_question(number): dict(item.titles) for number, item in enumerate(with_tests, 1)}


def _question(number: int) -> str:
    return f"q{number}"


def _cells(assignment: Assignment, items: list[Item]) -> list[Item]:
    """What the student finds: the cell that makes `grader` before the first code, and a check below each step's tests.

    A check is an item that has titles: `whole` is then the source of its tests.
    """
    cells: list[Item] = []
    checks: dict[str, Item] = {}
    for item in items:
        cells.append(Item(item.kind, item.tests or item.source, item.whole))
        if item.tests:
            question = _question(len(checks) + 1)
            checks[question] = Item("code", f'{SKIP}\ngrader.check("{question}")', item.tests, titles=item.titles)
            cells.append(checks[question])
    named = {question: json.dumps([name for name, _ in check.titles]) for question, check in checks.items()}
    lines = [f'        "{question}": {names},' for question, names in named.items()]
    run_test = textwrap.indent(RUN_TEST, " " * 12)
    opening = _OPENING_CELL.format(skip=SKIP, name=assignment.name, tests="\n".join(lines), run_test=run_test)
    first = next(number for number, item in enumerate(cells) if item.kind == "code")
    return [*cells[:first], Item("code", opening), *cells[first:]]


def _cell(item: Item) -> dict[str, Any]:
    metadata = {"tags": [IGNORED]} if item.source.startswith(SKIP) else {}
    return {"cell_type": item.kind, "source": item.source, "metadata": metadata}


def _master(assignment: Assignment, cells: list[Item], requirements: list[str]) -> str:
    """The notebook that `otter assign` reads. A question is only its tests: Otter puts the check in their place."""

    def raw(source: str) -> dict[str, Any]:
        return {"cell_type": "raw", "source": source, "metadata": {}}

    written = [raw(_CONFIG.format(requirements=json.dumps(requirements)))]
    number = 0
    for item in cells:
        if not item.titles:
            written.append({**_cell(item), "source": item.whole or item.source})
            continue
        number += 1
        written += [raw(_QUESTION.format(question=_question(number))), raw("# BEGIN TESTS")]
        for name, _ in item.titles:
            source = _TEST.format(name=name, source=item.whole)
            written.append({"cell_type": "code", "source": source, "metadata": {}})
        written += [raw("# END TESTS"), raw("# END QUESTION")]
    return build.document(assignment.name, written)


def _run_otter(master: Path, folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "otter",
        "assign",
        "--no-run-tests",
        "--no-pdfs",
        str(master),
        str(folder / "made"),
    ]
    environment = {**os.environ, "TMPDIR": str(folder), "JUPYTER_PLATFORM_DIRS": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InstructorError(f"`otter assign` did not end within {SECONDS} seconds on {master.stem}.") from error
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise InstructorError(f"`otter assign` failed on {master.stem} (exit status {done.returncode}):\n{last}")


def _mended(assignment: Assignment, wanted: list[Item], made: dict[str, Any]) -> str:
    found = made["cells"]
    if len(found) != len(wanted):
        raise BrokenAssignment(
            f"{assignment.name}: `otter assign` made {len(found)} cells, expected {len(wanted)}: look for a line in "
            "solution.py that means something to Otter, such as one that ends in `# IGNORE`."
        )
    cells = []
    for number, (item, cell) in enumerate(zip(wanted, found, strict=True), 1):
        source = "".join(cell["source"])
        if _lines(source) != _lines(item.source.removeprefix(f"{SKIP}\n") if item.titles else item.source):
            raise BrokenAssignment(
                f"{assignment.name}: `otter assign` left this in cell {number}, where `autograder build` leaves "
                f"{item.source!r}: {source!r}. Look for a line that means something to Otter, such as `# SOLUTION`."
            )
        cells.append(_cell(item))
    known = questions(assignment)
    tests = {name: with_titles(text, known[name]) for name, text in made["metadata"]["otter"]["tests"].items()}
    return build.document(assignment.name, cells, {"otter": {"OK_FORMAT": False, "tests": tests}})


def _lines(source: str) -> list[str]:
    return [line for line in source.splitlines() if line.strip()]
