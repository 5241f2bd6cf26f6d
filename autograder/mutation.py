"""Mutation testing: a solution changed in every small way, to find the changes that no hidden check notices.

The idea and its name are of DeMillo, Lipton and Sayward (1978). The changes are slips as they befall tensor code:
another comparison or sign, a number one more, a call or an argument left out, two exchanged, a condition that always
holds, a line that is missing.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "/", ast.Mod: "//", ast.Pow: "*",
    ast.BitAnd: "|", ast.BitOr: "&", ast.BitXor: "|",
}  # fmt: skip
WHOLE = ast.Name | ast.Constant | ast.Attribute | ast.Call | ast.Subscript


@dataclass(frozen=True, slots=True)
class Mutant:
    """A solution with one change. line: where.  was, now: the code there.  source: the whole text."""

    line: int
    was: str
    now: str
    source: str


def mutants(source: str, regions: Sequence[range]) -> list[Mutant]:
    """One for each small change in these ranges of lines, counted from 1, from top to bottom; all of them compile."""
    text = _Text(source)
    found: dict[str, Mutant] = {}
    for node in _nodes(ast.parse(source)):
        if any(node.lineno in region and node.end_lineno in region for region in regions):
            for place, now in _changes(node, text):
                mutant = text.changed(place, now)
                if _compiles(mutant.source) and mutant.source != source:
                    found.setdefault(mutant.source, mutant)
    return sorted(found.values(), key=lambda mutant: mutant.line)


class _Text:
    """A source text by the places of its syntax tree, which counts bytes."""

    def __init__(self, source: str) -> None:
        self.raw = source.encode()
        self.starts = [0]
        for line in self.raw.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def of(self, node: ast.expr) -> str:
        """An expression as it stands, in parentheses where another could tear it apart."""
        start, end = self._span(node)
        code = self.raw[start:end].decode()
        return code if isinstance(node, WHOLE) else f"({code})"

    def changed(self, node: ast.expr | ast.stmt, now: str) -> Mutant:
        start, end = self._span(node)
        was = self.raw[start:end].decode()
        return Mutant(node.lineno, was, now, self.raw[:start].decode() + now + self.raw[end:].decode())

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        first, last = self.starts[node.lineno - 1], self.starts[node.end_lineno - 1]
        return first + node.col_offset, last + node.end_col_offset


def _nodes(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """All but what stands inside f-strings: no check reads messages."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr | ast.stmt):
            yield child
        if not isinstance(child, ast.JoinedStr):
            yield from _nodes(child)


def _changes(node: ast.expr | ast.stmt, text: _Text) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """What to change, and into what."""
    match node:
        case ast.If(test=test) | ast.While(test=test):
            yield from ((test, "True"), (test, "False"))
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Assign() | ast.AugAssign() | ast.Expr() | ast.Raise():
            yield node, "pass"
        case ast.expr():
            yield from ((node, now) for now in _others(node, text))


def _others(node: ast.expr, text: _Text) -> Iterator[str]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield f"({text.of(left)} {COMPARISONS[type(op)]} {text.of(right)})"
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in OPERATORS:
                yield f"({text.of(left)} {OPERATORS[type(op)]} {text.of(right)})"
            yield from (text.of(left), text.of(right))
        case ast.BoolOp(op=op, values=values):
            yield (" or " if isinstance(op, ast.And) else " and ").join(map(text.of, values))
            yield from map(text.of, values)
        case ast.UnaryOp(operand=operand):
            yield text.of(operand)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (text.of(body), text.of(orelse))
        case ast.Subscript(value=value):
            yield text.of(value)
        case ast.Slice():
            yield ":"
        case ast.Constant(value=value):
            yield from _numbers(value)
        case ast.Call():
            yield from _calls(node, text)


def _numbers(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield from (f"{value + 1}", f"({value - 1})")
    elif isinstance(value, float):
        yield from (f"{2 * value!r}", f"{value / 2!r}") if value else ("1.0", "-1.0")


def _calls(node: ast.Call, text: _Text) -> Iterator[str]:
    """The object alone, the argument alone, each argument left out, neighbours exchanged."""
    given = [text.of(argument) for argument in node.args]
    named = [f"{each.arg}={text.of(each.value)}" if each.arg else f"**{text.of(each.value)}" for each in node.keywords]
    if isinstance(node.func, ast.Attribute):
        yield text.of(node.func.value)
    if len(given) == 1 and not named:
        yield given[0]
    for n in range(len(named)):
        yield _call(node, text, given + named[:n] + named[n + 1 :])
    for n in range(1, len(given)):
        yield _call(node, text, given[:n] + given[n + 1 :] + named)
        yield _call(node, text, [*given[: n - 1], given[n], given[n - 1], *given[n + 1 :], *named])


def _call(node: ast.Call, text: _Text, arguments: Sequence[str]) -> str:
    return f"{text.of(node.func)}({', '.join(arguments)})"


def _compiles(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of calls that can't be, such as 1.5(x)
        try:
            compile(source, "<mutant>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return True
