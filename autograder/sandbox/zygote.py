"""A process that is warm in torch and forks one worker per request. Runs no student code, holds no course file.

Started by `spawn` with a fresh `exec` and one descriptor, its control socket. A request is one packet: a plan in JSON
and three descriptors (the worker's link, where its output goes, and a receipt socket). On the receipt the zygote sends
the worker's pidfd at once, and how it ended when it has. It ends with the last holder of the other side of the control
socket, and its workers with it.
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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from autograder.sandbox import elsewhere, limits
from autograder.sandbox.cells import install_stand_ins
from autograder.sandbox.refusals import forbid
from autograder.sandbox.warm import settle, warm_up
from autograder.sandbox.worker import work

MAX_REQUEST = 1 << 17
ROUND = 0.25
DRIVER_MEMORY = 2 << 30


def main(control: socket.socket, scratch: str, refused: tuple[Sequence[str], Sequence[str]], *, gpu: bool) -> NoReturn:
    """Warm up, say so, and serve until nobody is left to ask."""
    limits.harden()
    limits.load_filter("gpu" if gpu else "cpu")
    with contextlib.suppress(ImportError):
        import matplotlib.pyplot  # noqa: F401 - loaded for the notebooks that draw
    warm_up(backward=not gpu)
    elsewhere.prepare()
    install_stand_ins()
    forbid(*refused)
    settle()
    control.send(json.dumps({"ready": True}).encode())
    nursery = Nursery(control, scratch)
    nursery.serve()
    nursery.clear()
    with contextlib.suppress(OSError):
        limits.clear(scratch)
    os._exit(0)


@dataclass(slots=True)
class Child:
    """One worker. disk, threads, memory: the most that it may have. excess: what it was ended for by us, if it was.

    memory: bytes, for a worker whose memory the kernel can't bound, because a driver reserves more than there is.
    """

    process: int
    receipt: socket.socket
    folder: str
    disk: int
    threads: int
    memory: int | None = None
    excess: str = ""


class Nursery:
    """The workers that are alive. What no limit of the kernel's bounds is looked after here, four times a second."""

    def __init__(self, control: socket.socket, scratch: str) -> None:
        self.control = control
        self.scratch = scratch
        self.count = 0
        self.children: dict[int, Child] = {}
        self.next_round = 0.0
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)

    def serve(self) -> None:
        while True:
            for descriptor, _ in self.poll.poll(1000 * ROUND if self.children else None):
                if descriptor in self.children:
                    self._reap(descriptor)
                elif not self._answer():
                    return
            if time.monotonic() >= self.next_round:
                self._look_after()

    def clear(self) -> None:
        """End every worker and leave nothing of theirs behind."""
        for pidfd in list(self.children):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            self._reap(pidfd)

    def _look_after(self) -> None:
        """End who fills the disk, or starts more threads than the kernel was told to count."""
        for pidfd, child in self.children.items():
            if limits.thread_count(child.process) > child.threads:
                child.excess = f"started more than {child.threads} threads"
            elif child.memory is not None and limits.resident(child.process) > DRIVER_MEMORY + child.memory:
                child.excess = f"used more than {child.memory // 2**20} MB of memory"
            else:
                child.excess = child.excess or limits.excess(child.folder, child.disk)
            if child.excess:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        self.next_round = time.monotonic() + ROUND

    def _answer(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self.control, MAX_REQUEST, 3)
        if not data:
            return False
        link, output, receipt = descriptors
        self._fork(json.loads(data), link, output, socket.socket(fileno=receipt))
        os.close(link)
        os.close(output)
        return True

    def _fork(self, plan: dict[str, Any], link: int, output: int, receipt: socket.socket) -> None:
        self.count += 1
        confinement = plan["confinement"]
        plan["parent"] = os.getpid()
        folder = confinement["writable"] = os.path.join(confinement["writable"] or self.scratch, f"w{self.count}")
        os.mkdir(folder, 0o700)
        if confinement.get("uid") is not None:
            os.chown(folder, confinement["uid"], confinement["gid"])
        process = os.fork()
        if process == 0:
            _become_worker(plan, link, output)
        pidfd = os.pidfd_open(process)
        self.children[pidfd] = Child(process, receipt, folder, plan["disk"], confinement["threads"], plan["memory"])
        self.poll.register(pidfd, select.POLLIN)
        with contextlib.suppress(OSError):
            socket.send_fds(receipt, [json.dumps({"pid": process}).encode()], [pidfd])

    def _reap(self, pidfd: int) -> None:
        child = self.children.pop(pidfd)
        self.poll.unregister(pidfd)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process, signal.SIGKILL)
        _, status, usage = os.wait4(child.process, 0)
        os.close(pidfd)
        with contextlib.suppress(OSError):
            limits.clear(child.folder)
        ended = {"status": status, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}
        with contextlib.suppress(OSError):
            child.receipt.send(json.dumps({**ended, "excess": child.excess}).encode())
        child.receipt.close()


def _become_worker(plan: dict[str, Any], link: int, output: int) -> NoReturn:
    try:
        work(plan, (link, output))
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
    finally:
        os._exit(70)
