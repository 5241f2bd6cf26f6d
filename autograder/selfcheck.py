"""The public tests of an assignment on a student's own work, in a process of their own with a time limit."""

import ast
import contextlib
import json
import linecache
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import pytest

from autograder import notebook
from autograder.errors import StudentError
from autograder.records import Entry
from autograder.sandbox.cells import Runner

SECONDS = 120.0

_TESTS = "test_public.py"
_LONGEST = 12  # lines of one message


@dataclass(frozen=True, slots=True)
class Result:
    """One public test. title: its docstring; message: what the student can use, empty if it passed."""

    title: str
    passed: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """notes: sentences about cells that stopped with an error; they alone make nothing fail."""

    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)


def check(path: Path, tests: Path | None = None, seconds: float = SECONDS) -> Report:
    """Run the public tests on a notebook or module. Raises StudentError if it can't be read or has no tests.

    tests: the file `test_public.py` or its folder; found beside `path` or in the course around it if left out.
    """
    if not path.is_file():
        raise StudentError(f"There is no file {path}. Name your notebook (.ipynb) or module (.py).")
    file = _found_tests(path.absolute(), tests)
    plan: dict[str, Any] = {"module": _module_name(file)}
    submission = notebook.extract(Entry(id=path.stem, student="", path=path.absolute()))
    plan["cells"] = [(cell.number, cell.source) for cell in submission.cells if not cell.skip]
    with tempfile.TemporaryDirectory(prefix="autograder-", ignore_cleanup_errors=True) as folder:
        shutil.copyfile(file, Path(folder, _TESTS))
        Path(folder, "pytest.ini").write_text("[pytest]\n", "utf-8")
        Path(folder, "plan.json").write_text(json.dumps(plan), "utf-8")
        ending = _run(Path(folder), seconds)
        events = _events(Path(folder, "events"))
    return _report(path, events, ending)


def render(report: Report, encoding: str = "utf-8") -> str:
    """The report as lines of text that can be written in an encoding, whatever is in them."""
    text = _lines(report, "✓", "✗")
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # a console of Windows
        text = _lines(report, "ok  ", "FAIL").encode(encoding, "replace").decode(encoding)
    return text


def _lines(report: Report, good: str, bad: str) -> str:
    lines = [*report.notes, ""] if report.notes else []
    for result in report.results:
        lines.append(f"{good if result.passed else bad} {result.title}")
        lines += [f"    {line}" for line in result.message.splitlines()]
    passed, count = sum(result.passed for result in report.results), len(report.results)
    lines += ["", "All public tests pass." if passed == count else f"{passed} of {count} public tests pass."]
    return "\n".join(lines)


def _found_tests(path: Path, tests: Path | None) -> Path:
    if tests is not None:
        file = tests / _TESTS if tests.is_dir() else tests
        if file.is_file():
            return file
        raise StudentError(f"There are no public tests at {file}. Name the assignment's {_TESTS} or its folder.")
    if (path.parent / _TESTS).is_file():
        return path.parent / _TESTS
    for parent in path.parents:
        folders = [file.parent for file in (parent / "assignments").glob(f"*/{_TESTS}")]
        near = [folder for folder in folders if path.stem == folder.name or path.stem.startswith(folder.name)]
        if near:
            return max(near, key=lambda folder: len(folder.name)) / _TESTS
    raise StudentError(
        f"No public tests found for {path.name}. Put it beside the assignment's {_TESTS}, "
        f"or say where that file is: autograder check {path.name} --tests FOLDER"
    )


def _module_name(tests: Path) -> str:
    """What the tests import the student's work from: the last thing that they import."""
    try:
        tree = ast.parse(tests.read_text("utf-8"))
    except (SyntaxError, ValueError) as error:
        raise StudentError(f"{tests} can't be read ({error}). Get a fresh copy of the assignment.") from error
    sources = [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    if not sources:
        raise StudentError(f"{tests} imports nothing to test. Get a fresh copy of the assignment.")
    return sources[-1]


def _run(folder: Path, seconds: float) -> str:
    """Run the child; returns how it ended if not well."""
    package = str(Path(__file__).parents[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {
        "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
        "PYTHONUTF8": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "MPLBACKEND": "Agg",
    }
    group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    child = subprocess.Popen(
        [sys.executable, "-m", "autograder.selfcheck"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **group,
    )
    try:
        status = child.wait(seconds)
    except subprocess.TimeoutExpired:
        return f"it did not end within {seconds:g} seconds: is there an endless loop?"
    finally:
        _end(child)
    return f"Python stopped here (exit status {status})." if status else ""


def _events(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []  # a killed child may leave half a line
    return [json.loads(line) for line in lines]


def _end(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(child.pid)], capture_output=True, check=False)  # noqa: S607
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _report(path: Path, events: list[dict[str, Any]], ending: str) -> Report:
    for event in events:
        if "broken" in event:
            raise StudentError(f"The public tests could not be loaded: {event['broken']}")
    notes = [event["note"] for event in events if "note" in event]
    titles: list[str] = next((event["titles"] for event in events if "titles" in event), [])
    done = {
        event["end"]: Result(titles[event["end"]], event["passed"], event["message"])
        for event in events
        if "end" in event
    }
    if not titles:
        cells = [event["cell"] for event in events if "cell" in event]
        where = f"cell {cells[-1]} of {path.name}" if cells else path.name
        raise StudentError(f"No test was run, because of {where}: {ending or 'nothing was found to test'}")
    begun = {event["begin"] for event in events if "begin" in event}
    results = []
    for number, title in enumerate(titles):
        lost = (
            f"{ending[:1].upper()}{ending[1:]}" if number in begun else "Not reached, because of what happened before."
        )
        results.append(done.get(number, Result(title, False, lost)))
    return Report(tuple(results), tuple(notes))


class _Recorder:
    """The pytest plugin of the child: writes an event as soon as there is one."""

    def __init__(self, log: TextIO) -> None:
        self.log = log
        self.numbers: dict[str, int] = {}

    def write(self, **event: Any) -> None:
        self.log.write(json.dumps(event) + "\n")
        self.log.flush()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.write(broken=str(report.longrepr).strip().splitlines()[-1])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.numbers = {item.nodeid: number for number, item in enumerate(session.items)}
        self.write(titles=[_title(item) for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.write(begin=self.numbers[nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report = yield
        if call.excinfo is not None:
            self.write(end=self.numbers[item.nodeid], passed=False, message=_message(call.excinfo.value))
        elif call.when == "call":
            self.write(end=self.numbers[item.nodeid], passed=True, message="")
        return report


class _Work(ModuleType):
    """The student's names as a module; one that is missing is found out only by the tests that use it."""

    def __init__(self, name: str, namespace: dict[str, Any]) -> None:
        super().__init__(name)
        self.__dict__.update(namespace)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Missing(name)


class _Missing:
    def __init__(self, name: str) -> None:
        self.__dict__["name"] = name

    def __call__(self, *args: object, **kwargs: object) -> None:
        raise _NotDefinedError(self.__dict__["name"])

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _NotDefinedError(self.__dict__["name"])


class _NotDefinedError(Exception):
    def __str__(self) -> str:
        return f"{self.args[0]!r} is not defined: check that its cell was not renamed or deleted, and that it runs."


def _title(item: pytest.Item) -> str:
    text = getattr(getattr(item, "obj", None), "__doc__", None) or item.name
    return " ".join(text.split())


def _message(error: BaseException) -> str:
    if isinstance(error, NotImplementedError):
        return f"not yet written: {error}"
    text = str(error).strip()
    if not isinstance(error, AssertionError | _NotDefinedError):
        text = f"{type(error).__name__}{text and f': {text}'}{_place(error)}"
    lines = text.splitlines() or ["an assertion does not hold"]
    return "\n".join(lines if len(lines) <= _LONGEST else [*lines[: _LONGEST - 1], "..."])


def _place(error: BaseException) -> str:
    """Where in the student's own code it was raised, or last passed through."""
    found, trace = "", error.__traceback__
    while trace is not None:
        file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        if file.startswith("<cell "):
            found = f"\n{file.strip('<>')}, line {line}: {linecache.getline(file, line).strip()}"
        trace = trace.tb_next
    return found


def _run_cells(recorder: _Recorder, folder: Path, cells: list[tuple[int, str]]) -> dict[str, Any]:
    """The names that the cells define. A cell that stops with an error is noted, and the next one runs."""
    runner = Runner(str(folder))
    for number, source in cells:
        recorder.write(cell=number)
        error = runner.run(number, source)
        if error is not None:
            lines = source.splitlines()
            place = f"\n    {lines[error.line - 1].strip()}" if 0 < error.line <= len(lines) else ""
            recorder.write(note=f"Cell {number} stopped: {error.type}: {error.message}{place}")
    return runner.namespace


def _main(folder: Path) -> int:
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    with (folder / "events").open("a", encoding="utf-8") as log:
        recorder = _Recorder(log)
        namespace = _run_cells(recorder, folder, plan["cells"])
        sys.modules[plan["module"]] = _Work(plan["module"], namespace)
        arguments = [str(folder / _TESTS), "-q", "--assert=plain", "-p", "no:cacheprovider", f"--rootdir={folder}"]
        os.environ.pop("PYTEST_ADDOPTS", None)  # meant for other tests than these
        status = pytest.main([*arguments, "-c", str(folder / "pytest.ini")], plugins=[recorder])
    return 0 if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else int(status)


if __name__ == "__main__":
    sys.exit(_main(Path.cwd()))
