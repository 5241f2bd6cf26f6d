"""Stands beside a supervisor on a node, in a process of the cluster's, and carries what it is told and says.

The cluster's process has many threads, so nothing is forked from it: the supervisor is a fresh `exec` that lets go of
its parent at once. Of the environment it gets three names, none of them the cluster's.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autograder.scratch import sweep

CHUNK = 1 << 20
LINGER = 0.2
PARTING_SECONDS = 8.0
KEPT = ("PATH", "TMPDIR", "CUDA_VISIBLE_DEVICES")
ENTRY = (
    "import os, sys; os.fork() and os._exit(0); sys.dont_write_bytecode = True; sys.path.insert(0, {root!r}); "
    "from autograder.supervisor import main; sys.path.pop(0); main()"
)


class Outpost:
    """Starts a supervisor and carries bytes in and lines out. Understands none of them."""

    def __init__(self) -> None:
        kept = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
        code = ENTRY.format(root=str(Path(__file__).parent.parent))
        self._said = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115 - closed by `close`
        started = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={"LANG": "C.UTF-8", **kept},
            cwd="/",
            start_new_session=True,
        )
        assert started.stdin is not None and started.stdout is not None
        self._inward, self._outward = started.stdin, started.stdout
        self._group = started.pid
        self._waiting = bytearray()
        self._received = bytearray()
        self._over = False
        started.wait()
        os.set_blocking(self._inward.fileno(), False)

    def exchange(self, data: bytes, enough: int, patience: float) -> tuple[list[bytes], str | None]:
        """Take `data` in, wait for lines, and bring them out: `enough` of them, or those of the next moment.

        Empty when `patience` seconds have passed without any. The second is what a supervisor that has ended said last.
        """
        self._waiting += data
        lines: list[bytes] = []
        deadline = time.monotonic() + patience
        while len(lines) < enough and not self._over:
            left = deadline - time.monotonic()
            if left <= 0 or not self._move(left):
                break
            found = self._lines()
            if found and not lines:
                deadline = min(deadline, time.monotonic() + LINGER)
            lines += found
        return lines, self._last_words() if self._over and not self._received else None

    def close(self, patience: float = PARTING_SECONDS) -> None:
        """End the supervisor, and with it all that is below it. patience: seconds until it is made to."""
        self._inward.close()
        deadline = time.monotonic() + patience
        while not self._over and (left := deadline - time.monotonic()) > 0:
            if select.select([self._outward], [], [], left)[0]:
                self._over = not os.read(self._outward.fileno(), CHUNK)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, signal.SIGKILL)
        self._outward.close()
        self._said.close()
        sweep()

    def _move(self, seconds: float) -> bool:
        """Carry what can be carried now. False if there was nothing for so long."""
        sending = [self._inward] if self._waiting else []
        readable, writable, _ = select.select([self._outward], sending, [], seconds)
        if writable:
            try:
                del self._waiting[: os.write(self._inward.fileno(), self._waiting[:CHUNK])]
            except BrokenPipeError:
                self._waiting.clear()
        if readable:
            data = os.read(self._outward.fileno(), CHUNK)
            self._received += data
            self._over = not data
            if self._over:
                self._received.clear()  # half a line
        return bool(readable or writable)

    def _lines(self) -> list[bytes]:
        whole, newline, rest = self._received.rpartition(b"\n")
        self._received = rest
        return bytes(whole).split(b"\n") if newline else []

    def _last_words(self) -> str:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - 2000))
        said = self._said.read().decode(errors="replace").strip()
        return f"its grading process ended ({said.splitlines()[-1] if said else 'killed, it seems: it said nothing'})"
