"""What grades on a node of a cluster: a trusted process of its own, with its own zygote and sandbox.

It knows nothing of the cluster: `outpost` starts it with an environment made from nothing, and without a parent. One
line of `WORD JSON` at a time it is told what to do, on what was its standard input, and says what came of it; nothing
that it starts with an `exec` has either end. What it is sent of the course lies in a folder that nobody else can enter,
and that goes with it. When its input ends, it ends, and everything below it.
"""

import base64
import contextlib
import json
import os
import platform
import select
import shutil
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from autograder import course, gpu, ledger, regrading
from autograder.engines import Job, LocalPool
from autograder.errors import AutograderError, BrokenAssignment
from autograder.records import Entry, Grade, Isolation
from autograder.sandbox import isolation, limits
from autograder.scratch import private_folder

CHUNK = 1 << 20
PULSE = 10.0


class Ended(Exception):
    """The other side is gone, or has heard enough."""


def versions() -> dict[str, str]:
    """What must be the same on every node, or grades would not be."""
    return {
        "autograder": regrading.ourselves(),
        "torch": torch.__version__,
        "Python": platform.python_version(),
    }


@dataclass(slots=True)
class Channel:
    """What a supervisor is told and says. here, there: a path of this machine, and what it is called elsewhere."""

    incoming: int
    outgoing: int
    here: str = ""
    there: str = ""
    _begun: bytearray = field(default_factory=bytearray)
    _lines: deque[bytes] = field(default_factory=deque)

    @classmethod
    def take_over(cls) -> "Channel":
        """Standard input and output, which are then nothing, and the way of the errors."""
        channel = cls(os.dup(0), os.dup(1))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return channel

    def listen(self) -> None:
        """Take in what there is, once. Raises Ended if there will be nothing more."""
        data = os.read(self.incoming, CHUNK)
        if not data:
            raise Ended
        self._begun += data
        if b"\n" in data:
            *lines, rest = bytes(self._begun).split(b"\n")
            self._lines += lines
            self._begun = bytearray(rest)

    def next(self) -> tuple[str, Any]:
        """The next word, with what it is about."""
        while not self._lines:
            self.listen()
        word, _, about = self._lines.popleft().partition(b" ")
        return word.decode(), json.loads(about)

    @property
    def waiting(self) -> bool:
        """Whether `next` has something at once."""
        return bool(self._lines)

    def say(self, word: str, about: str) -> None:
        """about: JSON, on one line."""
        for here in (self.here, self.here.lstrip("/")) if self.here else ():  # as it is, and as seen from /
            about = about.replace(json.dumps(here)[1:-1], json.dumps(self.there)[1:-1])
        data = memoryview(f"{word} {about}\n".encode("ascii"))
        try:
            while data:
                data = data[os.write(self.outgoing, data) :]
        except BrokenPipeError:
            raise Ended from None


class FedPool(LocalPool):
    """A pool that is handed more while it grades."""

    def serve(self, channel: Channel, entry: Callable[[], Entry]) -> Iterator[Grade]:
        """Grades as they are ready, until the channel ends; a sign of life in between, where that takes long.

        entry: takes the next one from the channel.
        """
        waiting: deque[Entry] = deque()
        tries: dict[str, int] = {}
        while True:
            while channel.waiting:
                waiting.append(entry())
            self._hand_out(waiting)
            hands = {hand.connection.fileno(): hand for hand in self.hands}
            found, _, _ = select.select([channel.incoming, *hands], [], [], PULSE)
            if not found:
                channel.say("alive", "null")
            for ready in found:
                if ready == channel.incoming:
                    channel.listen()
                else:
                    yield from self._settled(hands[ready], waiting, tries)


def main() -> None:
    """Serve standard input until it ends."""
    channel = Channel.take_over()
    with contextlib.suppress(Ended):
        try:
            limits.harden()
            _serve(channel)
        except Ended:
            raise
        except BrokenAssignment as error:
            channel.say("broken", json.dumps(str(error)))
        except AutograderError as error:
            channel.say("problem", json.dumps(str(error)))
        except Exception:
            channel.say("problem", json.dumps(traceback.format_exc()))


def _serve(channel: Channel) -> None:
    _, wanted = channel.next()
    best = isolation.choose(wanted["isolation"])
    device = gpu.find_device(wanted["device"])
    found = {"versions": versions(), "isolation": best.level, "device": device, "processors": _processors()}
    channel.say("found", json.dumps(found))
    _, order = channel.next()
    with private_folder("node") as folder:
        channel.here, channel.there = str(_place(folder, order)), order["folder"]
        job = _job(folder, order, wanted["isolation"])
        basis = json.dumps(asdict(regrading.basis(job.assignment, job.secret)))
        works = _Works(folder / "works", channel)
        pool = FedPool(job)
        with pool:
            channel.say("ready", basis)
            for grade in pool.serve(channel, works.take):
                works.drop(grade.submission)
                channel.say("grade", ledger.to_json(grade))


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _job(folder: Path, order: dict[str, Any], wanted: str) -> Job:
    """The job as it was meant where it comes from, with the sandbox of this machine."""
    place = _place(folder, order)
    for name, content in order["files"].items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
    level = Isolation(order["isolation"])
    if level is Isolation.NONE:
        profile = isolation.choose("off")
    else:
        profile = isolation.choose(wanted, only=level, private=[place])
    return Job(
        course.load(folder / "course", order["name"]),
        bytes.fromhex(order["secret"]),
        profile,
        order["device"],
        order["workers"],
        order["every_alone"],
        frozenset(order["only"]),
        order["batch"],
    )


def _place(folder: Path, order: dict[str, Any]) -> Path:
    """Where the assignment is."""
    return folder / "course" / "solutions" / str(order["name"])


class _Works:
    """The files to be graded, each in a folder of its own: its name is as it was handed in."""

    def __init__(self, folder: Path, channel: Channel) -> None:
        self._folder = folder
        self._channel = channel
        self._count = 0
        self._places: dict[str, deque[Path]] = {}

    def take(self) -> Entry:
        """The next one from the channel, as a file."""
        _, work = self._channel.next()
        self._count += 1
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in work["entry"].items()
        }
        path = self._folder / str(self._count) / plain["path"]
        path.parent.mkdir(parents=True)
        if work["content"] is not None:
            path.write_bytes(base64.b64decode(work["content"]))
        self._places.setdefault(plain["id"], deque()).append(path.parent)
        return Entry(**{**plain, "path": path})

    def drop(self, id_: str) -> None:
        """One that is graded."""
        places = self._places[id_]
        shutil.rmtree(places.popleft(), ignore_errors=True)
        if not places:
            del self._places[id_]
