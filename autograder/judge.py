"""Hidden tests, run by one pytest session for as many submissions as there are.

A `pytest.main` per submission costs more than everything else together, so the session is started once, collects the
tests once, and then hands itself to `serve`, which runs any check for any submission by name. The judge is a pytest
plugin object: it supplies the fixtures, and it notes how each case ended.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import pytest
import torch
from _pytest.python import get_direct_param_fixture_func
from _pytest.runner import runtestprotocol

from autograder.errors import BrokenAssignment, WireError
from autograder.records import Check, Status
from autograder.sandbox.spawn import DeviceStuck, WorkerEnded, ZygoteDied
from autograder.sandbox.stage import reseed
from autograder.sandbox.student import MissingName, Student, StudentRaised

GIVEN = frozenset(("student", "reference", "device", "changed_arguments", "suspect"))
OURS = (
    BrokenAssignment,
    ImportError,
    SyntaxError,
    NameError,
    OSError,
    MemoryError,
    pytest.skip.Exception,
    pytest.xfail.Exception,
)
PLUGINS_OFF = (
    "cacheprovider capture debugging doctest faulthandler junitxml legacypath logging pastebin recwarn setuponly "
    "setupplan stepwise subtests terminalprogress threadexception unittest unraisableexception warnings"
).split()


@dataclass(frozen=True, slots=True)
class Bench:
    """What a case is judged with: one submission's proxy, the reference, and where tensors live.

    suspect: takes the id of a known mistake that the numbers point to.
    """

    student: Student
    reference: ModuleType
    device: torch.device
    seed: int
    changed: list[str]
    suspect: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """How a check ended. message: for the instructor. error: what stopped it."""

    status: Status
    message: str = ""
    error: BaseException | None = None


@dataclass(slots=True)
class Judge:
    """The plugin. `checks` in the order of the file; `run` judges one of them with what lies on the bench."""

    serve: Callable[["Judge"], None]
    checks: tuple[Check, ...] = ()
    problem: BaseException | None = None
    _items: dict[str, list[pytest.Item]] = field(default_factory=dict)
    _plain: frozenset[str] = frozenset()
    _bench: Bench | None = None
    _stopped: BaseException | None = None
    _where: str = ""

    def run(self, name: str, bench: Bench) -> Finding:
        """Judge every case of one check, up to the first that does not pass."""
        self._bench = bench
        items = self._items[name]
        try:
            for number, item in enumerate(items):
                self._stopped, self._where = None, ""
                reseed(bench.seed + number)
                self._run_case(item)
                if self._stopped is not None:
                    case = f"[{item.callspec.id}] " if hasattr(item, "callspec") else ""
                    return _finding(_without_frames(self._stopped), f"{case}{self._where}")
            return Finding(Status.PASSED)
        finally:
            self._bench, self._stopped = None, None

    def _run_case(self, item: pytest.Item) -> None:
        """Call the test; by way of pytest's own protocol only if it needs more than we give, which costs far more."""
        if not isinstance(item, pytest.Function) or item.nodeid not in self._plain:
            runtestprotocol(item, log=False, nextitem=self._another(item))
            return
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        values = {name: parameters[name] if name in parameters else self._given(name) for name in item.fixturenames}
        try:
            item.obj(**values)
        except BaseException as error:
            self._stopped = error
            self._where = _where(error.__traceback__, item.path, error)

    def _given(self, name: str) -> Any:
        bench = self._on_bench()
        return bench.changed if name == "changed_arguments" else getattr(bench, name)

    def _another(self, item: pytest.Item) -> pytest.Item | None:
        """Any other item of the module: pytest keeps the module set up if one is to follow."""
        for items in self._items.values():
            for other in (items[0], items[-1]):
                if other is not item:
                    return other
        return None

    @pytest.fixture
    def student(self) -> Student:
        """The submission."""
        return self._on_bench().student

    @pytest.fixture
    def reference(self) -> ModuleType:
        """The solution, imported."""
        return self._on_bench().reference

    @pytest.fixture
    def device(self) -> torch.device:
        """Where the test's tensors live."""
        return self._on_bench().device

    @pytest.fixture
    def changed_arguments(self) -> list[str]:
        """What the student's calls in this case changed in place; grows with each call."""
        return self._on_bench().changed

    @pytest.fixture
    def suspect(self) -> Callable[[str], None]:
        """Names a known mistake, by its id, that the numbers point to; told if the check is lost."""
        return self._on_bench().suspect

    def _on_bench(self) -> Bench:
        if self._bench is None:
            raise BrokenAssignment("a hidden test ran outside of grading: run `autograder verify` instead of pytest")
        return self._bench

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Keep what stopped the case; the report itself only tells pytest whether to go on."""
        if call.excinfo is not None and self._stopped is None:
            self._stopped = call.excinfo.value
            self._where = _where(call.excinfo.tb, item.path, call.excinfo.value)
        outcome: Any = "passed" if call.excinfo is None else "failed"
        when: Any = call.when
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, when)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take over: number the checks, then serve until nobody asks."""
        if self.problem is not None:
            return True
        try:
            self._items = _by_function(session.items)
            self._plain = frozenset(item.nodeid for item in session.items if _is_plain(item))
            self.checks = tuple(self._check(name, items) for name, items in self._items.items())
            if not self.checks:
                raise BrokenAssignment("test_hidden.py: pytest finds no test in it, expected at least one check")
            self.serve(self)
        except BaseException as error:  # pytest would report it and go on; `hold_session` raises it
            self.problem = error
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the reason why the tests can't be collected."""
        if report.failed:
            self.problem = BrokenAssignment(f"the hidden tests can't be collected:\n{report.longreprtext}")

    @staticmethod
    def _check(name: str, items: list[pytest.Item]) -> Check:
        first = items[0]
        points = first.get_closest_marker("points")
        title = (getattr(getattr(first, "obj", None), "__doc__", "") or "").strip().split("\n")[0]
        if points is None or not points.args or not title:
            raise BrokenAssignment(f"{first.path.name}: {name} needs @pytest.mark.points(n) and a docstring, its title")
        cpu, stand_in = first.get_closest_marker("cpu"), first.get_closest_marker("stand_in")
        return Check(
            name=name,
            title=title,
            points=float(points.args[0]),
            alone=first.get_closest_marker("alone") is not None,
            cpu=float(cpu.args[0]) if cpu else None,
            training=first.get_closest_marker("training") is not None,
            stand_ins=tuple(stand_in.args) if stand_in else (),
            last=first.get_closest_marker("last") is not None,
        )


def hold_session(test_file: Path, serve: Callable[[Judge], None]) -> None:
    """Start the one pytest session of this process, collect `test_file`, and let `serve` use the judge, in one thread.

    Raises BrokenAssignment if the tests can't be collected, and whatever `serve` raises.
    """
    judge = Judge(serve)
    sys.dont_write_bytecode = True
    torch.set_num_threads(1)  # as many judges as cores; and a pool of threads does not survive a fork
    os.environ.pop("PYTEST_ADDOPTS", None)  # meant for other tests than these
    os.environ.pop("PYTEST_PLUGINS", None)
    arguments = [str(test_file), "-c", "/dev/null", "--rootdir", str(test_file.parent), "--import-mode=importlib", "-q"]
    arguments += ["--disable-plugin-autoload", "--noconftest", "-p", "no:terminal"]
    for name in PLUGINS_OFF:
        arguments += ["-p", f"no:{name}"]
    sys.modules.pop(test_file.stem, None)  # the tests of an earlier session in this process
    code = pytest.main(arguments, plugins=[judge, Markers()])
    if judge.problem is not None:
        raise judge.problem
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise BrokenAssignment(f"pytest could not run {test_file.name} ({code!r})")


class Markers:
    """Stands in for pytest's terminal, of which nothing is wanted, and declares our marks."""

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """The options that other parts of pytest ask the terminal for."""
        group = parser.getgroup("terminal reporting")
        group._addoption("-q", action="count", default=0, dest="verbose")
        group._addoption("--tb", default="short", dest="tbstyle")

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the marks of hidden tests."""
        for mark in ("points(value)", "alone", "last", "cpu(seconds)", "training", "stand_in(*names)"):
            config.addinivalue_line("markers", mark)


def _is_plain(item: pytest.Item) -> bool:
    """Whether a test is a function of parameters and our own fixtures, without a mark that pytest acts on."""
    if not isinstance(item, pytest.Function) or item.cls is not None:
        return False
    marked = any(item.get_closest_marker(name) for name in ("skip", "skipif", "xfail", "usefixtures", "filterwarnings"))
    needed = item._fixtureinfo.name2fixturedefs.items()
    return not marked and all(
        (name in GIVEN and len(definitions) == 1) or definitions[-1].func is get_direct_param_fixture_func
        for name, definitions in needed
    )


def _by_function(items: list[pytest.Item]) -> dict[str, list[pytest.Item]]:
    grouped: dict[str, list[pytest.Item]] = {}
    for item in items:
        grouped.setdefault(getattr(item, "originalname", None) or item.name, []).append(item)
    return grouped


def _without_frames(error: BaseException) -> BaseException:
    """The error without what was on the stack: a finding is kept, and answers of the student's may be large."""
    step: BaseException | None = error
    while step is not None and step.__traceback__ is not None:
        step.__traceback__ = None
        step = step.__cause__ or step.__context__
    return error


def _finding(error: BaseException, message: str) -> Finding:
    if isinstance(error, KeyboardInterrupt):
        raise error
    if isinstance(error, (ZygoteDied, DeviceStuck)):
        raise error
    if isinstance(error, (StudentRaised, WorkerEnded)):
        return Finding(error.status, message, error)
    if isinstance(error, WireError):
        return Finding(Status.CRASHED, message, error)
    if isinstance(error, MissingName):
        return Finding(Status.FAILED, message, error)
    if isinstance(error, OURS) or not isinstance(error, (Exception, pytest.fail.Exception)):
        return Finding(Status.INTERNAL, message, error)
    return Finding(Status.FAILED, message, error)


def _where(trace: TracebackType | None, path: Path, error: BaseException) -> str:
    """Line of the test that stopped, and the text of the error."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{path.name}:{line}: {type(error).__name__}: {error}"
