"""Runs a notebook's cells as IPython would, inside the worker. Nothing here is trusted or believed by anyone."""

import __future__

import ast
import builtins
import contextlib
import functools
import importlib
import inspect
import io
import linecache
import os
import re
import shlex
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from IPython.core.inputtransformer2 import TransformerManager

from autograder.sandbox import stand_ins

MESSAGE_CAP = 2000
TRACEBACK_CAP = 8000
NOTE_CAP = 300
NOTES_CAP = 40
FRAMES_CAP = 24

AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
FUTURE = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)

CELL_MAGIC = re.compile(r"(?P<blank>\s*)%%(?P<name>\w+)[ \t]*(?P<line>[^\n]*)(?P<body>(?:\n[\s\S]*)?)\Z")
BARE_MAGIC = re.compile(r"\s*(pip3?|conda|mamba|cd|ls|mkdir|cat|rm|cp|mv)\s+\S[^\n]*\s*\Z")
RUN_BODY = {"time", "prun", "capture", "memit", "autoreload"}
SKIP_BODY = {"timeit", "html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG"}
OTHER_PROGRAM = {
    "bash",
    "sh",
    "script",
    "cmd",
    "perl",
    "ruby",
    "python",
    "python2",
    "python3",
    "pypy",
    "system",
    "sx",
    "!",
}


@dataclass(frozen=True, slots=True)
class CellError:
    """What went wrong in a cell. `line` counts in the cell from 1; 0 if unknown."""

    cell: int
    type: str
    message: str
    line: int
    traceback: str


class Runner:
    """One student's `__main__`: a fresh module in which cells run, each with its errors kept to itself."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.module = types.ModuleType("__main__")
        self.namespace: dict[str, Any] = self.module.__dict__
        self._flags = 0
        self._shown: Any = None
        self._loop: Any = None
        self._cell = 0
        shell = Shell(self)
        self.namespace.update(
            __builtins__=builtins,
            __spec__=None,
            get_ipython=lambda: shell,
            display=display,
            input=_no_input,
            exit=_leave,
            quit=_leave,
            In=[""],
            Out={},
        )
        sys.modules["__main__"] = self.module
        if folder not in sys.path:
            sys.path.insert(0, folder)
        _answer_for_ipython(shell)

    def run(self, number: int, source: str) -> CellError | None:
        """Run one cell. What it defined before it failed stays, and later cells can still be run."""
        self._cell = number
        self.namespace["In"] = [*_list(self.namespace.get("In")), source]
        try:
            self.execute(source, f"<cell {number}>")
        except SystemExit:
            self.note(f"Code cell {number} asked Python to exit; the cells after it were run all the same.")
        except BaseException as error:
            return explain(error, number)
        finally:
            _close_figures()
        return None

    def note(self, text: str) -> None:
        text = text[:NOTE_CAP]
        if text in self.notes or len(self.notes) >= NOTES_CAP:
            return
        self.notes.append(text)
        with contextlib.suppress(Exception):
            print(f"[autograder] {text}")

    def execute(self, source: str, name: str) -> Any:
        """The value of the last expression of `source`, or None. Raises whatever the student's code raises."""
        if magic := CELL_MAGIC.match(source):
            return self._cell_magic(magic, name)
        tree, source = self._parsed(source, name)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        last = tree.body[-1] if tree.body else None
        shown = last if isinstance(last, ast.Expr) else None
        if shown is not None:
            tree.body.pop()
        if tree.body:
            self._evaluate(compile(tree, name, "exec", self._flags | AWAIT, dont_inherit=True))
        if shown is None:
            return None
        expression = ast.Expression(shown.value)
        value = self._evaluate(compile(expression, name, "eval", self._flags | AWAIT, dont_inherit=True))
        self._keep(value)
        return value

    def _parsed(self, source: str, name: str) -> tuple[ast.Module, str]:
        """Valid Python is left alone; only what Python refuses is shown to IPython's transformer."""
        try:
            return self._tree(source, name), source
        except SyntaxError as error:
            blank = re.match(r"(?:[ \t]*\n)*", source)
            changed = (blank[0] if blank else "") + TransformerManager().transform_cell(source)
            if changed.strip() == source.strip() and BARE_MAGIC.match(source):
                changed = f"get_ipython().system({source.strip()!r})\n"
            if changed == source:
                raise
            try:
                return self._tree(changed, name), changed
            except SyntaxError as second:
                raise (second if "get_ipython" in changed else error) from None

    def _tree(self, source: str, name: str) -> ast.Module:
        tree = compile(source, name, "exec", self._flags | AWAIT | ast.PyCF_ONLY_AST, dont_inherit=True)
        assert isinstance(tree, ast.Module)
        return tree

    def _evaluate(self, code: types.CodeType) -> Any:
        self._flags |= code.co_flags & FUTURE
        value = eval(code, self.namespace)  # noqa: S307
        if not code.co_flags & inspect.CO_COROUTINE:
            return value
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(value)

    def _keep(self, value: Any) -> None:
        """`_` and `Out` as in IPython: not for None, and not where the student uses `_` for herself."""
        if value is None:
            return
        out = self.namespace.get("Out")
        if isinstance(out, dict):
            out[self._cell] = value
        if self.namespace.get("_") is self._shown:
            self.namespace["__"] = self._shown
            self.namespace["_"] = self._shown = value

    def _cell_magic(self, magic: re.Match[str], name: str) -> Any:
        kind, line, body = magic["name"], magic["line"].strip(), magic["body"]
        moved = "\n" * magic["blank"].count("\n") + body
        if kind in SKIP_BODY:
            return None
        if kind in OTHER_PROGRAM:
            self.note(f"%%{kind} in code cell {self._cell} was not run: only Python is run while grading.")
            return None
        if kind in ("writefile", "file"):
            return self._write(line, body.removeprefix("\n"))
        if kind == "capture":
            return self._capture(line, moved, name)
        if kind in RUN_BODY:
            return self.execute(moved, name)
        try:
            self._parsed(moved, name)
        except SyntaxError:
            self.note(f"%%{kind} in code cell {self._cell} is not known to the grader; the cell was not run.")
            return None
        self.note(f"%%{kind} in code cell {self._cell} is not known to the grader; the cell was run without it.")
        return self.execute(moved, name)

    def _write(self, line: str, text: str) -> None:
        words = shlex.split(line)
        mode = "a" if "-a" in words or "--append" in words else "w"
        path = os.path.join(self.folder, words[-1])
        with open(path, mode, encoding="utf-8") as file:
            file.write(text)
        importlib.invalidate_caches()

    def _capture(self, line: str, body: str, name: str) -> None:
        printed, complained = io.StringIO(), io.StringIO()
        wanted = [word for word in line.split() if not word.startswith("-")]
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
                self.execute(body, name)
        finally:
            if wanted:
                self.namespace[wanted[0]] = Captured(printed.getvalue(), complained.getvalue())


@dataclass(frozen=True)
class Captured:
    """What `%%capture` keeps."""

    stdout: str
    stderr: str
    outputs: tuple[Any, ...] = ()

    def show(self) -> None:
        print(self.stdout, end="")

    def __str__(self) -> str:
        return self.stdout


class Lines(list[str]):
    """What `x = !command` gives: no lines."""

    s = n = p = ""

    @property
    def l(self) -> "Lines":  # noqa: E743
        return self

    def grep(self, *_: Any, **__: Any) -> "Lines":
        return self

    fields = sort_by = grep


class Shell:
    """What `get_ipython()` answers: magics that make sense while grading, and a note for the others."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.user_ns = runner.namespace
        self.user_module = runner.module
        self.config = stand_ins.Quiet("config")
        self.kernel = stand_ins.Quiet("kernel")
        self.events = stand_ins.Quiet("events")
        self.execution_count = 1

    def run_line_magic(self, name: str, line: str = "", *_: Any, **__: Any) -> Any:
        name = name.lstrip("%")
        handler: Callable[[str], Any] | None = getattr(self, f"_magic_{name}", None)
        if handler is not None:
            return handler(line)
        if name not in _silent:
            self._runner.note(f"%{name} in code cell {self._runner._cell} was not run: it has no place in grading.")
        return None

    def run_cell_magic(self, name: str, line: str, body: str) -> Any:
        return self._runner.execute(f"%%{name} {line}\n{body}", f"<cell {self._runner._cell}>")

    def magic(self, line: str) -> Any:
        name, _, rest = line.strip().lstrip("%").partition(" ")
        return self.run_line_magic(name, rest)

    def run_cell(self, source: str, *_: Any, **__: Any) -> Any:
        return self._runner.execute(source, f"<cell {self._runner._cell}, inner>")

    def system(self, command: str) -> None:
        self._runner.note(f"`{command.strip()[:80]}` was not run: the grader's environment is fixed.")
        self.user_ns["_exit_code"] = 0

    def getoutput(self, command: str, *_: Any, **__: Any) -> Lines:
        self.system(command)
        return Lines()

    def ex(self, source: str) -> None:
        self.run_cell(source)

    def ev(self, source: str) -> Any:
        return self.run_cell(source)

    def _magic_time(self, line: str) -> Any:
        return self._runner.execute(line, f"<cell {self._runner._cell}, %time>")

    _magic_prun = _magic_time

    def _magic_timeit(self, line: str) -> Any:
        return stand_ins.Timing() if "-o" in line.split() else None

    def _magic_sx(self, line: str) -> Lines:
        return self.getoutput(line)

    _magic_system = _magic_sx

    def _magic_pip(self, line: str) -> None:
        self.system(f"pip {line}")

    def _magic_conda(self, line: str) -> None:
        self.system(f"conda {line}")

    def _magic_pwd(self, _: str) -> str:
        return os.getcwd()

    def _magic_who_ls(self, _: str) -> list[str]:
        return sorted(name for name in self.user_ns if not name.startswith("_"))

    def _magic_env(self, line: str) -> Any:
        name, _, value = line.strip().replace("=", " ", 1).partition(" ")
        if value.strip():
            os.environ[name] = value.strip()
        return os.environ.get(name, "") if name else dict(os.environ)

    _magic_set_env = _magic_env

    def _magic_run(self, line: str) -> Any:
        words = [word for word in shlex.split(line) if not word.startswith("-")]
        path = os.path.join(self._runner.folder, words[0] if words else "")
        if not path.endswith(".py") and os.path.isfile(path + ".py"):
            path += ".py"
        if not path.endswith(".py"):
            return self._runner.note(f"%run {line[:80]} was not run: only Python files can be run while grading.")
        with open(path, encoding="utf-8") as file:
            return self._runner.execute(file.read(), path)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return stand_ins.Quiet(name)


_silent = frozenset(
    word
    for words in (
        "matplotlib pylab load_ext reload_ext unload_ext autoreload config precision pinfo pinfo2 psource pdoc pdef",
        "pfile reset reset_selective who whos history hist notebook xmode colors pdb debug tb memit mprun lprun mem",
        "magic lsmagic quickref automagic autocall logstart logstop rerun recall store tensorboard aimport cd ls ll",
        "dhist bookmark alias unalias load loadpy pycat page gui killbgscripts psearch",
    )
    for word in words.split()
)


def display(*shown: Any, **_: Any) -> Any:
    """Shows nothing: nobody looks at a worker's screen."""
    return stand_ins.Quiet("display")


def explain(error: BaseException, cell: int = 0) -> CellError:
    """The error as data, its traceback cut to the frames in the student's own cells."""
    name = _text(lambda: type(error).__name__, 200)
    if isinstance(error, SyntaxError) and _is_cell(error.filename):
        return _explain_syntax(error, name, cell)
    message = _text(lambda: str(error), MESSAGE_CAP)
    frames, step = [], error.__traceback__
    while step is not None:
        if _is_cell(step.tb_frame.f_code.co_filename):
            frames.append((step.tb_frame.f_code, step.tb_lineno))
        step = step.tb_next
    line = next((number for code, number in reversed(frames) if code.co_filename == f"<cell {cell}>"), 0)
    shown = [_frame(code, number) for code, number in frames]
    if len(shown) > FRAMES_CAP:
        half = FRAMES_CAP // 2
        shown = [*shown[:half], f"  ... {len(shown) - 2 * half} more ...", *shown[-half:]]
    return CellError(cell, name, message, line, "\n".join([*shown, f"{name}: {message}"])[-TRACEBACK_CAP:])


def _explain_syntax(error: SyntaxError, name: str, cell: int) -> CellError:
    message = _text(lambda: str(error.msg), MESSAGE_CAP)
    line = error.lineno if isinstance(error.lineno, int) else 0
    text = _text(lambda: (error.text or "").rstrip(), 500)
    place = f"  cell {cell}, line {line}\n    {text.strip()}"
    if isinstance(error.offset, int) and 0 < error.offset <= len(text) + 1:
        place += "\n    " + " " * max(0, error.offset - 1 - (len(text) - len(text.lstrip()))) + "^"
    return CellError(cell, name, message, line, f"{place}\n{name}: {message}"[:TRACEBACK_CAP])


def _frame(code: types.CodeType, number: int) -> str:
    where = f"  {code.co_filename.strip('<>')[:80]}, line {number}, in {code.co_name[:80]}"
    source = linecache.getline(code.co_filename, number).strip()
    return f"{where}\n    {source[:200]}" if source else where


def _is_cell(filename: Any) -> bool:
    return isinstance(filename, str) and filename.startswith("<cell ")


def _text(make: Callable[[], str], cap: int) -> str:
    """What an exception of the student's says of itself, even if saying it fails."""
    try:
        text = make()
        cut = text if len(text) <= cap else text[: cap - 1] + "…"
        return "".join(cut).encode("utf-8", "replace").decode()
    except BaseException:
        return "(the error's own text can't be read)"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _no_input(prompt: object = "") -> NoReturn:
    raise EOFError("input() has nobody to answer while grading: give the value in the code instead.")


def _leave(code: object = None) -> NoReturn:
    raise SystemExit(code)


def _close_figures() -> None:
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        with contextlib.suppress(BaseException):
            pyplot.close("all")


def _answer_for_ipython(shell: Shell) -> None:
    """`from IPython import get_ipython` and `from IPython.display import display` answer as the names in a cell do."""
    for name, attribute, value in (
        ("IPython", "get_ipython", lambda: shell),
        ("IPython.core.getipython", "get_ipython", lambda: shell),
        ("IPython.display", "display", display),
        ("IPython.core.display_functions", "display", display),
    ):
        module = sys.modules.get(name)
        if module is not None:
            setattr(module, attribute, value)


def install_stand_ins() -> None:
    """For the zygote, before it forks: see `stand_ins`."""
    stand_ins.install()
