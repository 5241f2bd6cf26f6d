"""Cuts what students get out of one solution: notebook, stub module, public tests and README."""

import ast
import hashlib
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from autograder import course
from autograder.errors import BrokenAssignment, InstructorError
from autograder.records import Assignment

SKIP = "# autograder: skip"

_BEGIN = "# BEGIN SOLUTION NO PROMPT"
_END = "# END SOLUTION"
_MARKER = re.compile(r"\s*#\s*(BEGIN|END)\s+(SOLUTION|PROMPT)\b.*", re.IGNORECASE)
_REGION = re.compile(rf"(\n*)\n[ \t]*{_BEGIN}\n.*?{_END}(?=\n|$)(\n*)", re.DOTALL)
_MAIN = '__name__ == "__main__"'
_LEFT_BY_TOOLS = ("__pycache__", ".pytest_cache", ".ipynb_checkpoints", ".DS_Store")

RUN_TEST = """\
title = " ".join(test.__doc__.split())
try:
    test()
    print("✓", title)
except NotImplementedError as missing:
    print("…", title, f"(not yet written: {missing})")
except AssertionError as wrong:
    print("✗", f"{title}\\n    {wrong}")
except Exception as error:
    print("✗", f"{title}\\n    {error!r}: call {test.__name__}() to see where")"""

_GUARDED = """\
try:
{body}
except {expected} as missing:
    print("This cell waits for your code. Not yet there:", missing)"""

_OPENING = """\
# {title}

**{minutes} minutes · {difficulty} · {points:g} points**

{summary}

* **Write** your code where a cell says `raise NotImplementedError`. Keep the names and the parameters.
* **Check** yourself by running the cell below each step: ✓ is right, ✗ says what is wrong, … waits for your code.
  Outside Jupyter, `autograder check {name}.ipynb` runs the same tests.
* **Hand in** this notebook, saved, as `{name}.ipynb`. It is graded by more tests than you see here, and each test
  that it passes gives its points.
* A cell that begins with `{skip}` is there for you to look and to try things out. It is not run when your work is
  graded, so define nothing in it that your answer needs."""

_README = """\
# {title}

{minutes} minutes · {difficulty} · {points:g} points

{summary}

## Work
Take the notebook or the module, whichever you like better; the exercise is the same.

* `{name}.ipynb` explains each step and checks it in the cell below. Open it with Jupyter.
* `{name}.py` holds the same functions and classes, without the explanations.

Write your code where it says `raise NotImplementedError`. Keep the names and the parameters.

## Test
* the notebook: run its cells, or `autograder check {name}.ipynb`
* the module: `pytest` in this folder

Both run the same public tests. They need Python, PyTorch and, for the module, pytest.

## Grade
Hand in one file: your notebook or your module. It is graded by more tests than the public ones. Each has a title and
its points, each is passed or lost by itself, and where one is lost you read what is likely to be wrong. Code that
crashes or takes too long loses the tests that it stops, and no others. In the notebook, a cell that begins with
`{skip}` is not run when your work is graded, so define nothing in it that your answer needs.
"""

_MODULE = '''\
"""{title}: {minutes} minutes, {difficulty}, {points:g} points.

Write your code where it says `raise NotImplementedError`; `pytest` in this folder runs the public tests.
{name}.ipynb has the same exercise with explanations.
"""'''


@dataclass(frozen=True, slots=True)
class Item:
    """One cell of a student's notebook. kind: markdown or code.

    whole: the same with its solution and Otter's marks around it.
    tests: the cell without the lines that run them, if it is one of public tests; else empty.
    titles: of these tests, by name.
    """

    kind: str
    source: str
    whole: str = ""
    tests: str = ""
    titles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """One cell of solution.py with its solution cut out. kind: prose, code, main or tests. whole: with it."""

    kind: str
    text: str
    tree: ast.Module
    whole: str = ""


def build(assignment: Assignment) -> dict[str, bytes]:
    """Every file that students get, by its path below the course; the same bytes at every call."""
    path = assignment.folder / "solution.py"
    text = course.source(assignment)
    _refuse_open_regions(path, text)
    stub = course.parse(path, _blanked(text))
    _refuse_bad_tests(path, stub)
    _refuse_bad_cells(path, text, stub, assignment.names)
    for name in assignment.names:
        if name not in course.defined_names(stub):
            raise BrokenAssignment(f"{_label(path)}: {name!r} is cut with the solution; leave its signature outside.")

    parts = _parts(text)
    name = assignment.name
    files = {
        f"{name}.ipynb": _notebook(assignment, parts),
        f"{name}.py": _module(assignment, parts),
        "test_public.py": _public_tests(assignment, parts),
        "README.md": _filled(_README, assignment),
    }
    return {f"assignments/{name}/{file}": content.encode() for file, content in files.items()}


def filled(assignment: Assignment, text: str) -> str:
    """The notebook as somebody hands it in whose code is `text`: solution.py, or a change of it."""
    return _notebook(assignment, _parts(_without_marks(text)))


def items(assignment: Assignment, text: str, *, handed_in: bool = False) -> list[Item]:
    """The cells of the student's notebook, in order, cut from `text`; with `handed_in` as `filled` has them."""
    return _items(assignment, _parts(_without_marks(text) if handed_in else text))


def document(name: str, cells: Iterable[dict[str, Any]], about: Mapping[str, Any] = MappingProxyType({})) -> str:
    """A notebook as JSON, with ids that follow from `name` and each cell's source.

    cells: of each `cell_type`, `source` and `metadata`.  about: what its metadata say beside the kernel.
    """
    import nbformat

    seen: dict[tuple[str, str], int] = {}
    made = []
    for cell in cells:
        kind, source = cell["cell_type"], cell["source"]
        number = seen[kind, source] = seen.get((kind, source), 0) + 1
        key = "\0".join((name, kind, source, str(number)))
        id = hashlib.sha256(key.encode()).hexdigest()[:12]
        rest: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
        made.append({"cell_type": kind, "id": id, "metadata": cell["metadata"], "source": source, **rest})
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        **about,
    }
    notebook = nbformat.from_dict({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def _without_marks(text: str) -> str:
    text = re.sub(rf"^ *{re.escape(_BEGIN)}\n", "", text, flags=re.MULTILINE)
    ending = rf"^ *{re.escape(_END)}\n(?: *raise NotImplementedError\(.*\)\n)?"
    return re.sub(ending, "", text, flags=re.MULTILINE)


def regions(text: str) -> list[range]:
    """The lines, counted from 1, of each region of a solution.py that a student writes herself, without its marks."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines, 1) if line.strip() == _BEGIN]
    ends = [number for number, line in enumerate(lines, 1) if line.strip() == _END]
    return [range(start + 1, end) for start, end in zip(starts, ends, strict=True)]


def write(root: Path, files: dict[str, bytes], mode: int = 0o644) -> list[str]:
    """Put the files in their places below the course; returns those that changed."""
    changed = [name for name, content in files.items() if _bytes(root / name) != content]
    for name in changed:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=(root / name).parent)
        with os.fdopen(handle, "wb") as file:
            file.write(files[name])
        os.chmod(temporary, mode)
        os.replace(temporary, root / name)
    return changed


def check(root: Path, files: dict[str, bytes]) -> list[str]:
    """How the folders differ from what `build` makes: one sentence each, none if all is well."""
    found: list[str] = []
    for name, content in files.items():
        there = _bytes(root / name)
        if there is None:
            found.append(f"{name} is missing: run `autograder build`.")
        elif there != content:
            line = _first_difference(there, content)
            found.append(f"{name} is not what `autograder build` makes, from line {line} on: run it.")
    for folder in sorted({(root / name).parent for name in files}):
        for entry in sorted(folder.glob("*")):
            name = entry.relative_to(root).as_posix()
            if name not in files and entry.name not in _LEFT_BY_TOOLS:
                found.append(f"{name} is not made by `autograder build`: delete it.")
    return found


def _refuse_open_regions(path: Path, text: str) -> None:
    opened = 0
    for number, line in enumerate(text.splitlines(), 1):
        if opened and line.startswith("# %%"):
            raise _broken(path, opened, f"a region still open at the next cell (line {number})", repr(_END))
        if not _MARKER.fullmatch(line):
            continue
        if line.strip() not in (_BEGIN, _END):
            raise _broken(path, number, repr(line.strip()), f"{_BEGIN!r} or {_END!r}")
        if (line.strip() == _BEGIN) == bool(opened):
            raise _broken(path, number, repr(line.strip()), "regions that open and close in turn")
        opened = 0 if opened else number
    if opened:
        raise _broken(path, opened, "a region that never closes", repr(_END))


def _refuse_bad_tests(path: Path, stub: ast.Module) -> None:
    tests = _tests(stub)
    if not tests:
        raise _broken(path, 1, "no public test", "at least one function test_...")
    for number, test in enumerate(tests):
        if test.name in [earlier.name for earlier in tests[:number]]:
            raise _broken(path, test.lineno, f"{test.name} a second time", "each public test once")
        if not (ast.get_docstring(test) or "").strip():
            raise _broken(path, test.lineno, f"{test.name} without a docstring", "the sentence that students read")
        if ast.unparse(test.args) or test.decorator_list:
            raise _broken(path, test.lineno, f"{test.name} with parameters or decorators", "a plain function")
        for node in ast.walk(test):
            if isinstance(node, ast.Assert) and node.msg is None:
                raise _broken(path, node.lineno, "an assert without a message", "what the student did wrong")


def _refuse_bad_cells(path: Path, text: str, stub: ast.Module, names: tuple[str, ...]) -> None:
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines, 1) if line.startswith("# %%")]

    def cell(node: ast.stmt) -> int:
        return max((start for start in starts if start < node.lineno), default=0)

    with_tests = {cell(test) for test in _tests(stub)}
    for node in stub.body:
        for name in course.defined_names(ast.Module([node], [])):
            if name in names and cell(node) in with_tests:
                raise _broken(path, node.lineno, f"{name} beside public tests", "the tests in a cell of their own")
        if not _is_main(node):
            continue
        others = [other for other in stub.body if other is not node and cell(other) == cell(node)]
        if others or any(line.strip() for line in lines[cell(node) : node.lineno - 1]):
            raise _broken(path, node.lineno, f"more in the cell than `if {_MAIN}:`", "that block alone in its cell")
        if isinstance(node, ast.If) and node.orelse:
            raise _broken(path, node.orelse[0].lineno, "an else", f"`if {_MAIN}:` without one")


def _parts(text: str) -> list[_Part]:
    """The cells in order. A cell that is only a docstring, or nothing once it is cut, is for the instructor alone."""
    try:
        import jupytext
    except ImportError as error:
        raise InstructorError(
            "`autograder build` needs jupytext: pip install 'attention-autograder[author]'"
        ) from error
    form = {"extension": ".py", "format_name": "percent", "comment_magics": False}
    parts: list[_Part] = []
    for cell in jupytext.reads(text, fmt=form).cells:
        if cell.cell_type != "code":
            parts.append(_Part("prose", str(cell.source).strip(), ast.Module([], [])))
            continue
        source = _cut(str(cell.source))
        tree = ast.parse(source)
        if not source or (len(tree.body) == 1 and ast.get_docstring(tree) is not None):
            continue
        kind = "main" if any(map(_is_main, tree.body)) else "tests" if _tests(tree) else "code"
        parts.append(_Part(kind, source, tree, str(cell.source)))
    if parts and parts[0].kind == "prose":
        parts[0] = _Part("prose", re.sub(r"\A# .*\n*", "", parts[0].text), parts[0].tree)  # the title is ours
    return [part for part in parts if part.text]


def _blanked(text: str) -> str:
    """The stub with an empty line for each line that is cut, so that lines keep their numbers."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        inside = inside or line.strip() == _BEGIN
        lines.append("" if inside else line)
        inside = inside and line.strip() != _END
    return "\n".join(lines) + "\n"


def _cut(source: str) -> str:
    """A cell without its regions, and without the blank lines that only they needed."""
    source = "\n" + "\n".join(line.rstrip() for line in source.splitlines())
    while match := _REGION.search(source):
        blank = max(len(match[1]), len(match[2]) - 1)
        source = source[: match.start()] + "\n" * (blank + 1) + source[match.end() :]
    return source.strip("\n")


def _notebook(assignment: Assignment, parts: list[_Part]) -> str:
    cells = _items(assignment, parts)
    plain = ({"cell_type": item.kind, "source": item.source, "metadata": {}} for item in cells)
    return document(assignment.name, plain)


def _items(assignment: Assignment, parts: list[_Part]) -> list[Item]:
    found = [Item("markdown", _filled(_OPENING, assignment))]
    waiting = _unfinished(parts)
    late: set[str] = set()
    for part in parts:
        if part.kind == "prose":
            found.append(Item("markdown", part.text))
        elif part.kind == "code":
            found.append(Item("code", part.text, part.whole))
        elif part.kind == "tests":
            tests = f"{SKIP}\n{part.text}"
            titles = tuple((test.name, " ".join((ast.get_docstring(test) or "").split())) for test in _tests(part.tree))
            found.append(Item("code", f"{tests}\n\n\n{_runner(part.tree)}", tests=tests, titles=titles))
        else:
            needed = _loaded(part.tree) - _stored(part.tree)
            if needed & (waiting | late):
                found.append(Item("code", f"{SKIP}\n{_guarded(part.text, bool(needed & late))}"))
                late |= _stored(part.tree)
            else:
                found.append(Item("code", f"{SKIP}\n{_dedented(part.text)}"))
    return found


def _runner(tree: ast.Module) -> str:
    names = [test.name for test in _tests(tree)]
    line = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
    if len(line) > 90:
        wrapped = textwrap.wrap(f"{', '.join(names)},", 100, initial_indent="    ", subsequent_indent="    ")
        line = "\n".join(["(", *wrapped, ")"])
    return f"for test in {line}:\n{textwrap.indent(RUN_TEST, ' ' * 4)}"


def _guarded(block: str, late: bool) -> str:
    """A block that calls what the student has yet to write, so that an unfinished notebook runs to its end."""
    body = block.partition("\n")[2].strip("\n")
    return _GUARDED.format(body=body, expected="(NotImplementedError, NameError)" if late else "NotImplementedError")


def _dedented(block: str) -> str:
    return re.sub(r"^ {4}", "", block.partition("\n")[2], flags=re.MULTILINE).strip("\n")


def _unfinished(parts: list[_Part]) -> set[str]:
    """The names that the student writes, and what is made of them."""
    definitions = {
        name: node
        for part in parts
        if part.kind == "code"
        for node in part.tree.body
        for name in course.defined_names(ast.Module([node], []))
    }
    found = {name for name, node in definitions.items() if "raise NotImplementedError" in ast.unparse(node)}
    while more := {name for name, node in definitions.items() if _loaded(node) & found} - found:
        found |= more
    return found


def _module(assignment: Assignment, parts: list[_Part]) -> str:
    code = [part.text for part in parts if part.kind == "code"]
    return _filled(_MODULE, assignment) + "\n\n" + "\n\n\n".join(code) + "\n"


def _public_tests(assignment: Assignment, parts: list[_Part]) -> str:
    tests = [part for part in parts if part.kind == "tests"]
    code = [part for part in parts if part.kind == "code"]
    bodies = [_without_imports(part) for part in tests]
    used = set().union(*(_loaded(part.tree) for part in tests))
    own = {name for part in tests for name in course.defined_names(part.tree)}
    wanted = [name for part in code for name in course.defined_names(part.tree) if name in used - own]
    imports = _imports([*code, *tests], used - own)
    imports.append([_from(assignment.name, sorted(set(wanted), key=lambda name: (name.islower(), name)))])
    opening = f'"""The public tests of {assignment.title!r}: run `pytest` in this folder."""'
    head = "\n\n".join("\n".join(group) for group in imports if group)
    return f"{opening}\n\n{head}\n\n\n" + "\n\n\n".join(body for body in bodies if body) + "\n"


def _imports(parts: list[_Part], used: set[str]) -> list[list[str]]:
    """The import lines that bind a used name: first Python's own, then the others."""
    groups: tuple[set[str], set[str]] = (set(), set())
    for node in (node for part in parts for node in part.tree.body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name.partition(".")[0]) in used:
                    groups[not _is_python(alias.name)].add(ast.unparse(ast.Import([alias])))
        elif isinstance(node, ast.ImportFrom):
            names = [alias for alias in node.names if (alias.asname or alias.name) in used]
            if names:
                line = ast.unparse(ast.ImportFrom(node.module, names, node.level))
                groups[not _is_python(node.module or "")].add(line)
    return [sorted(group, key=lambda line: (line.startswith("from"), line)) for group in groups]


def _without_imports(part: _Part) -> str:
    lines = part.text.splitlines()
    for node in part.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    return "\n".join(lines).strip("\n")


def _from(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    return line if len(line) <= 110 else f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _filled(template: str, assignment: Assignment) -> str:
    return template.format(
        name=assignment.name,
        title=assignment.title,
        summary=assignment.summary,
        minutes=assignment.minutes,
        difficulty=assignment.difficulty,
        points=assignment.points,
        skip=SKIP,
    )


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).replace("'", '"') == _MAIN


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def _is_python(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _tests(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def _loaded(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _stored(tree: ast.AST) -> set[str]:
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return names | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _label(path: Path) -> str:
    return "/".join(path.parts[-3:])


def _broken(path: Path, line: int, found: str, expected: str) -> BrokenAssignment:
    return BrokenAssignment(f"{_label(path)}, line {line}: found {found}, expected {expected}.")


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _first_difference(there: bytes, content: bytes) -> int:
    pairs = zip(there.splitlines(), content.splitlines(), strict=False)
    same = next((number for number, (left, right) in enumerate(pairs) if left != right), None)
    return 1 + (min(len(there.splitlines()), len(content.splitlines())) if same is None else same)
