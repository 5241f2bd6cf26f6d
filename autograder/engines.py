"""Many submissions at once on this machine: trusted judges, forked from one warm process, that share one zygote.

The pool hands entries to judges and yields grades as they come. A judge that dies takes nothing with it: what it had is
given to another, and only what has brought down three judges is reported as our fault.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import torch

from autograder import course, gpu, ledger
from autograder.errors import BrokenAssignment, OperatorError
from autograder.grader import Grader, Setting
from autograder.judge import Judge, hold_session
from autograder.records import Assignment, Entry, Grade, Limits, Outcome
from autograder.sandbox import isolation, limits
from autograder.sandbox.spawn import DeviceStuck, Refused, Zygote
from autograder.sandbox.warm import warm_up

AHEAD = 2
TRIES = 3
IDLE_ENDS = 3
PARTING_SECONDS = 1.0
PROBLEM = b"problem "
STUCK = b"stuck "


@dataclass(frozen=True, slots=True)
class Job:
    """What a pool is to do for each entry.

    every_alone: a fresh worker for each check.  only: the checks to judge, all if empty.
    batch: what is graded together gets the same inputs; each submission its own, if empty.
    """

    assignment: Assignment
    secret: bytes
    profile: isolation.Profile
    device: str = "cpu"
    workers: int = 1
    every_alone: bool = False
    only: frozenset[str] = frozenset()
    batch: str = ""


@dataclass(slots=True)
class _Hand:
    """One judge process, as the pool sees it."""

    slot: int
    process: int
    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    busy: deque[Entry] = field(default_factory=deque)


class LocalPool:
    """Judges on this machine. Use as a context manager; `grade` may be called several times.

    zygote: one that is warm already and stays so (see `warm_zygote`); else the pool has its own.
    Raises BrokenAssignment if the hidden tests can't be collected, OperatorError if judges keep dying.
    """

    def __init__(self, job: Job, zygote: Zygote | None = None) -> None:
        if sys.platform != "linux":
            raise OperatorError(
                f"submissions can be graded on Linux only, and this is {sys.platform}. Here `autograder check` runs "
                "the public tests; grade on a Linux machine, a container, or a virtual machine."
            )
        self.job = _with_slots(job)
        self.zygote = zygote or _zygote(self.job)
        self._owns_zygote = zygote is None
        self.hands: list[_Hand] = []
        self._idle_ends = 0

    def __enter__(self) -> "LocalPool":
        try:
            course.reference(self.job.assignment)
            if self._owns_zygote:
                warm_up(backward=self.job.device == "cpu")
                self.zygote.await_ready()
            for slot in range(self.job.workers):
                self.hands.append(self._hire(slot))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def grade(self, entries: Iterable[Entry]) -> Iterator[Grade]:
        """Grades in the order in which they are ready."""
        waiting = deque(entries)
        tries: dict[str, int] = {}
        while waiting or any(hand.busy for hand in self.hands):
            self._hand_out(waiting)
            connections = {hand.connection: hand for hand in self.hands}
            for ready in select.select(list(connections), [], [])[0]:
                yield from self._settled(connections[ready], waiting, tries)

    def close(self) -> None:
        """End judges, zygote and workers."""
        for hand in self.hands:
            hand.connection.close()
        deadline = time.monotonic() + PARTING_SECONDS
        for hand in self.hands:
            _await_end(hand.process, 0.0 if hand.busy else deadline - time.monotonic())
        self.hands.clear()
        if self._owns_zygote:
            self.zygote.close()

    def _settled(self, hand: _Hand, waiting: deque[Entry], tries: dict[str, int]) -> Iterator[Grade]:
        """The grades that a judge has ready; what failed through a fault of ours waits once more instead."""
        for grade in self._collect(hand, waiting, tries):
            entry = hand.busy.popleft()
            tries[entry.id] = tries.get(entry.id, 0) + 1
            if grade.status is Outcome.INTERNAL and tries[entry.id] < TRIES:
                waiting.append(entry)
            else:
                tries.pop(entry.id, None)
                yield grade

    def _hand_out(self, waiting: deque[Entry]) -> None:
        for _ in range(AHEAD):
            for hand in self.hands:
                if waiting and len(hand.busy) < AHEAD:
                    entry = waiting.popleft()
                    hand.busy.append(entry)
                    with contextlib.suppress(OSError):
                        hand.connection.sendall(json.dumps({**asdict(entry), "path": str(entry.path)}).encode() + b"\n")

    def _collect(self, hand: _Hand, waiting: deque[Entry], tries: dict[str, int]) -> Iterator[Grade]:
        try:
            data = hand.connection.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            yield from self._replace(hand, waiting, tries)
            return
        hand.received += data
        while b"\n" in hand.received:
            line, _, rest = hand.received.partition(b"\n")
            hand.received = rest
            if line.startswith(PROBLEM):
                raise BrokenAssignment(json.loads(line.removeprefix(PROBLEM)))
            if line.startswith(STUCK):
                raise DeviceStuck(json.loads(line.removeprefix(STUCK)))
            yield ledger.from_json(line.decode())

    def _replace(self, hand: _Hand, waiting: deque[Entry], tries: dict[str, int]) -> Iterator[Grade]:
        """A judge has died: what it was at is tried once more by another, then given up as our fault."""
        _, status = os.waitpid(hand.process, 0)
        hand.connection.close()
        self.hands.remove(hand)
        self._idle_ends += not hand.busy
        if self._idle_ends > IDLE_ENDS:
            raise OperatorError(
                f"{self._idle_ends} judging processes ended while they had nothing to judge (the last: {status}). "
                "Look at the lines above; `autograder doctor` shows what this machine allows."
            )
        if hand.busy:
            yield from self._try_again(hand, waiting, tries, status)
        waiting.extendleft(reversed(hand.busy))
        hand.busy.clear()
        self.hands.append(self._hire(hand.slot))

    def _try_again(self, hand: _Hand, waiting: deque[Entry], tries: dict[str, int], status: int) -> Iterator[Grade]:
        suspect = hand.busy[0]
        if tries.get(suspect.id, 0) + 1 < TRIES:
            tries[suspect.id] = tries.get(suspect.id, 0) + 1
            waiting.append(hand.busy.popleft())
        else:
            yield given_up(self.job, suspect, f"judging ended a trusted process {TRIES} times, status {status}")

    def _hire(self, slot: int) -> _Hand:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        process = os.fork()
        if process == 0:
            ours.close()
            for other in self.hands:
                other.connection.close()
            _become_judge(self.job, slot, theirs, self.zygote, parent)
        theirs.close()
        return _Hand(slot, process, ours)


def _await_end(process: int, seconds: float) -> None:
    """Let a child end by itself, for so long; then end it."""
    with contextlib.suppress(ChildProcessError):
        deadline = time.monotonic() + seconds
        while os.waitpid(process, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                return
            time.sleep(0.005)


def _become_judge(job: Job, slot: int, connection: socket.socket, zygote: Zygote, parent: int) -> NoReturn:
    try:
        limits.harden()
        limits.die_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        hold_session(
            job.assignment.folder / "test_hidden.py", lambda judge: _serve(judge, job, slot, connection, zygote)
        )
    except BrokenAssignment as error:
        connection.sendall(PROBLEM + json.dumps(str(error)).encode() + b"\n")
    except DeviceStuck as error:
        connection.sendall(STUCK + json.dumps(str(error)).encode() + b"\n")
    except gpu.Spoiled:
        pass  # another judge, with a device that answers, does it again
    except ConnectionError:
        pass  # the supervisor is gone: nobody is left to be told
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _serve(judge: Judge, job: Job, slot: int, connection: socket.socket, zygote: Zygote) -> NoReturn:
    share = gpu.Share(job.device, job.assignment.limits.device_memory) if job.device != "cpu" else None
    setting = Setting(
        assignment=job.assignment,
        reference=course.reference(job.assignment),
        device=torch.device(job.device),
        secret=job.secret,
        isolation=job.profile.level,
        batch=job.batch,
        slot=slot,
        every_alone=job.every_alone,
        only=job.only,
    )
    grader = Grader(setting, judge, lambda: _own_zygote(job), zygote, share)
    with connection.makefile("rb") as lines:
        for line in lines:
            read = json.loads(line)
            grade = _grade(grader, job, Entry(**{**read, "path": Path(read["path"])}))
            connection.sendall(ledger.to_json(grade).encode() + b"\n")
    grader.close()
    os._exit(0)


def _grade(grader: Grader, job: Job, entry: Entry) -> Grade:
    began = time.monotonic()
    try:
        return grader.grade(entry)
    except (DeviceStuck, gpu.Spoiled):
        raise
    except Exception:
        grade = given_up(job, entry, traceback.format_exc())
        return replace(grade, seconds=round(time.monotonic() - began, 3))


def given_up(job: Job, entry: Entry, detail: str) -> Grade:
    return Grade(
        submission=entry.id,
        student=entry.student,
        assignment=job.assignment.name,
        status=Outcome.INTERNAL,
        score=None,
        max_score=None,
        isolation=job.profile.level.value,
        device=job.device,
        seconds=0.0,
        notes=("This submission could not be graded, through no fault of yours. It costs you nothing.",),
        detail=detail,
        version=job.assignment.version,
    )


def warm_zygote(job: Job) -> Zygote:
    """A zygote for pools with this job's profile, workers, device and refusals. The caller closes it."""
    zygote = _zygote(_with_slots(job))
    warm_up(backward=job.device == "cpu")  # this process, which judges are forked from, at the same time
    zygote.await_ready()
    return zygote


def most_workers(wanted: int, device: str, limits: Limits) -> int:
    """So many of the wanted workers as the device has room for. Raises OperatorError if that is none."""
    return wanted if device == "cpu" else min(wanted, gpu.most_at_once(gpu.look(), limits.device_memory))


def _with_slots(job: Job) -> Job:
    workers = most_workers(job.workers, job.device, job.assignment.limits)
    return replace(job, workers=workers, profile=replace(job.profile, slots=max(job.profile.slots, workers)))


def _own_zygote(job: Job) -> Zygote:
    zygote = _zygote(job)
    zygote.await_ready()
    return zygote


def _zygote(job: Job) -> Zygote:
    refused = Refused(job.assignment.forbidden, job.assignment.operators)
    return Zygote(job.profile, refused, gpu=job.device != "cpu")
