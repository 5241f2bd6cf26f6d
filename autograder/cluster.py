"""A class on many machines: hands out shards of it to supervisors on the nodes of a Ray cluster, takes grades in.

Ray carries bytes between this process and one supervisor per node, or per share of a GPU. No student code runs below a
process of Ray's. What a lost node had, and had not yet given back, is done again by another. Only this process has the
gradebook.
"""

import base64
import contextlib
import json
import os
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autograder import ledger, notebook, regrading
from autograder.engines import TRIES, Job, given_up
from autograder.errors import BrokenAssignment, InstructorError, OperatorError, UnreadableSubmission
from autograder.outpost import Outpost
from autograder.records import Assignment, Basis, Entry, Grade, Isolation
from autograder.sandbox.isolation import Profile
from autograder.supervisor import versions

SHARD = 25
AHEAD = 4
PATIENCE = 0.5
SILENCE = 120.0
START_SECONDS = 180.0
CONNECT_SECONDS = 5.0
PARTING_SECONDS = 12.0
START_PARTING_SECONDS = 3.0
SHARD_BYTES = 64 * 2**20
COURSE_BYTES = 256 * 2**20
KEEP_ON = "Every grade so far is in the gradebook: the same command goes on from there."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a cluster.

    address:   host:port of its head; empty for the one that Ray finds.
    isolation: require, best or off.  device: auto, cpu or cuda.
    workers:   submissions at once on each node, 0 for one per processor.
    shard:     how many submissions a supervisor is handed at once.  gpu_share: of a GPU, for each supervisor.
    """

    address: str = ""
    isolation: str = "require"
    device: str = "auto"
    workers: int = 0
    shard: int = SHARD
    gpu_share: float = 1.0


@dataclass(slots=True)
class _Place:
    """Where a supervisor may be. failures: how often one did not come to work there."""

    node: str
    name: str
    workers: int
    processors: float
    gpus: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class _Station:
    """A supervisor, as seen from here. call: the exchange that is under way.  alone: it has one submission only.

    heard: when it said something the last time, or was given something after it had nothing.
    """

    place: _Place
    actor: Any
    outgoing: bytearray
    call: Any = None
    found: dict[str, Any] | None = None
    serving: bool = False
    alone: bool = False
    count: int = 0
    heard: float = 0.0
    busy: dict[str, deque[Entry]] = field(default_factory=dict)

    def tell(self, word: str, about: dict[str, Any]) -> None:
        self.outgoing += f"{word} {json.dumps(about)}\n".encode("ascii")

    def take(self, entry: Entry) -> None:
        self.busy.setdefault(entry.id, deque()).append(entry)
        if not self.count:
            self.heard = time.monotonic()
        self.count += 1

    def give_back(self, id_: str) -> Entry | None:
        """The entry, once; None for what it does not have."""
        if id_ not in self.busy:
            return None
        entry = self.busy[id_].popleft()
        self.count -= 1
        if not self.busy[id_]:
            del self.busy[id_]
        return entry


class Cluster:
    """The nodes, connected and looked at: every one has the same versions and can give what was asked for.

    Use as a context manager. Raises OperatorError where there is no cluster, or a node that can't be used, and says
    which and why. profile, device: what all nodes have, so that grades don't depend on the node. workers: of all.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.stations: list[_Station] = []
        self.profile = Profile(Isolation.NONE)
        self.device = "cpu"
        self.workers = 0
        self.lost: dict[str, str] = {}
        self._ray = _library()
        self._connected = False
        self._out = contextlib.redirect_stdout(sys.stderr)  # Ray prints there, from a thread of its own

    def __enter__(self) -> "Cluster":
        self._out.__enter__()
        try:
            self._connect()
            for _ in range(TRIES):
                for place in _places(self._ray.nodes(), self.wanted):
                    self.hire(place)
                self._look()
                if self.stations:
                    break
            self._settle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()
        if self._connected:
            self._ray.shutdown()
        self._out.__exit__(None, None, None)

    @property
    def incidents(self) -> list[str]:
        """What was lost on the way."""
        return [f"{name} was lost ({reason}); what it had was done again." for name, reason in self.lost.items()]

    def pool(self, job: Job) -> "RayPool":
        """What grades with this cluster. Of the job's profile only the level counts; `workers` are each node's own."""
        return RayPool(self, job)

    def dismiss(self) -> None:
        """End every supervisor, and with it all that runs below it."""
        stations, self.stations = self.stations, []
        for known in (True, False):  # one that has never been heard of may be on a node that is gone
            partings = [each.actor.close.remote() for each in stations if (each.found is not None) is known]
            if partings:
                seconds = PARTING_SECONDS if known else START_PARTING_SECONDS
                self._ray.wait(partings, num_returns=len(partings), timeout=seconds)
        for station in stations:
            self._ray.kill(station.actor)

    def hire(self, place: _Place) -> None:
        """Have a supervisor start, and ask what it finds."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        outpost = self._ray.remote(Outpost).options(
            num_cpus=place.processors,
            num_gpus=place.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
        )
        station = _Station(place, outpost.remote(), bytearray())
        device = self.wanted.device if place.gpus else "cpu"
        station.tell("survey", {"isolation": self.wanted.isolation, "device": device})
        self.stations.append(station)

    def turn(self, seconds: float | None = None) -> Iterator[tuple[_Station, str, bytes]]:
        """Carry bytes both ways, and yield who says what. One that is gone says `ended`, and why.

        Waits for the first that has something to say, or is done waiting for it; `seconds` at most.
        """
        for station in self.stations:
            if station.call is None:
                data, station.outgoing = bytes(station.outgoing), bytearray()
                station.call = station.actor.exchange.remote(data, max(1, station.count // 2), PATIENCE)
        calls = {station.call: station for station in self.stations}
        for call in self._ray.wait(list(calls), num_returns=1, timeout=seconds)[0]:
            station = calls[call]
            station.call = None
            try:
                lines, last_words = self._ray.get(call)
            except self._ray.exceptions.RayError as error:
                lines, last_words = [], _reason(error)
            if lines:
                station.heard = time.monotonic()
            for line in lines:
                word, _, about = line.partition(b" ")
                yield station, word.decode(), about
            if last_words is not None:
                yield station, "ended", json.dumps(last_words).encode()

    def drop(self, station: _Station) -> None:
        """Be done with one that is gone."""
        self.stations.remove(station)
        self._ray.wait([station.actor.close.remote(START_PARTING_SECONDS / 2)], timeout=START_PARTING_SECONDS)
        self._ray.kill(station.actor)

    def alive(self, place: _Place) -> bool:
        """Whether the cluster still counts on that node."""
        return any(node["NodeID"] == place.node and node["Alive"] for node in self._ray.nodes())

    def check(self, station: _Station) -> str:
        """Why a node can't take part, or nothing."""
        found = station.found or {}
        here, there = versions(), found["versions"]
        other = [f"{name} {there.get(name)} (here {here[name]})" for name in here if there.get(name) != here[name]]
        if other:
            return f"it has {', '.join(other)}. Install the same versions on every node, this one included."
        return ""

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        address = self.wanted.address or os.environ.get("RAY_ADDRESS", "")
        _knock(address)
        try:
            self._ray.init(address=address or "auto", configure_logging=False, log_to_driver=False)
        except Exception as error:
            raise OperatorError(_no_cluster(address, error)) from error
        self._connected = True

    def _look(self) -> None:
        """Hear what every node finds. One that turns out to be dead has no say: Ray may take a while to notice."""
        problems: dict[str, str] = {}
        deadline = time.monotonic() + START_SECONDS
        while any(station.found is None for station in self.stations) and time.monotonic() < deadline:
            for station, word, about in self.turn(PATIENCE):
                if word == "found":
                    station.found = json.loads(about)
                    problems[station.place.name] = self.check(station)
                elif station in self.stations:
                    self.drop(station)
                    problems[station.place.name] = json.loads(about)
                    if not self.alive(station.place):
                        del problems[station.place.name]
        for station in self.stations:
            if station.found is None:
                problems[station.place.name] = (
                    f"no supervisor started within {START_SECONDS:.0f} seconds. It asks for "
                    f"{station.place.processors:g} processors, which other work on this cluster may hold: wait for it, "
                    "or give fewer --workers."
                )
        said = " ".join(f"{name}: {problem.rstrip('.')}." for name, problem in problems.items() if problem)
        if said:
            raise OperatorError(
                f"the cluster has nodes that can't be used. {said} Nothing was graded. Mend them, or take them out of "
                "the cluster with `ray stop`."
            )

    def _settle(self) -> None:
        """On what all nodes have."""
        if not self.stations:
            raise OperatorError(
                "every node of the cluster has died just now. Nothing was graded: look at `ray status`."
            )
        found = [station.found or {} for station in self.stations]
        levels = [Isolation(each["isolation"]) for each in found]
        self.profile = Profile(max(levels, key=list(Isolation).index))
        self.device = "cuda" if all(each["device"] == "cuda" for each in found) else "cpu"
        self.workers = sum(station.place.workers for station in self.stations)


class RayPool:
    """Supervisors at one job, with the interface of a LocalPool. Use as a context manager.

    Raises BrokenAssignment if the hidden tests can't be collected, OperatorError if no node is left.
    """

    def __init__(self, cluster: Cluster, job: Job) -> None:
        self.cluster = cluster
        self.job = job
        self._basis = regrading.basis(job.assignment, job.secret)
        self._order = _order(job, cluster)
        self._fresh: deque[Entry] = deque()
        self._again: deque[Entry] = deque()
        self._suspect: deque[Entry] = deque()
        self._tries: dict[str, int] = {}

    def __enter__(self) -> "RayPool":
        for station in self.cluster.stations:
            self._open(station)
        while not any(station.serving for station in self.cluster.stations):
            for station, word, about in self.cluster.turn():
                list(self._hear(station, word, about))
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.dismiss()

    def grade(self, entries: Iterable[Entry]) -> Iterator[Grade]:
        """Grades in the order in which they come."""
        self._fresh.extend(entries)
        self._tries.clear()
        while self._fresh or self._again or self._suspect or any(station.count for station in self.cluster.stations):
            for station in self.cluster.stations:
                if station.serving:
                    self._hand_out(station)
            for station, word, about in self.cluster.turn(PATIENCE):
                yield from self._hear(station, word, about)
            for station in list(self.cluster.stations):
                if station.count and time.monotonic() - station.heard > SILENCE:
                    yield from self._lose(station, f"no sign of life for {SILENCE:.0f} seconds", for_good=False)

    def _hand_out(self, station: _Station) -> None:
        """Give it more before it has nothing left. What was lost twice goes by itself: it may be the reason."""
        shard = self.cluster.wanted.shard
        station.alone = station.alone and station.count > 0
        while not station.alone and (queue := self._again or self._fresh):
            fair = -(-len(queue) // (2 * len(self.cluster.stations)))
            plenty = max(shard // 2, AHEAD * station.place.workers)
            if station.count >= max(min(plenty, fair), 2 * station.place.workers):
                break
            size = 0
            for _ in range(min(shard, fair)):
                size += self._send(station, queue.popleft())
                if size > SHARD_BYTES:
                    break
        if self._suspect and station.count == 0:
            station.alone = True
            self._send(station, self._suspect.popleft())

    def _send(self, station: _Station, entry: Entry) -> int:
        """Hand out one submission. Returns its size in bytes."""
        problem, content = _content(entry)
        plain = {**asdict(entry), "path": entry.path.name, "problem": entry.problem or problem}
        station.tell("work", {"entry": plain, "content": content})
        station.take(entry)
        return len(content or "")

    def _hear(self, station: _Station, word: str, about: bytes) -> Iterator[Grade]:
        if word == "grade":
            grade = ledger.from_json(about.decode("ascii"))
            if station.give_back(grade.submission) is not None:
                yield grade
        elif word == "alive":
            pass  # that it says so is all
        elif word == "found":
            station.found = json.loads(about)
            problem = self.cluster.check(station)
            if problem:
                yield from self._lose(station, problem, for_good=True)
            else:
                self._open(station)
        elif word == "ready":
            self._begin(station, json.loads(about))
        elif word == "broken":
            raise BrokenAssignment(json.loads(about))
        elif word == "problem":
            yield from self._lose(station, json.loads(about), for_good=True)
        elif station in self.cluster.stations:
            yield from self._lose(station, json.loads(about), for_good=False)

    def _open(self, station: _Station) -> None:
        station.tell("open", {**self._order, "workers": station.place.workers})

    def _begin(self, station: _Station, basis: dict[str, Any]) -> None:
        checks = tuple((name, digest) for name, digest in basis["checks"])
        there = Basis(**{**basis, "checks": checks, "leaning": tuple(basis["leaning"])})
        if there != self._basis:
            other = "; ".join(regrading.differences(there, self._basis))
            raise OperatorError(
                f"{station.place.name} would grade with something else than was sent: {other}. The assignment may have "
                f"been changed just now. {KEEP_ON}"
            )
        station.serving = True
        station.place.failures = 0

    def _lose(self, station: _Station, reason: str, *, for_good: bool) -> Iterator[Grade]:
        """A supervisor is gone: what it had is done again, and there is another if its node lives."""
        place = station.place
        self.cluster.drop(station)
        had, station.busy = [entry for queue in station.busy.values() for entry in queue], {}
        for entry in had:
            yield from self._try_again(entry, f"{place.name}: {reason}")
        place.failures += not station.serving
        self.cluster.lost[place.name] = reason
        if not for_good and place.failures < TRIES and self.cluster.alive(place):
            self.cluster.hire(place)
        if not self.cluster.stations:
            said = " ".join(f"{name}: {reason}." for name, reason in self.cluster.lost.items())
            raise OperatorError(f"no node of the cluster is left. {said} {KEEP_ON}")

    def _try_again(self, entry: Entry, reason: str) -> Iterator[Grade]:
        tries = self._tries[entry.id] = self._tries.get(entry.id, 0) + 1
        if tries >= TRIES:
            yield given_up(self.job, entry, f"grading ended a whole supervisor {tries} times, the last on {reason}")
        elif tries == TRIES - 1:
            self._suspect.append(entry)
        else:
            self._again.append(entry)


def _library() -> Any:
    try:
        import ray
    except ImportError as error:
        raise OperatorError(
            "--engine ray needs Ray, which is not installed here: `pip install 'attention-autograder[ray]'`, on this "
            "machine and on every node."
        ) from error
    return ray


def _places(nodes: Iterable[dict[str, Any]], wanted: Wanted) -> list[_Place]:
    """One place per node that has processors to give; where there are GPUs to use, one per share of them."""
    alive = [node for node in nodes if node["Alive"]]
    if wanted.device != "cpu" and any(_amount(node, "GPU") >= wanted.gpu_share for node in alive):
        found = [place for node in alive for place in _on_gpus(node, wanted)]
    elif wanted.device == "cuda":
        raise OperatorError(
            f"no node of the cluster has {wanted.gpu_share:g} GPU to give. Start Ray there with --num-gpus, or use "
            "--device cpu."
        )
    else:
        found = [_on_processors(node, wanted) for node in alive if _amount(node, "CPU") >= 1]
    if not found:
        raise OperatorError(
            f"no node of the cluster has a processor to give ({len(alive)} alive). Start Ray with --num-cpus on those "
            "that are to grade."
        )
    return found


def _on_processors(node: dict[str, Any], wanted: Wanted) -> _Place:
    processors = int(_amount(node, "CPU"))
    workers = wanted.workers or processors
    return _Place(node["NodeID"], _name(node), workers, min(workers, processors))


def _on_gpus(node: dict[str, Any], wanted: Wanted) -> Iterator[_Place]:
    count = int(_amount(node, "GPU") / wanted.gpu_share + 1e-6)
    for number in range(count):
        each = _amount(node, "CPU") / count
        workers = wanted.workers or max(1, int(each))
        name = f"{_name(node)}, GPU share {number + 1} of {count}"
        yield _Place(node["NodeID"], name, workers, min(workers, int(each) or each), wanted.gpu_share)


def _amount(node: dict[str, Any], resource: str) -> float:
    return float(node["Resources"].get(resource, 0.0))


def _name(node: dict[str, Any]) -> str:
    return f"node {node['NodeID'][:8]} ({node['NodeManagerHostname']}, {node['NodeManagerAddress']})"


def _knock(address: str) -> None:
    """Raises OperatorError where nobody answers, at once rather than after Ray's own minute."""
    if not address or address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise OperatorError(
            f"--address {address} is not the address of a Ray cluster: expected host:port, as `ray start --head` "
            "prints it, such as 10.0.0.1:6379. `grade` is run on a machine of the cluster, not through a ray:// client."
        )
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise OperatorError(_no_cluster(address, error)) from error


def _no_cluster(address: str, error: BaseException) -> str:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    tried = f"tried {address}" if address else "no --address and no RAY_ADDRESS is given, and none was started here"
    return (
        f"no Ray cluster that can be used: {tried} ({said}). Start one with `ray start --head`, have this machine join "
        "it with `ray start --address HOST:PORT`, and give the same --address here."
    )


def _reason(error: BaseException) -> str:
    """What became of an actor, in one sentence: the exception that stopped it, or what Ray says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Error: " in line and not line.startswith(("The actor died", "ray."))]
    return (named[-1] if named else lines[0] if lines else type(error).__name__).rstrip(".")


def _order(job: Job, cluster: Cluster) -> dict[str, Any]:
    """The job as it is sent to a node, with the files of the assignment."""
    return {
        "name": job.assignment.name,
        "folder": str(job.assignment.folder),
        "files": _files(job.assignment),
        "secret": job.secret.hex(),
        "isolation": job.profile.level,
        "device": job.device,
        "every_alone": job.every_alone,
        "only": sorted(job.only),
        "batch": job.batch,
    }


def _files(assignment: Assignment) -> dict[str, str]:
    """What hidden tests may read, by name, in base64: all but what students wrote in other ways, and what is hidden."""
    found, size = {}, 0
    for path in sorted(assignment.folder.rglob("*")):
        parts = path.relative_to(assignment.folder).parts
        if not path.is_file() or "__pycache__" in parts or parts[0] == "variants" or parts[-1].startswith("."):
            continue
        data = path.read_bytes()
        size += len(data)
        if size > COURSE_BYTES:
            raise InstructorError(
                f"{assignment.folder} holds more than {COURSE_BYTES >> 20} MB, which is too much to be sent to each "
                "node: keep there what grading needs."
            )
        found["/".join(parts)] = base64.b64encode(data).decode("ascii")
    return found


def _content(entry: Entry) -> tuple[str, str | None]:
    """What is wrong with a file, in the words of whoever would read it here, or else its content in base64."""
    if entry.problem:
        return entry.problem, None
    with contextlib.suppress(OSError):
        data = _read(entry.path)
        if len(data) <= notebook.FILE_CAP:
            return "", base64.b64encode(data).decode("ascii")
    try:
        notebook.extract(entry)
    except UnreadableSubmission as error:
        return str(error), None
    return f"{entry.path.name} changed while it was read. Hand it in again.", None


def _read(path: Path) -> bytes:
    """An ordinary file, as far as anybody would read it and a byte more. Raises OSError for anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no ordinary file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(notebook.FILE_CAP + 1)
    finally:
        os.close(descriptor)
