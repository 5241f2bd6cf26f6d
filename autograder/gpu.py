"""A GPU that many share: how many judges fit on it, whose turn it is, and whether it still answers.

CUDA starts in judges and workers only, after their fork; who wants to know of a device before that asks another
process. Each process holds its own tensors to the assignment's `device_memory`, and no more judges are hired than have
room for that. Where device memory runs out all the same, whoever took it, the submission is judged once more while no
other of ours is on the device, and what it does then is what counts.
"""

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from autograder.errors import OperatorError
from autograder.judge import Finding
from autograder.records import Limits
from autograder.sandbox import device, isolation
from autograder.sandbox.spawn import Order, Zygote
from autograder.sandbox.student import StudentRaised

try:
    import fcntl
except ImportError:  # Windows, where nothing is graded
    fcntl = None  # type: ignore[assignment]

CONTEXT = 640 * 2**20
PATIENCE = 60.0
ASK_SECONDS = 120
ASK = """
import json, torch
torch.zeros(1, device='cuda').add_(1).item()
free, total = torch.cuda.mem_get_info()
print(json.dumps([torch.cuda.get_device_name(), free, total]))
"""
SCARCE = re.compile(r"OutOfMemoryError|out of memory|_(ALLOC_FAILED|NOT_INITIALIZED)\b")


class Spoiled(Exception):
    """The device no longer answers this process, after an error in it. Another process is not concerned."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of the device. Sizes in bytes, as they were when this process first asked."""

    name: str
    free: int
    total: int


def find_device(wanted: str) -> str:
    """`cpu` or `cuda` for `auto`, `cpu` or `cuda`. Raises OperatorError if CUDA is wanted and can't be used."""
    if wanted == "cpu" or (wanted == "auto" and torch.version.cuda is None):
        return "cpu"
    try:
        look()
    except OperatorError:
        if wanted == "auto":
            return "cpu"
        raise
    return "cuda"


@cache
def look() -> Card:
    """The device, once it has computed something in a process of its own. Raises OperatorError if it can't."""
    try:
        asked = subprocess.run(
            [sys.executable, "-I", "-c", ASK], capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
        if asked.returncode == 0:
            return Card(*json.loads(asked.stdout))
        reason = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"no answer within {ASK_SECONDS} seconds"
    raise OperatorError(
        f"CUDA was asked for and can't be used here ({reason}). Use --device cpu, or look at the driver."
    )


def most_at_once(card: Card, memory: int) -> int:
    """How many submissions the device has room for: a judge and a worker each, with `memory` bytes of tensors each.

    Raises OperatorError if there is room for none.
    """
    needed = 2 * (CONTEXT + memory)
    if card.free < needed:
        raise OperatorError(
            f"the GPU ({card.name}) has {_gigabytes(card.free)} of its {_gigabytes(card.total)} free, and grading one "
            f"submission may take {_gigabytes(needed)}. End what else uses it, lower `device_memory` in the "
            "assignment's [limits], or use --device cpu."
        )
    return card.free // needed


def describe() -> str:
    """What the device is and has free, for an operator. Raises OperatorError if it can't be used."""
    card = look()
    return f"{card.name}, {_gigabytes(card.free)} of {_gigabytes(card.total)} free"


def try_in_sandbox() -> str:
    """How long a confined worker takes to start the device. Raises OperatorError if it can't."""
    profile = isolation.choose("best")
    zygote = Zygote(profile, gpu=True)
    try:
        zygote.await_ready()
        began = time.monotonic()
        worker = zygote.fork(Order(Limits()))
        worker.start_device("cuda")
        taken = time.monotonic() - began
        worker.end()
    finally:
        zygote.close()
    return f"a worker in isolation {profile.level} starts it in {taken:.2f} s"


def ran_out(finding: Finding) -> bool:
    """Whether it was device memory that a check lacked, in the worker or in the judge."""
    error = finding.error
    if isinstance(error, StudentRaised):
        return SCARCE.search(f"{error.raised.type}: {error.raised.message}") is not None
    return isinstance(error, RuntimeError) and SCARCE.search(f"{type(error).__name__}: {error}") is not None


class Share:
    """One judge's part in a device. Starts the device in this process.

    memory: bytes that its own tensors may take, and a worker's.  Raises OperatorError if the device can't be started.
    """

    def __init__(self, name: str, memory: int) -> None:
        try:
            device.start(name, memory)
        except RuntimeError as error:
            raise OperatorError(f"a judge can't use {name} ({error}). Use fewer --workers, or --device cpu.") from error
        self.device = torch.device(name)
        self.memory = memory
        uuid = torch.cuda.get_device_properties(self.device.index or 0).uuid
        self._turns = Turns(re.sub(r"[^\w-]", "", str(uuid)))

    @contextlib.contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """For one submission on the device, beside others or with no other of ours there.

        Raises OperatorError where others than we leave too little room for one alone, Spoiled if the device does not
        answer this process any more: what came of the turn is then worth nothing.
        """
        with self._turns.alone() if alone else self._turns.shared():
            if alone:
                self._await_room()
            yield
            try:
                torch.cuda.synchronize(self.device)
                torch.cuda.empty_cache()
            except RuntimeError as error:
                raise Spoiled(str(error)) from error

    def _await_room(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while (free := torch.cuda.mem_get_info(self.device)[0]) < CONTEXT + self.memory:
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"the GPU has {_gigabytes(free)} free where nobody else of ours is on it, and a submission may "
                    f"take {_gigabytes(CONTEXT + self.memory)}: other programs hold the rest"
                )
            time.sleep(0.5)


class Turns:
    """Who may be on a device, over all graders of this user on this machine: many at once, or one alone.

    Whoever waits to be alone lets nobody in before. A turn ends with its process. Raises OperatorError if the place of
    the locks is somebody else's.
    """

    def __init__(self, name: str) -> None:
        folder = Path(tempfile.gettempdir()) / f"autograder-turns-{os.geteuid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
            raise OperatorError(f"{folder} is not a folder of this user, as it should be. Remove it, or set TMPDIR.")
        self._door = os.open(folder / f"{name}.door", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._room = os.open(folder / f"{name}.room", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Beside others."""
        with self._turn(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """With nobody else."""
        with self._turn(fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def _turn(self, manner: int) -> Iterator[None]:
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, manner)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GB"
