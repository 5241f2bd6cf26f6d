"""Where the time goes: CPU of one judge, split by what it does, and of its workers, split by phase.

One grader in this process, no pool; functions of the engine are wrapped in a stopwatch that books CPU time to the
innermost one. The stopwatch costs some microseconds a call, so the sum is a little more than `batch.py` measures.
Workers are read from outside, by their CPU clocks: up to the first cell (fork, confinement), the cells, the operations.
"""

import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import direct
import torch

from autograder import course, diagnosis, grader, judge, ledger, notebook, precedents
from autograder.engines import Job
from autograder.gradebook import Gradebook
from autograder.records import Entry
from autograder.sandbox import spawn, student, wire
from autograder.sandbox.warm import warm_up

OWN = "the tests' own code"
SMALL = "smaller parts"
JUDGE = (
    (notebook, "extract", "reading the notebook"),
    (spawn.Zygote, "fork", "having a worker forked"),
    (spawn.Worker, "end", "ending a worker"),
    (spawn.Worker, "ask", "sockets and waiting"),
    (spawn.Worker, "exchange", "sockets and waiting"),
    (precedents.Hearing, "follow", "precedents"),
    (precedents.Hearing, "ask", "precedents"),
    (wire, "pack", "wire: pack"),
    (wire.Frame, "unpack", "wire: unpack"),
    (student.Conversation, "call", "proxy and autograd"),
    (student.Conversation, "perform", "proxy and autograd"),
    (judge, "reseed", "seeding"),
    (judge.Judge, "_run_case", OWN),
    (diagnosis.Diagnostician, "recognise", "diagnosis"),
    (diagnosis.Diagnostician, "explain", "diagnosis"),
    (ledger, "to_json", "gradebook"),
    (Gradebook, "record", "gradebook"),
)
PHASES = ("worker: fork and confinement", "worker: the cells", "worker: operations", "worker: its end")


class Stopwatch:
    """Books CPU time to the innermost of the wrapped functions."""

    def __init__(self) -> None:
        self.booked: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._names = ["the rest"]
        self._since = time.process_time()

    def wrap(self, owner: Any, name: str, label: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch(label, 1)
            try:
                return inner(*args, **kwargs)
            finally:
                self._switch(label, -1)

        setattr(owner, name, timed)

    def clear(self) -> None:
        self.booked.clear()
        self.calls.clear()
        self._since = time.process_time()

    def _switch(self, label: str, step: int) -> None:
        now = time.process_time()
        self.booked[self._names[-1]] = self.booked.get(self._names[-1], 0.0) + now - self._since
        if step > 0:
            self._names.append(label)
            self.calls[label] = self.calls.get(label, 0) + 1
        else:
            self._names.pop()
        self._since = now


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where the CPU time of one kind of submission goes. rows: label and milliseconds per submission."""

    title: str
    rows: list[tuple[str, float]]


def report(job: Job, right: list[Entry], wrong: list[Entry], count: int, picture: Path | None = None) -> None:
    """Print the table for `count` right submissions, the same for the mistakes, and the checks by cost.

    picture: an SVG file to draw the tables into.
    """
    zygote = spawn.Zygote(job.profile)
    warm_up(backward=True)
    reference = course.reference(job.assignment)
    zygote.await_ready()

    def serve(held: judge.Judge) -> NoReturn:
        place, level = torch.device("cpu"), job.profile.level
        setting = grader.Setting(job.assignment, reference, place, job.secret, level, job.batch)
        at_work = grader.Grader(setting, held, lambda: zygote, zygote)
        for entry in right:
            at_work.grade(entry)
        watch = Stopwatch()
        for owner, name, label in JUDGE:
            watch.wrap(owner, name, label)
        _wrap_reference(watch, reference, job.assignment.names)
        phases = _Phases(watch)
        with tempfile.TemporaryDirectory() as folder, Gradebook.open(Path(folder) / "gradebook.sqlite") as book:
            kinds = (("full marks", list(islice(cycle(right), count))), ("known mistakes", wrong))
            tables = [_table(name, entries, at_work, book, (watch, phases)) for name, entries in kinds if entries]
        direct_ms = _checks(job, reference, right[0])
        if picture is not None:
            draw(picture, job.assignment.name, [*tables, Breakdown("the checks called directly", [(OWN, direct_ms)])])
        zygote.close()
        sys.stdout.flush()
        os._exit(0)

    judge.hold_session(job.assignment.folder / "test_hidden.py", serve)


class _Phases:
    """CPU time of the workers, by phase."""

    def __init__(self, watch: Stopwatch) -> None:
        self.booked = dict.fromkeys(PHASES, 0.0)
        self._last: dict[int, float] = {}
        cells, exchange, end = spawn.Worker.run_cells, spawn.Worker.exchange, spawn.Worker.end

        def run_cells(worker: spawn.Worker, *args: Any) -> Iterator[Any]:
            for number, event in enumerate(cells(worker, *args)):
                self._book(worker, PHASES[0] if number == 0 else PHASES[1])
                yield event

        def timed_exchange(worker: spawn.Worker, *args: Any) -> Any:
            try:
                return exchange(worker, *args)
            finally:
                self._book(worker, PHASES[2])

        def timed_end(worker: spawn.Worker) -> spawn.Usage:
            lives = worker.alive
            usage = end(worker)
            if lives:
                self.booked[PHASES[3]] += max(0.0, usage.cpu - self._last.pop(id(worker), 0.0))
            return usage

        spawn.Worker.run_cells, spawn.Worker.exchange, spawn.Worker.end = (  # type: ignore
            run_cells,
            timed_exchange,
            timed_end,
        )

    def _book(self, worker: spawn.Worker, phase: str) -> None:
        now = worker.cpu()
        self.booked[phase] += now - self._last.get(id(worker), 0.0)
        self._last[id(worker)] = now


def _wrap_reference(watch: Stopwatch, reference: ModuleType, names: Sequence[str]) -> None:
    for name in names:
        value = getattr(reference, name, None)
        if isinstance(value, type):
            for method in ("__init__", "forward"):
                if method in vars(value):
                    watch.wrap(value, method, "reference")
        elif callable(value):
            watch.wrap(reference, name, "reference")


def _table(
    title: str, entries: list[Entry], at_work: grader.Grader, book: Gradebook, clocks: tuple[Stopwatch, _Phases]
) -> Breakdown:
    watch, phases = clocks
    phases.booked.update(dict.fromkeys(PHASES, 0.0))
    watch.clear()
    began = time.process_time()
    for entry in entries:
        grade = at_work.grade(entry)
        ledger.to_json(grade)
        book.record(grade, datetime.now(UTC))
    watch._switch("", 1)
    watch._switch("", -1)
    total = time.process_time() - began + sum(phases.booked.values())
    print(f"\n{title}, {len(entries)} submissions{'':12}{'ms each':>10}{'%':>6}{'calls':>8}")
    rows = sorted([*watch.booked.items(), *phases.booked.items()], key=lambda row: -row[1])
    for label, seconds in rows:
        if label:
            calls = f"{watch.calls[label] / len(entries):8.0f}" if label in watch.calls else ""
            print(f"  {label:40}{1000 * seconds / len(entries):10.2f}{100 * seconds / total:6.1f}{calls}")
    print(f"  {'together':40}{1000 * total / len(entries):10.2f}")
    return Breakdown(title, [(label, 1000 * seconds / len(entries)) for label, seconds in rows if label])


def _checks(job: Job, reference: ModuleType, entry: Entry, times: int = 5) -> float:
    """What each check costs when it is called directly: the floor, check by check. Milliseconds of all."""
    found = direct.hidden(job.assignment.folder)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook.extract(entry).cells:
        if not cell.skip:
            exec(compile(cell.source, "<cell>", "exec"), namespace)
    spent = {}
    for name, check in found.items():
        direct.run(check, namespace, reference)
        began = time.process_time()
        for _ in range(times):
            direct.run(check, namespace, reference)
        spent[name] = (time.process_time() - began) / times
    print(f"\nthe checks called directly (warm): {1000 * sum(spent.values()):.1f} ms")
    for name, seconds in sorted(spent.items(), key=lambda row: -row[1]):
        print(f"  {name:60}{1000 * seconds:8.2f}")
    return 1000 * sum(spent.values())


def draw(path: Path, title: str, tables: Sequence[Breakdown]) -> None:
    """A bar for each table, cut into what its time went to. Parts that are small in all of them are put together."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = title  # the same numbers give the same file
    from matplotlib import pyplot

    whole = max(sum(ms for _, ms in table.rows) for table in tables)
    large = dict.fromkeys(label for table in tables for label, ms in table.rows if ms > 0.02 * whole)
    shares = [_gathered(table, set(large)) for table in tables]
    figure, axes = pyplot.subplots(figsize=(10, 1.1 * len(tables) + 2.2))
    ends = [0.0] * len(tables)
    for number, label in enumerate([*large, SMALL]):
        widths = [share.get(label, 0.0) for share in shares]
        color = pyplot.get_cmap("tab20")(number % 20)
        axes.barh([table.title for table in tables], widths, left=ends, color=color, edgecolor="white", label=label)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for place, end in enumerate(ends):
        axes.text(end + 0.01 * whole, place, f"{end:.0f} ms", va="center")
    axes.set(xlabel="CPU milliseconds per submission", title=title, xlim=(0, 1.12 * whole))
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, metadata={"Date": None})


def _gathered(table: Breakdown, large: set[str]) -> dict[str, float]:
    share: dict[str, float] = {}
    for label, ms in table.rows:
        key = label if label in large else SMALL
        share[key] = share.get(key, 0.0) + ms
    return share
