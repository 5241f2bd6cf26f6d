"""Makes a small class of one assignment: correct work in several hands, known mistakes, and bad luck of every kind."""

from collections.abc import Iterator
from pathlib import Path

import nbformat

from autograder import build, course
from autograder.records import Assignment

NAMES = (
    "ada alan anita barbara chen claude donald edsger emmy fatima frances grace hedy ines john katherine kurt lena "
    "linus lise maryam mei noor omar radia rosa sofia tim ursula vera wei yuki zoe"
).split()
MISTAKES = 8

CRASH = "import ctypes\n\ndef {name}(*args, **kwargs):\n    return ctypes.string_at(0)\n"
LOOP = "def {name}(*args, **kwargs):\n    while True:\n        pass\n"
HOG = (
    "import torch\n\ndef {name}(*args, **kwargs):\n    kept = []\n    while True:\n"
    "        kept.append(torch.empty(64, 1024, 1024))\n"
)
EXIT = "import sys\nsys.exit('done')\n"
SYNTAX = "def scratch(:\n    return\n"


def make_class(assignment: Assignment, folder: Path) -> int:
    """Write a class of submissions below `folder`, one sub-folder per student. Returns how many handed something in."""
    count = 0
    for student, (name, content) in zip(NAMES, _works(assignment), strict=False):
        path = folder / student / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        count += 1
    return count


def _works(assignment: Assignment) -> Iterator[tuple[str, bytes]]:
    """A file name and its content per student; the same file name for most, as in a real class."""
    name = f"{assignment.name}.ipynb"
    source = course.source(assignment)
    first, last = assignment.names[0], assignment.names[-1]
    yield name, notebook_of(assignment, source)
    for path in course.variants(assignment).values():
        yield name, notebook_of(assignment, path.read_text(encoding="utf-8"))
    step = max(1, len(assignment.mistakes) // MISTAKES)
    for mistake in assignment.mistakes[::step][:MISTAKES]:
        yield name, notebook_of(assignment, course.mutant(assignment, mistake))
    yield name, build.build(assignment)[f"assignments/{assignment.name}/{name}"]
    for trouble in (CRASH, LOOP, HOG):
        yield name, notebook_of(assignment, source, after=trouble.format(name=first))
    yield name, notebook_of(assignment, source, before=SYNTAX)
    yield name, notebook_of(assignment, source, after=EXIT)
    yield name, notebook_of(assignment, source, after=f"del {last}\n")
    yield name, notebook_of(assignment, source)[:-700]
    yield "screenshot.ipynb", b"\x89PNG\r\n\x1a\n" + bytes(64)


def notebook_of(assignment: Assignment, source: str, *, before: str = "", after: str = "") -> bytes:
    """A notebook with this code in it, and perhaps a code cell before and after everything else."""
    notebook = nbformat.reads(build.filled(assignment, source), as_version=4)
    cells = [nbformat.v4.new_code_cell(text) for text in (before, after)]
    if before:
        notebook.cells.insert(0, cells[0])
    if after:
        notebook.cells.append(cells[1])
    return str(nbformat.writes(notebook)).encode()
