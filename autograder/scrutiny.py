"""Reads a submission's source for calls that the assignment does not allow. Nothing is run, and no point is lost here.

The refusals in a worker are in the student's own process, so they are not proof. What is found here is: the grader
judges once more with these calls cut out (`without`), and a check that then no longer passes was passed by them. A name
in a comment, a text, an annotation, an `isinstance` or an import that nobody uses is no call. A name that the
submission also binds to something else is told to the instructor, but not cut out, for it may be the student's own.
"""

import ast
import functools
import itertools
import json
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from autograder.errors import UnreadableSubmission
from autograder.quarantine import apart
from autograder.records import Cell

READ = 1 << 19
TAME = 1 << 16
TAME_DEPTH = 25
SECONDS = 10
MOST = 100
ROUNDS = 8
LONGEST = 30
DEEPEST = 5
HOMES = ("torch", "torch.Tensor", "torch._VF", "torch._C._nn", "torch._C._VariableFunctions", "torch.nn.functional")
CHANGES = {"setattr", "patch", "object", "setitem", "delattr"}
ASKS = {"isinstance", "issubclass", "hasattr", "help", "print", "type", "id", "dir", "repr", "signature", "getsource"}
FACTS = ("__doc__", "__name__", "__module__", "__qualname__", "__annotations__")
CUT = (
    "type('refused',(),{{'__new__':lambda *a,**k:(_ for _ in ()).throw("
    "RuntimeError('autograder: not allowed in this assignment: {}'))}})"
)
MAGIC = re.compile(r"[ \t]*(?:%%?(?:time|timeit|prun|capture)\b[ \t]*|[%!?])")
SHELL = re.compile(r"[^'\"#=]*=[ \t]*[%!]|[ \t]*[\w.]+\?{1,2}[ \t]*$")

Bound = str | None


@dataclass(frozen=True, slots=True)
class Mention:
    """A use of something that is not allowed.

    span: where it can be cut out, as (line, column, line, column) in UTF-8 bytes; of a statement that binds `bound`,
    its last place.  sure: the name can mean nothing else.
    """

    name: str
    cell: int
    line: int
    span: tuple[int, int, int, int]
    bound: str = ""
    sure: bool = True


def search(cells: Sequence[Cell], forbidden: Sequence[str]) -> tuple[Mention, ...]:
    """Every use of a forbidden dotted name or operator in the cells that are run, in order; at most `MOST`."""
    sources = [(cell.number, cell.source) for cell in cells if not cell.skip]
    hint = _hint(tuple(forbidden))
    if not forbidden or not any(hint.search(source) for _, source in sources):
        return ()
    if sum(len(source) for _, source in sources) > READ:
        return tuple(_told(sources, hint))
    paths = _paths(tuple(forbidden))
    if all(_is_tame(source) for _, source in sources):
        return tuple(_find(sources, paths))
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps([sources, paths]).encode())
        file.seek(0)
        try:
            found = apart("scrutiny:find_apart", file, seconds=SECONDS)
        except UnreadableSubmission:
            return tuple(_told(sources, hint))
    return tuple(Mention(**{**each, "span": tuple(each["span"])}) for each in found)


def without(cells: Sequence[Cell], mentions: Iterable[Mention]) -> tuple[Cell, ...]:
    """The cells with something that raises in the place of each sure mention. Lines keep their numbers."""
    cuts: dict[int, list[Mention]] = {}
    for mention in mentions:
        if mention.sure:
            cuts.setdefault(mention.cell, []).append(mention)
    return tuple(
        replace(cell, source=_cut(cell.source, cuts[cell.number])) if cell.number in cuts else cell for cell in cells
    )


def find_apart(file: BinaryIO) -> list[dict[str, object]]:
    """`search` for source that might be too much for a parser, in a process of its own."""
    sources, paths = json.loads(file.read())
    return [
        {"name": m.name, "cell": m.cell, "line": m.line, "span": m.span, "bound": m.bound, "sure": m.sure}
        for m in _find([(number, source) for number, source in sources], paths)
    ]


@functools.cache
def _hint(forbidden: tuple[str, ...]) -> re.Pattern[str]:
    """What any use has in it. A bare name that is called, like the student's own function of that name, is none."""
    names = "|".join(sorted({re.escape(_last(name)) for name in forbidden}))
    return re.compile(rf"[.'\"]\s*(?:{names})\b|(?<!def )\b(?:{names})\b(?!\s*\()|import\s*\(?\s*\*")


def _last(name: str) -> str:
    space, _, operator = name.partition("::")
    return operator.partition(".")[0] or space.rpartition(".")[2]


def _told(sources: Sequence[tuple[int, str]], hint: re.Pattern[str]) -> list[Mention]:
    """Of more source than any student writes: where a name stands, whatever it does there."""
    places = ((number, source, found) for number, source in sources for found in hint.finditer(source))
    return [
        Mention(found[0].strip(" .'\""), number, source.count("\n", 0, found.start()) + 1, (0, 0, 0, 0), sure=False)
        for number, source, found in itertools.islice(places, MOST)
    ]


def _is_tame(source: str) -> bool:
    if len(source) > TAME:
        return False
    depth = most = 0
    for bracket in re.findall(r"[][(){}]", source):
        depth += 1 if bracket in "([{" else -1
        most = max(most, depth)
    return most <= TAME_DEPTH


@functools.cache
def _paths(forbidden: tuple[str, ...]) -> dict[str, str]:
    """Each dotted path under which something forbidden is found in the modules that are loaded, and its name."""
    paths: dict[str, str] = {}
    for name in forbidden:
        space, _, operator = name.partition("::")
        if not operator:
            paths[name] = name
            continue
        short = operator.partition(".")[0]
        for path in (f"torch.ops.{space}.{operator}", *(f"{home}.{short}" for home in HOMES)):
            paths.setdefault(path, name)
    targets = {id(target): name for name in forbidden if (target := _loaded(name)) is not None}
    for module_name, module in list(sys.modules.items()) if targets else []:
        if module_name.partition(".")[0] == "torch":
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if id(value) in targets:
                    paths.setdefault(f"{module_name}.{attribute}", targets[id(value)])
    return paths


def _loaded(name: str) -> object | None:
    path, _, attribute = name.rpartition(".")
    return getattr(sys.modules.get(path), "__dict__", {}).get(attribute)


def _find(sources: Sequence[tuple[int, str]], paths: Mapping[str, str]) -> list[Mention]:
    trees = [(number, tree) for number, source in sources if (tree := _parsed(_lines(source))) is not None]
    reading = _Reading(paths)
    for _, tree in trees:
        reading.collect(tree)
    reading.settle()
    found = [mention for number, tree in trees for mention in reading.mentions(number, tree)]
    unique = {(m.cell, m.span, m.bound): m for m in found}
    return sorted(unique.values(), key=lambda m: (m.cell, m.span))[:MOST]


def _lines(source: str) -> str:
    """The text with its lines ended as Python counts them."""
    return source.replace("\r\n", "\n").replace("\r", "\n")


def _parsed(source: str) -> ast.Module | None:
    """The tree of a cell; magics and commands are read as if they did nothing."""
    for text in (source, "\n".join(_plain(line) for line in source.split("\n"))):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _plain(line: str) -> str:
    if SHELL.match(line):
        return line[: len(line) - len(line.lstrip())] + "pass"
    magic = MAGIC.match(line)
    if not magic:
        return line
    if magic[0].strip() in ("%", "!", "?") or not line[magic.end() :].strip():
        return line[: len(line) - len(line.lstrip())] + "pass"
    return "0" + " " * (magic.end() - 2) + ";" + line[magic.end() :]


@dataclass(slots=True)
class _Scope:
    """Names and what they were bound to: a dotted path, or None for anything else."""

    above: "_Scope | None" = None
    names: dict[str, set[Bound]] = field(default_factory=dict)
    waiting: list[tuple[str, ast.expr, "_Scope"]] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)

    def bind(self, name: str, path: Bound) -> None:
        scope = self
        while name in scope.elsewhere and scope.above is not None:
            scope = scope.above
        scope.names.setdefault(name, set()).add(path)

    def find(self, name: str) -> set[Bound]:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.above
        return set()


class _Reading:
    """All cells of one submission, whose top level is one scope."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self.paths = paths
        self.top = _Scope()
        self.scopes: dict[int, _Scope] = {}
        self.targets: list[ast.expr] = []
        self.changed: set[str] = set()
        self.loaded: set[str] = set()

    def collect(self, tree: ast.Module) -> None:
        """What each name is bound to, scope by scope."""
        waiting: list[tuple[ast.AST, _Scope]] = [(tree, self.top)]
        while waiting:
            node, scope = waiting.pop()
            inner = scope
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                scope.bind(node.name, None)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                inner = _Scope(scope)
                for each in ast.walk(node.args) if not isinstance(node, ast.ClassDef) else ():
                    if isinstance(each, ast.arg):
                        inner.bind(each.arg, None)
            self.scopes[id(node)] = scope
            self._bindings(node, scope)
            waiting.extend((child, inner) for child in ast.iter_child_nodes(node))

    def _bindings(self, node: ast.AST, scope: _Scope) -> None:
        if isinstance(node, ast.Global | ast.Nonlocal):
            scope.elsewhere.update(node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                scope.bind(
                    alias.asname or alias.name.partition(".")[0],
                    alias.name if alias.asname else alias.name.partition(".")[0],
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                scope.bind(alias.asname or alias.name, f"{node.module}.{alias.name}" if node.level == 0 else None)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    scope.waiting.append((target.id, node.value, scope))
                    self.scopes[id(target)] = scope
                    target.ctx = ast.Del()
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                scope.bind(node.id, None)
            elif isinstance(node.ctx, ast.Load):
                self.loaded.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            self.targets.append(node)
        elif isinstance(node, ast.Call) and _called(node) in CHANGES:
            self.changed |= {text.rpartition(".")[2] for each in node.args if (text := _text(each))}
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            scope.bind(node.name, None)

    def settle(self) -> None:
        """Assignments, whose right sides may need other names: a few rounds, then what is left is anything."""
        known = {id(scope): scope for scope in [self.top, *self.scopes.values()]}
        waiting = [each for scope in known.values() for each in scope.waiting]
        for _ in range(ROUNDS):
            rest = []
            for name, value, scope in waiting:
                path = self.path(value)
                if path is None:
                    rest.append((name, value, scope))
                else:
                    scope.bind(name, path)
            if len(rest) == len(waiting):
                break
            waiting = rest
        for name, _, scope in waiting:
            scope.bind(name, None)
        self.changed |= {_last(name) for node in self.targets if (name := self._name(node))}

    def path(self, node: ast.AST, depth: int = 0) -> Bound:
        """The dotted path that an expression surely or possibly stands for."""
        tail: list[str] = []
        while (step := _step(node))[1] is not None:
            node = step[0]
            tail.append(step[1])
            if len(tail) > LONGEST or depth > DEEPEST:
                return None
        root: Bound = None
        if isinstance(node, ast.Name) and id(node) in self.scopes:
            root = next((path for path in self.scopes[id(node)].find(node.id) if path is not None), None)
        elif isinstance(node, ast.Call | ast.Subscript):
            root = self._module(node, depth + 1)
        return None if root is None else ".".join([root, *reversed(tail)])

    def is_sure(self, node: ast.AST) -> bool:
        while (step := _step(node))[1] is not None:
            node = step[0]
        if not isinstance(node, ast.Name):
            return True
        return id(node) in self.scopes and len(self.scopes[id(node)].find(node.id)) == 1

    def _module(self, node: ast.Call | ast.Subscript, depth: int) -> Bound:
        if isinstance(node, ast.Subscript):
            return _text(node.slice) if self.path(node.value, depth) == "sys.modules" else None
        name = _text(node.args[0]) if node.args else None
        called = node.func.id if isinstance(node.func, ast.Name) else None
        if name and called == "__import__":
            return (
                name
                if any(word.arg == "fromlist" for word in node.keywords) or len(node.args) > 3
                else name.partition(".")[0]
            )
        if name and (called == "import_module" or self.path(node.func, depth) == "importlib.import_module"):
            return name
        return None

    def mentions(self, cell: int, tree: ast.Module) -> Iterator[Mention]:
        """Uses in one cell, outermost first: what is inside of one is not looked at again."""
        waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
        while waiting:
            node, in_text = waiting.pop()
            if isinstance(node, ast.ImportFrom):
                yield from self._imported(cell, node)
                continue
            taken = isinstance(node, ast.Call) or isinstance(getattr(node, "ctx", None), ast.Load)
            if isinstance(node, ast.Attribute | ast.Call | ast.Subscript) and taken and (name := self._name(node)):
                sure = self.is_sure(node) and _last(name) not in self.changed and not in_text
                yield Mention(name, cell, node.lineno, _span(node), sure=sure)
                continue
            in_text = in_text or isinstance(node, ast.JoinedStr)  # Python does not tell the places in there
            waiting.extend((child, in_text) for child in _relevant(node))

    def _name(self, node: ast.AST) -> str:
        """The forbidden name that an expression stands for, or that it takes something from."""
        if _step(node)[1] in FACTS:
            return ""
        path = self.path(node)
        return self.paths.get(path, "") if path else ""

    def _imported(self, cell: int, node: ast.ImportFrom) -> Iterator[Mention]:
        for alias in node.names:
            names = [alias.name] if alias.name != "*" else sorted(self.loaded)
            for each in names:
                name = self.paths.get(f"{node.module}.{each}") if node.level == 0 else None
                bound = alias.asname or each
                if name and bound in self.loaded:
                    yield Mention(name, cell, node.lineno, _span(node), bound)


def _step(node: ast.AST) -> tuple[ast.AST, str | None]:
    """One step down what takes an attribute: `a.b`, `getattr(a, "b")`, `vars(a)["b"]`, `a.__dict__["b"]`."""
    if isinstance(node, ast.Attribute):
        return node.value, node.attr
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) > 1
    ):
        return node.args[0], _text(node.args[1])
    if isinstance(node, ast.Subscript):
        value = node.value
        if isinstance(value, ast.Attribute) and value.attr == "__dict__":
            return value.value, _text(node.slice)
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "vars" and value.args:
            return value.args[0], _text(node.slice)
    return node, None


def _text(node: ast.AST) -> str | None:
    """A constant text, also one put together from pieces."""
    parts: list[str] = []
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts.append(node.value)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            waiting += [node.right, node.left]
        elif isinstance(node, ast.JoinedStr):
            waiting += reversed(node.values)
        elif isinstance(node, ast.FormattedValue):
            waiting.append(node.value)
        else:
            return None
    return "".join(parts)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _relevant(node: ast.AST) -> list[ast.AST]:
    """The parts of a node in which something may be called, the last one first."""
    leave_out: list[ast.AST | None] = []
    if isinstance(node, ast.Call) and _called(node) in ASKS:
        leave_out = [each for each in node.args if _is_named(each)]
    elif isinstance(node, ast.Compare):
        leave_out = [each for each in (node.left, *node.comparators) if _is_named(each)]
    elif isinstance(node, ast.AnnAssign | ast.arg):
        leave_out = [node.annotation]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        leave_out = [node.returns]
    elif isinstance(node, ast.ExceptHandler):
        leave_out = [node.type]
    return [child for child in ast.iter_child_nodes(node) if not any(child is left for left in leave_out)][::-1]


def _is_named(node: ast.expr) -> bool:
    return all(isinstance(each, ast.Name | ast.Attribute) for each in getattr(node, "elts", [node]))


def _span(node: ast.expr | ast.stmt) -> tuple[int, int, int, int]:
    return node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0


def _cut(source: str, mentions: Sequence[Mention]) -> str:
    lines = [line.encode() for line in _lines(source).split("\n")]
    for mention in sorted(mentions, key=lambda m: (m.span, m.bound), reverse=True):
        first, start, last, end = mention.span
        if not 0 < first <= last <= len(lines):
            continue
        put = CUT.format(mention.name).encode()
        if mention.bound:
            lines[last - 1] = (
                lines[last - 1][:end] + b"; " + mention.bound.encode() + b" = " + put + lines[last - 1][end:]
            )
        else:
            after = lines[last - 1][end:]
            lines[first - 1] = lines[first - 1][:start] + b"(" + put + b"\n" * (last - first) + b")" + after
            del lines[first:last]
    return b"\n".join(lines).decode()
