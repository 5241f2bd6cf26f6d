"""Which step of an assignment each hidden check is about: told from the names that its test speaks of."""

import ast
import re
from collections.abc import Iterator, Mapping

from autograder import course
from autograder.records import Assignment

_CELL = re.compile(r"^# %%.*\n", re.MULTILINE)
_REGION = re.compile(r"^[ \t]*# BEGIN SOLUTION.*?^[ \t]*# END SOLUTION[^\n]*", re.MULTILINE | re.DOTALL)


def names(assignment: Assignment) -> dict[str, tuple[str, ...]]:
    """By check: what the student writes in the step that it is about; nothing for a check that is about none.

    A step is a cell of the solution in which there is something to write. A check that speaks of several is about the
    last of them, for which the others are needed. What only the solution has is never named. Raises BrokenAssignment.
    """
    cells = _CELL.split(course.source(assignment))
    steps = [step for cell in cells if _REGION.search(cell) and (step := _defined(_REGION.sub("", cell)))]
    path = assignment.folder / "test_hidden.py"
    parts = {name: node for node in course.parse(path, path.read_text("utf-8")).body for name in _bound(node)}
    spoken = {check: _spoken(parts, check) for check in course.checks(assignment)}
    return {check: next((step for step in reversed(steps) if said & set(step)), ()) for check, said in spoken.items()}


def _defined(cell: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(course.defined_names(ast.parse(cell))))


def _bound(node: ast.stmt) -> list[str]:
    return course.defined_names(ast.Module([node], []))


def _spoken(parts: Mapping[str, ast.stmt], name: str) -> set[str]:
    """Every attribute, argument and text in a part of the tests and in the parts that it uses."""
    said: set[str] = set()
    used, waiting = {name}, [name]
    while waiting:
        for word, names_a_part in _words(parts[waiting.pop()]):
            said.add(word)
            if names_a_part and word in parts and word not in used:
                used.add(word)
                waiting.append(word)
    return said


def _words(part: ast.stmt) -> Iterator[tuple[str, bool]]:
    """Each word, and whether it may name another part: a variable, or an argument that is a fixture."""
    for node in ast.walk(part):
        if isinstance(node, ast.Name):
            yield node.id, True
        elif isinstance(node, ast.arg):
            yield node.arg, True
        elif isinstance(node, ast.Attribute):
            yield node.attr, False
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, False
