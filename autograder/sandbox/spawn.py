"""The trusted end of the wall: starts a zygote, has it fork workers, and holds each worker by its pidfd.

A worker is asked one thing at a time. Every answer has a budget of CPU time, so that a busy machine takes no points,
and a generous one of wall time for what sleeps. What a worker prints is drained while we wait for it, never read.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autograder.errors import OperatorError, WireError
from autograder.records import Cell, Isolation, Limits, Status
from autograder.sandbox import isolation, limits, wire

START_SECONDS = 120.0
END_SECONDS = 20.0
GRACE_SECONDS = 2.0
DEVICE_SECONDS = 120.0
KEPT_OUTPUT = 64 * 1024
SLICE = 0.25
SANDBOX = Path(__file__).parent
ENTRY = (
    "import sys, socket; sys.dont_write_bytecode = True; sys.path.insert(0, {root!r}); "
    "from autograder.sandbox.zygote import main; sys.path.pop(0); "
    "main(socket.socket(fileno={control}), {scratch!r}, {refused!r}, gpu={gpu!r})"
)


class WorkerEnded(Exception):
    """A worker that can't go on. `status` says how it ended, the text says it to the student."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


class ZygoteDied(OperatorError):
    """The zygote is gone; a new one can be started, and nothing is lost."""


class NoDevice(OperatorError):
    """A worker could not start the accelerator: not the submission's fault, none of it has run."""


class DeviceStuck(OperatorError):
    """A worker does not end although it was killed: the accelerator's driver holds it. Nothing else should go there."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one answer may take, in seconds. cpu is counted over all threads of the worker."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Refused:
    """What student code may not call: dotted names, and operators of torch's dispatcher."""

    calls: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to be: its limits, its seed, and its place among the workers alive at once."""

    limits: Limits
    seed: int = 0
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a worker used, from the kernel's own accounting: CPU seconds, peak memory in bytes."""

    cpu: float
    peak: int


class Zygote:
    """A warm process that forks workers. Several judges may share one: each request carries its own reply channel.

    refused: calls and operators that no worker of this zygote may use. Refusing them costs milliseconds, so it is done
    once, before the forks.
    """

    def __init__(self, profile: isolation.Profile, refused: Refused = Refused(), *, gpu: bool = False) -> None:
        self.lease = isolation.lease(profile)
        self.profile = profile = replace(profile, users=tuple(self.lease.users)) if self.lease else profile
        self.gpu = gpu
        walled = profile.level is Isolation.NAMESPACES
        self.scratch = isolation.INNER_SCRATCH if walled else Path(tempfile.mkdtemp(prefix="autograder-"))
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inside = str(isolation.inner_scratch(profile, self.scratch))
        both = (tuple(refused.calls), tuple(refused.operators))
        code = ENTRY.format(
            root=str(SANDBOX.parent.parent), control=theirs.fileno(), scratch=inside, refused=both, gpu=gpu
        )
        arguments = [sys.executable, "-I", "-c", code]
        with theirs:
            self.process = isolation.launch(
                profile, arguments, [SANDBOX.parent], [theirs.fileno()], self.scratch, gpu=gpu
            )
        self.owner = os.getpid()

    def await_ready(self) -> None:
        """Wait until the zygote is warm. Once per zygote, before its first fork. Raises ZygoteDied."""
        readable, _, _ = select.select([self.control], [], [], START_SECONDS)
        if readable and self.control.recv(4096):
            return
        said = isolation.last_words(self.process)
        self.close()
        raise ZygoteDied(
            f"the sandbox ({self.profile.level}) did not start: {said}. "
            "Run `autograder doctor` to see what this machine allows."
        )

    def fork(self, order: Order) -> "Worker":
        """A new worker. Raises ZygoteDied if there is nobody to fork it."""
        link, link_theirs = socket.socketpair()
        receipt, receipt_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, output_theirs = os.pipe2(os.O_CLOEXEC)
        plan = {
            "confinement": isolation.confinement(self.profile, order.limits, order.slot, gpu=self.gpu),
            "seed": order.seed,
            "threads": 1,
            "disk": self.profile.disk,
            "memory": order.limits.memory if self.gpu else None,
        }
        descriptors = [link_theirs.fileno(), output_theirs, receipt_theirs.fileno()]
        try:
            try:
                socket.send_fds(self.control, [json.dumps(plan).encode()], descriptors)
            finally:
                link_theirs.close()
                receipt_theirs.close()
                os.close(output_theirs)
            _wait_readable(receipt, START_SECONDS)
            data, passed, _, _ = socket.recv_fds(receipt, 4096, 1)
            if not data:
                raise ConnectionError("the zygote closed the receipt")
        except (OSError, ConnectionError) as error:
            for end in (link, receipt):
                end.close()
            os.close(output)
            raise ZygoteDied(f"the process that forks workers is gone ({error})") from error
        return Worker(link, passed[0], output, receipt, order.limits)

    def close(self) -> None:
        """End the zygote and every worker it has. Only the process that started it does anything."""
        self.control.close()
        with self.lease or contextlib.nullcontext():
            if os.getpid() == self.owner:
                self._end()

    def _end(self) -> None:
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        if self.profile.level is not Isolation.NAMESPACES:
            limits.clear(str(self.scratch))


class Worker:
    """One submission's process, seen from the trusted side. Every method may raise WorkerEnded."""

    def __init__(self, link: socket.socket, pidfd: int, output: int, receipt: socket.socket, limits: Limits) -> None:
        self.link = link
        self.pidfd = pidfd
        self.output = output
        self.limits = limits
        self.printed = bytearray()
        self.used_at_end = Usage(0.0, 0)
        self.alive = True
        self._receipt = receipt
        self._status: int | None = None
        self._excess = ""
        self._printed_bytes = 0
        self._clock = _cpu_clock(pidfd)
        self._device = ""
        self._unpaid = 0.0
        self._spent = _Spent(self, Budget(0.0, 0.0))
        self._inbox = wire.Inbox(self._fill)
        link.setblocking(False)
        os.set_blocking(output, False)
        self._poll = select.poll()
        self._poll.register(pidfd, select.POLLIN)
        self._poll.register(output, select.POLLIN)
        self._poll.register(link, select.POLLIN)

    def start_device(self, name: str) -> None:
        """Start the accelerator, before anything of the submission has run. What that takes is not counted.

        Raises NoDevice if it can't be had, with the reason.
        """
        self._device = name
        operation = {"op": "device", "name": name, "memory": self.limits.device_memory}
        try:
            problem = self.ask(operation, Budget(DEVICE_SECONDS, DEVICE_SECONDS)).value["problem"]
        except WorkerEnded as error:
            problem = str(error)
        if problem:
            self.end()
            raise NoDevice(f"a worker can't use {name} ({problem})")
        self._unpaid = self.cpu()

    def run_cells(self, cells: Sequence[Cell], budget: Budget) -> Iterator[int | list[dict[str, Any]]]:
        """Run the cells in order: yields the number of each cell as it starts, at last the list of their errors."""
        work = {"op": "cells", "cells": [(cell.number, cell.source) for cell in cells]}
        self._spent = _Spent(self, budget)
        self._send(wire.pack(work))
        coming = [cell.number for cell in reversed(cells)]
        while True:
            answer = self._unpacked(self._receive()).value
            if isinstance(answer, dict) and coming and answer.get("cell") == coming[-1]:
                yield coming.pop()
            elif isinstance(answer, dict) and type(answer.get("ready")) is list:
                yield answer["ready"]
                return
            else:
                raise self._malformed("an answer that is none")

    def ask(
        self, operation: dict[str, Any], budget: Budget, lend: Callable[[Any], dict[str, Any]] | None = None
    ) -> wire.Message:
        """Have one operation performed within `budget`. The message's value is always a dict.

        lend: answers what the worker asks in the meantime; without it, it may not ask.
        """
        frame = self.exchange(wire.pack(operation, keep_storage=True), budget)
        while True:
            message = self._unpacked(frame)
            if lend is None or type(message.value) is not dict or "lend" not in message.value:
                return self._answer(message)
            self._send(wire.pack(lend(message.value["lend"])))
            frame = self._receive()

    def exchange(self, request: Sequence[wire.Buffer], budget: Budget) -> wire.Frame:
        """Send a packed operation, and have what comes back within `budget`. Nothing has looked into that yet."""
        self._spent = _Spent(self, budget)
        self._send(request)
        return self._receive()

    def understood(self, frame: wire.Frame) -> wire.Message:
        """The answer in a frame of this worker's; its value is always a dict."""
        return self._answer(self._unpacked(frame))

    def _answer(self, message: wire.Message) -> wire.Message:
        if type(message.value) is not dict:
            raise self._malformed("an answer that is none")
        if "lend" in message.value:
            raise self._malformed("a request that it may not make")
        return message

    def _unpacked(self, frame: wire.Frame) -> wire.Message:
        try:
            return frame.unpack()
        except WireError as error:
            raise self._malformed(str(error)) from error

    def cpu(self) -> float:
        """CPU seconds used so far, all threads."""
        if not self.alive:
            return self.used_at_end.cpu
        try:
            return time.clock_gettime(self._clock) - self._unpaid
        except OSError:
            return self.used_at_end.cpu

    def end(self) -> Usage:
        """Kill the worker, wait until the kernel has it back, and close what belongs to it.

        Raises DeviceStuck if it is on an accelerator and does not end.
        """
        if not self.alive:
            return self.used_at_end
        self.alive = False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self._await_end()
        self._drain()
        self.link.close()
        self._receipt.close()
        os.close(self.pidfd)
        os.close(self.output)
        return self.used_at_end

    def _await_end(self) -> None:
        try:
            _wait_readable(self._receipt, END_SECONDS)
            ended = json.loads(self._receipt.recv(4096))
        except TimeoutError as error:
            if self._device:
                raise DeviceStuck(
                    f"a submission's process on {self._device} has not ended {END_SECONDS:g} seconds after it was "
                    "killed: the device's driver holds it. Every grade so far is kept. Look at the device (nvidia-smi, "
                    "the kernel's log), have it reset where nobody else uses it, and run the same command again."
                ) from error
            return
        except (OSError, ValueError):
            return
        self._status, self._excess = ended["status"], ended["excess"]
        self.used_at_end = Usage(max(0.0, ended["cpu"] - self._unpaid), ended["peak"])

    def _send(self, buffers: Sequence[wire.Buffer]) -> None:
        for buffer in buffers:
            view = memoryview(buffer)
            while view:
                try:
                    view = view[self.link.send(view) :]
                except BlockingIOError:
                    self._wait(select.POLLOUT)
                except OSError:
                    raise self._ended() from None

    def _receive(self) -> wire.Frame:
        try:
            return self._inbox.frame(self.limits.reply)
        except WireError as error:
            raise self._malformed(str(error)) from error

    def _fill(self, view: memoryview) -> int:
        while True:
            self._wait(select.POLLIN)
            try:
                count = self.link.recv_into(view)
            except BlockingIOError:
                continue
            except OSError:
                count = 0
            if count == 0:
                raise self._ended()
            return count

    def _wait(self, events: int) -> None:
        spent = self._spent
        self._poll.modify(self.link, events)
        while True:
            left = spent.left()
            if left <= 0:
                sentence = spent.sentence()
                self.end()
                raise WorkerEnded(Status.TIMED_OUT, sentence)
            ready = {descriptor for descriptor, _ in self._poll.poll(1000 * min(left, SLICE))}
            if self.output in ready:
                self._drain()
            if self.link.fileno() in ready:
                return
            if self.pidfd in ready:
                raise self._ended()

    def _drain(self) -> None:
        while True:
            try:
                data = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(self.output)
                return
            self._printed_bytes += len(data)
            self.printed += data[: KEPT_OUTPUT - len(self.printed)]
            if self.alive and self._printed_bytes > self.limits.output:
                self.end()
                raise WorkerEnded(Status.REFUSED, f"printed more than {_megabytes(self.limits.output)} of output")

    def _malformed(self, what: str) -> WorkerEnded:
        self.end()
        return WorkerEnded(Status.CRASHED, f"the process of this submission sent something malformed ({what})")

    def _ended(self) -> WorkerEnded | ZygoteDied:
        gone, _, _ = select.select([self.pidfd], [], [], GRACE_SECONDS)
        self.end()
        status = self._status
        if status is None:
            return ZygoteDied("the process that forks workers died while a worker was busy")
        if self._excess:
            return WorkerEnded(Status.REFUSED, self._excess)
        if not gone:
            return WorkerEnded(Status.CRASHED, "closed its connection to the grader")
        if not os.WIFSIGNALED(status):
            code = os.waitstatus_to_exitcode(status)
            return WorkerEnded(Status.CRASHED, f"ended its own process (exit status {code})")
        number = os.WTERMSIG(status)
        spent = self.used_at_end.cpu >= self.limits.submission_cpu
        if number == signal.SIGXCPU or (number == signal.SIGKILL and spent):
            return WorkerEnded(Status.TIMED_OUT, "used more CPU time than a submission may")
        if number == signal.SIGKILL:
            return WorkerEnded(
                Status.OUT_OF_MEMORY,
                f"was ended by the system, most likely for its memory (it may use {_megabytes(self.limits.memory)})",
            )
        return WorkerEnded(Status.CRASHED, f"crashed its process ({signal.Signals(number).name})")


class _Spent:
    """How much of a budget is left."""

    def __init__(self, worker: Worker, budget: Budget) -> None:
        self.worker = worker
        self.budget = budget
        self.cpu_start: float | None = None
        self.wall_start = time.monotonic()

    def left(self) -> float:
        now = self.worker.cpu()
        if self.cpu_start is None:
            self.cpu_start = now
        cpu = self.budget.cpu - (now - self.cpu_start)
        wall = self.budget.wall - (time.monotonic() - self.wall_start)
        return min(cpu, wall)

    def sentence(self) -> str:
        used = self.worker.cpu() - (self.cpu_start or 0.0)
        if used >= self.budget.cpu:
            return f"used more than {round(self.budget.cpu, 1):g} seconds of CPU time"
        return f"did not answer within {round(self.budget.wall, 1):g} seconds"


def _cpu_clock(pidfd: int) -> int:
    """The kernel's CPU-time clock of the process behind `pidfd` (clock_getcpuclockid(3))."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return (~int(line.split()[1]) << 3) | 2
    raise OperatorError("this kernel does not say which process a pidfd stands for; Linux 5.4 or later is needed")


def _wait_readable(connection: socket.socket, seconds: float) -> None:
    readable, _, _ = select.select([connection], [], [], seconds)
    if not readable:
        raise TimeoutError(f"no answer within {seconds:g} seconds")


def _megabytes(size: int) -> str:
    return f"{size / 2**30:g} GB" if size >= 2**30 else f"{size / 2**20:g} MB"
