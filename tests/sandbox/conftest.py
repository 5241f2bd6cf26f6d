"""One zygote for all tests of this room, and real workers forked from it on demand."""

import re
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from autograder.records import Cell, Limits
from autograder.sandbox import isolation
from autograder.sandbox.spawn import Budget, Order, Zygote
from autograder.sandbox.student import Conversation, Student

DEFINED = re.compile(r"^(?:(?:async )?def|class) (\w+)|^(\w+) =", re.MULTILINE)


class Desk:
    """A worker that has run some cells, and the means to talk with it.

    started: the numbers of the cells as they began.  errors: what became of them.
    """

    budget = Budget(20, 60)

    def __init__(self, zygote, sources, order):
        self.cells = [Cell(n, textwrap.dedent(source)) for n, source in enumerate(sources, 1)]
        self.worker = zygote.fork(order)
        self.pid = worker_pid(self.worker)
        try:
            *self.started, self.errors = self.worker.run_cells(self.cells, self.budget)
        except BaseException:
            self.worker.end()
            raise

    def ask(self, operation):
        return self.worker.ask(operation, self.budget)

    def converse(self, **options):
        return Conversation(self.ask, torch.device("cpu"), **options)

    def student(self, conversation=None):
        names = [one or two for cell in self.cells for one, two in DEFINED.findall(cell.source)]
        kinds = self.ask({"op": "kinds", "names": names}).value
        return Student(conversation or self.converse(), kinds)

    def call(self, name, budget=None):
        """Call a function without arguments, within a budget of its own."""
        operation = {"op": "call", "target": name, "args": [], "kwargs": {}, "tensors": [], "leaves": []}
        return self.worker.ask(operation, budget or self.budget).value


def worker_pid(worker):
    lines = Path(f"/proc/self/fdinfo/{worker.pidfd}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


def gone(pid, seconds=30.0):
    """Whether no process of this number is left, but perhaps a dead one that its parent has yet to see."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="session")
def zygote():
    if sys.platform != "linux":
        pytest.skip("workers are held by pidfds, which are Linux's")
    zygote = Zygote(isolation.choose("best"))
    zygote.await_ready()
    yield zygote
    last = worker_pid(zygote.fork(Order(Limits())))
    zygote.close()
    assert gone(last), "a worker has outlived its zygote"


@pytest.fixture
def desk(zygote):
    """Makes desks: one source text per cell, and the fields of an Order. Their workers end with the test."""
    yield from desks(zygote)


def desks(zygote):
    made = []

    def sit_down(*sources, limits=None, **order):
        made.append(Desk(zygote, sources, Order(limits or Limits(), **order)))
        return made[-1]

    yield sit_down
    for one in made:
        one.worker.end()
