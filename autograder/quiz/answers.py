"""Reads answers from code cells without running a line of them: what each name was last set to, if it is plain."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from autograder.quiz import token
from autograder.records import Cell

CELL_CAP = 20_000
DEPTH_CAP = 40
TEXT_CAP = 2000

_LINE = re.compile(r"[ \t]*([A-Za-z_]\w{0,80})[ \t]*=(?!=)[ \t]*(.*)")
_COMMENT = re.compile(r"\s+#.*$")
_RUN = re.compile(r"[-+~]{40}|(?:not\s+){40}|(?:\*\*|[-+*/%&|^@<>=,.:]\s*\w{0,3}\s*){4000}")


@dataclass(frozen=True, slots=True)
class Given:
    """What a notebook says: by name the value given last, and every sheet's line that it has."""

    values: Mapping[str, object]
    tokens: tuple[str, ...]


def read(cells: Iterable[Cell]) -> Given:
    """The values in the cells. Whatever is no plain value stays the text that stands in its place."""
    values: dict[str, object] = {}
    tokens: list[str] = []
    for cell in cells:
        for name, value in _assignments(cell.source):
            if name == token.VARIABLE:
                tokens.append(value if isinstance(value, str) else "")
            else:
                values[name] = value
    return Given(values, tuple(dict.fromkeys(tokens)))


def _assignments(source: str) -> Iterator[tuple[str, object]]:
    if len(source) > CELL_CAP or _depth(source) > DEPTH_CAP or _RUN.search(source):
        yield from _by_line(source[:CELL_CAP])
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield from _by_line(source)
        return
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            continue
        if node.value is not None:
            value = _value(source, node.value)
            yield from ((name, value) for name in names)


def _value(source: str, node: ast.expr) -> object:
    """A text, list, set or dict of plain values as it is; of anything else, numbers among them, the source."""
    if isinstance(node, ast.Constant) and (isinstance(node.value, str) or node.value is None):
        return node.value or ""
    if isinstance(node, ast.List | ast.Set | ast.Dict | ast.Tuple) and _has_texts(node):
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, RecursionError, MemoryError):
            pass
    text = ast.get_source_segment(source, node) or ""
    return text[:TEXT_CAP]


def _has_texts(node: ast.List | ast.Set | ast.Dict | ast.Tuple) -> bool:
    parts = [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts
    return all(isinstance(part, ast.Constant) for part in parts) and any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts
    )


def _by_line(source: str) -> Iterator[tuple[str, object]]:
    """Of a cell that is no Python, or too much of it: each line by itself."""
    for line in source.split("\n"):
        if found := _LINE.match(line[:TEXT_CAP]):
            text = found[2].strip()
            quoted = text[:1] in ("'", '"')
            yield found[1], text[1:].partition(text[0])[0] if quoted else _COMMENT.sub("", f" {text}").strip()


def _depth(source: str) -> int:
    depth = deepest = 0
    for letter in source:
        if letter in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in ")]}":
            depth -= 1
    return deepest
