"""What grading costs: this project, the floor and two peers on the same notebooks, side by side in one run.

    python benchmarks/batch.py [--submissions 60] [--workers 1] [--isolation require] [--no-peers] [--memory 500] ...

Rounds alternate between the ways, so that whatever else the machine does falls on each. How each number is made:

* **floor**  one fork of a warm process per submission, its cells, each check function called directly with each of its
  cases: no pytest, wire, sandbox, second judging or diagnosis. CPU is the child's user + system time by `wait4`, plus
  what the fork took from its parent. Extraction is left out. The process is a fresh one (`floor.py`), as warm as ours.
* **ours**   a LocalPool with the isolation asked for, from opened file to Grade, with everything that it does. CPU is
  user + system time of all processes, from the kernel's own accounts before and after each round: this process while it
  hands out and collects; the judges; the zygote; and the workers, as the zygote was told of them by `wait4` (a check on
  `Grade.cpu_seconds`). Starting (imports, warming up, the walls, collecting the tests, the first submissions of each
  judge) happens once per batch, whatever its size, and is printed apart.
  The works come again and again, as right answers do in a class: what they answer has been heard before.
* **alone**  the same by a pool in which each work gets inputs of its own, so that nothing that it answers is known.
* **known mistakes**  likewise alone, for the solution with each known mistake in it: a second judging of what was
  lost, and diagnosis, compared with the floor of right submissions. Those that crash or hang are left out:
  all are graded once before, which also loads the mistakes for the diagnosis, once per judge.
* **otter**  `otter run` on the notebook without the cells that grading skips, with the same checks as one archive; CPU
  of the command and all it waited for (its kernel too).
* **nbgrader**  `nbgrader autograde` of one student with the same cells, and one test cell for each check.

Wall time is that of the batch, divided by its submissions; ours may use several judges. Peak memory is the most that
was resident at once in the process that ran the submission, shared pages included; "own" is what was not shared.
"""

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import accounts
import nbformat
import nbgrader_run
import otter_run
import profiling
from accounts import Cpu

from autograder import course, demo, notebook
from autograder.engines import Job, LocalPool
from autograder.records import Assignment, Entry, Grade, Isolation, Outcome, Status
from autograder.sandbox import isolation

ROOT = Path(__file__).parent.parent
ROLES = ("workers", "judges", "zygote", "supervisor")
HALTING = (Status.CRASHED, Status.TIMED_OUT, Status.OUT_OF_MEMORY)
SAME = 6
AT_MOST = {"full marks": 1.5, "known mistakes, alone": 3}
CHEAPER = {"otter run": 75, "nbgrader autograde": 60}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


@dataclass(slots=True)
class Way:
    """What one way of grading has used so far."""

    count: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    peak: int = 0
    own: int = 0
    roles: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ROLES, 0.0))
    reported: float = 0.0

    @property
    def each(self) -> float:
        return self.cpu / max(self.count, 1)


class Ours:
    """This project's pool, with its processes' accounts."""

    def __init__(self, job: Job) -> None:
        began, before = time.perf_counter(), time.process_time()
        self.pool = LocalPool(job)
        self.pool.__enter__()
        self.start_wall = time.perf_counter() - began
        self.start_cpu = {"supervisor": time.process_time() - before}
        self.grades: list[Grade] = []

    def close(self) -> None:
        self.pool.close()

    def grade(self, entries: Sequence[Entry], way: Way) -> list[Grade]:
        """Grade and add what it took to `way`."""
        before, began, own = self._accounts(), time.perf_counter(), time.process_time()
        grades = list(self.pool.grade(entries))
        own, wall, after = time.process_time() - own, time.perf_counter() - began, self._accounts()
        zygote = after["zygote"] - before["zygote"]
        used = {
            "workers": zygote.waited,
            "zygote": zygote.living,
            "judges": (after["judges"] - before["judges"]).total,
            "supervisor": own,
        }
        for role, seconds in used.items():
            way.roles[role] += seconds
        way.cpu += sum(used.values())
        way.wall += wall
        way.count += len(grades)
        way.reported += sum(grade.cpu_seconds for grade in grades)
        return grades

    def settle(self, entries: Sequence[Entry]) -> list[Grade]:
        """The first submissions, which make judges collect the tests; their cost belongs to starting."""
        began, own = time.perf_counter(), time.process_time()
        grades = list(self.pool.grade(entries))
        self.start_wall += time.perf_counter() - began
        self.start_cpu["supervisor"] += time.process_time() - own
        for role, used in self._accounts().items():
            self.start_cpu[role] = used.total
        return grades

    def workers(self) -> list[int]:
        """Workers that are alive: the zygote's children."""
        return accounts.family(self.zygote())[1:]

    def zygote(self) -> int:
        """The zygote itself, below whatever builds its walls."""
        for pid in accounts.family(self.pool.zygote.process.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[0] == sys.executable.encode():
                    return pid
        return 0

    def judges(self) -> list[int]:
        return [hand.process for hand in self.pool.hands]

    def _accounts(self) -> dict[str, Cpu]:
        return {
            "zygote": accounts.cpu(self.pool.zygote.process.pid),
            "judges": accounts.cpu(*self.judges()),
        }


class Floor:
    """The warm process that forks once per submission."""

    def __init__(self, assignment: Assignment) -> None:
        command = [sys.executable, str(ROOT / "benchmarks" / "floor.py"), str(assignment.folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD}
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.sending, self.receiving = self.process.stdin, self.process.stdout
        while (line := self.receiving.readline()) != "ready\n":
            if not line:
                raise SystemExit("the floor process did not start; see above")

    def grade(self, entry: Entry, way: Way) -> None:
        cells = [cell.source for cell in notebook.extract(entry).cells if not cell.skip]
        self.sending.write(json.dumps(cells) + "\n")
        self.sending.flush()
        answer = json.loads(self.receiving.readline())
        if not answer["passed"]:
            raise SystemExit(f"{entry.id} does not pass every check when called directly: the comparison would be void")
        way.count += 1
        way.cpu += answer["cpu"]
        way.wall += answer["wall"]
        way.peak = max(way.peak, answer["peak"])

    def close(self) -> None:
        self.sending.close()
        self.process.wait()


def main() -> None:
    options = _options()
    assignment = course.load(options.course, options.assignment)
    level = Isolation(options.isolation) if options.isolation in set(Isolation) else None
    wanted = "off" if options.isolation in ("off", "none") else "require" if level else options.isolation
    profile = isolation.choose(wanted, only=None if wanted == "off" else level)
    job = Job(assignment, course.secret(options.course), profile, workers=options.workers, batch="benchmark")
    with tempfile.TemporaryDirectory(prefix="autograder-benchmark-") as folder:
        right, wrong = _class(assignment, Path(folder))
        if options.profile:
            profiling.report(job, right, wrong[:: options.every], options.submissions, options.picture)
        elif options.memory:
            _memory(job, right, options.memory)
        else:
            _compare(job, right, wrong[:: options.every], options, Path(folder))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What grading costs, beside the floor and `otter run`.")
    parser.add_argument("--course", type=Path, default=ROOT, help="the folder that holds solutions/")
    parser.add_argument("--assignment", default="a1_attention")
    parser.add_argument("--submissions", type=int, default=60, help="right submissions, per way")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--isolation", default="require", help="require, best, off, or one level by its name")
    parser.add_argument("--every", type=int, default=1, help="of the known mistakes, take every n-th")
    parser.add_argument("--peers", type=int, default=3, help="submissions for each peer")
    parser.add_argument("--no-peers", action="store_true", help="without `otter run` and nbgrader")
    parser.add_argument("--otter-venv", type=Path, default=ROOT / ".cache" / "otter", help="made if it is not there")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="only: memory over N submissions")
    parser.add_argument("--profile", action="store_true", help="only: where the time goes")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="with --profile: draw it into an SVG file")
    return parser.parse_args()


def _class(assignment: Assignment, folder: Path) -> tuple[list[Entry], list[Entry]]:
    """Solution and variants; the solution with each known mistake. As notebooks."""
    sources = {"solution": course.source(assignment)}
    sources.update({name: path.read_text("utf-8") for name, path in course.variants(assignment).items()})
    right = [as_notebook(assignment, folder, name, source) for name, source in sources.items()]
    mistakes = assignment.mistakes
    wrong = [as_notebook(assignment, folder, f"m-{one.id}", course.mutant(assignment, one)) for one in mistakes]
    return right, wrong


def as_notebook(assignment: Assignment, folder: Path, name: str, source: str) -> Entry:
    """A work handed in as a notebook under `folder`."""
    path = folder / f"{name}.ipynb"
    path.write_bytes(demo.notebook_of(assignment, source))
    return Entry(name, name, path)


def _compare(job: Job, right: list[Entry], wrong: list[Entry], options: argparse.Namespace, folder: Path) -> None:
    floor, ours, alone, mistakes, same = Way(), Way(), Way(), Way(), Way()
    peers = _peers(job.assignment, right, options, folder)
    theirs = {name: Way() for name in peers}
    grading, lonely, warm = Ours(job), Ours(replace(job, batch="")), Floor(job.assignment)
    began, before = time.perf_counter(), accounts.machine()
    try:
        for pool in (grading, lonely):
            _refuse_lost_points(pool.settle([*right, *islice(cycle(right), 4 * job.workers)]))
        for entry in right[:2]:
            warm.grade(entry, Way())
        wrong = _without_halting(lonely, wrong)
        for number in range(options.rounds):
            batch = _share(right, options, number)
            for entry in batch:
                warm.grade(entry, floor)
            _refuse_lost_points(grading.grade(batch, ours))
            _refuse_lost_points(lonely.grade(batch, alone))
            lonely.grade(wrong[number :: options.rounds], mistakes)
            if peers and number < options.peers:
                for name, run in peers.items():
                    _add(theirs[name], run())
                _refuse_lost_points(grading.grade([right[0]] * SAME, same))
        _peaks(grading, right[0], ours)
        _peaks(lonely, right[0], alone)
        _peaks(lonely, wrong[0] if wrong else right[0], mistakes)
    finally:
        grading.close()
        lonely.close()
        warm.close()
    rows = {"full marks": ours, "full marks, alone": alone, "known mistakes, alone": mistakes}
    _print_table(floor, rows, theirs, same)
    _print_roles(rows)
    _print_start(grading, len(right) + 4 * job.workers)
    _print_machine(began, before, job)


def _share(right: list[Entry], options: argparse.Namespace, number: int) -> list[Entry]:
    """The part of one round, so that all rounds together hold `--submissions`, each work as often as any other."""
    each = max(1, options.submissions // options.rounds)
    return list(islice(cycle(right), number * each, (number + 1) * each))


def _refuse_lost_points(grades: list[Grade]) -> None:
    for grade in grades:
        if grade.status is not Outcome.GRADED or grade.score != grade.max_score:
            lost = [f"{check.name}: {check.detail}" for check in grade.checks if check.points < check.max_points]
            raise SystemExit(f"{grade.submission} has not full marks: {lost or grade.detail}")


def _without_halting(grading: Ours, wrong: list[Entry]) -> list[Entry]:
    """The mistakes that neither crash nor hang; judged once before, outside of the accounts."""
    grades = {grade.submission: grade for grade in grading.grade(wrong, Way())}
    return [e for e in wrong if not any(check.status in HALTING for check in grades[e.id].checks)]


def _peers(
    assignment: Assignment, right: list[Entry], options: argparse.Namespace, folder: Path
) -> dict[str, Callable[[], otter_run.Run]]:
    """What grades the solution once by each peer that is to be had here. Each has graded it once already."""
    found: dict[str, Callable[[], otter_run.Run]] = {}
    if options.no_peers:
        return found
    lean = _lean(right[0], folder)
    try:
        program = otter_run.install(options.otter_venv.resolve())
        archive = otter_run.archive(assignment.folder, folder / "otter.zip")
        run = partial(otter_run.run, program, lean, archive, folder / "otter")
        _refuse_other_points("otter", assignment, run())
        found["otter run"] = run
    except otter_run.OtterUnavailable as error:
        print(f"otter is left out: {error}")
    try:
        peer = nbgrader_run.Peer(assignment.folder, lean, folder)
        _refuse_other_points("nbgrader", assignment, peer.run())
        found["nbgrader autograde"] = peer.run
    except nbgrader_run.NbgraderUnavailable as error:
        print(f"nbgrader is left out: {error}")
    return found


def _refuse_other_points(name: str, assignment: Assignment, run: otter_run.Run) -> None:
    if run.score < assignment.points - 1e-3:
        raise SystemExit(f"{name} gives the solution {run.score} of {assignment.points}: nothing to compare with")


def _lean(entry: Entry, folder: Path) -> Path:
    """The notebook without the cells that grading skips, so that Otter runs what we run."""
    book = nbformat.v4.new_notebook()
    kept = [cell.source for cell in notebook.extract(entry).cells if not cell.skip]
    book.cells = [nbformat.v4.new_code_cell(source) for source in kept]
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "submission.ipynb"
    nbformat.write(book, path)
    return path


def _add(way: Way, run: otter_run.Run) -> None:
    way.count += 1
    way.cpu += run.cpu
    way.wall += run.wall
    way.peak = max(way.peak, run.peak)


def _peaks(grading: Ours, entry: Entry, way: Way) -> None:
    """Memory of the workers of one submission, watched while it is graded once more."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.004):
            for pid in grading.workers():
                way.peak = max(way.peak, accounts.peak(pid))
                way.own = max(way.own, accounts.private(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    list(grading.pool.grade([entry]))
    over.set()
    thread.join()


def _print_table(floor: Way, ours: Mapping[str, Way], theirs: Mapping[str, Way], same: Way) -> None:
    print(f"\n{'per submission':34}{'n':>5}{'CPU s':>10}{'wall s':>9}{'peak MB':>9}{'own MB':>8}{'x floor':>9}")
    rows = [("the floor", floor), *((f"this project, {name}", way) for name, way in ours.items())]
    rows += [(f"{name}, the solution", way) for name, way in theirs.items()]
    for name, way in [*rows, ("this project, the solution", same)]:
        if way.count:
            own = f"{way.own / 1e6:8.0f}" if way.own else f"{'':8}"
            times = f"{way.each / floor.each:9.2f}"
            wall = way.wall / way.count
            print(f"{name:34}{way.count:5}{way.each:10.4f}{wall:9.3f}{way.peak / 1e6:9.0f}{own}{times}")
    print()
    for name, most in AT_MOST.items():
        if ours[name].count:
            _print_verdict(f"{name} / floor", ours[name].each / floor.each, at_most=most)
    for name, way in theirs.items():
        _print_verdict(f"{name} / this project", way.each / same.each, at_least=CHEAPER[name])


def _print_verdict(name: str, found: float, *, at_most: float = math.inf, at_least: float = 0.0) -> None:
    met = at_least <= found <= at_most
    target = f"at least {at_least:g}" if at_least else f"at most {at_most:g}"
    print(f"{name:34}{found:8.2f}  {'met' if met else 'MISSED'} ({target})")


def _print_roles(rows: Mapping[str, Way]) -> None:
    print(f"\n{'CPU ms per submission':34}" + "".join(f"{role:>12}" for role in ROLES) + f"{'by Grade':>12}")
    for name, way in rows.items():
        if way.count:
            shares = [way.roles[role] / way.count for role in ROLES]
            print(f"{name:34}" + "".join(f"{1000 * share:12.1f}" for share in [*shares, way.reported / way.count]))


def _print_start(grading: Ours, first: int) -> None:
    parts = ", ".join(f"{role} {seconds:.1f}" for role, seconds in grading.start_cpu.items())
    print(f"\nstarting, once per batch, with {first} submissions: {grading.start_wall:.1f} s wall; CPU s: {parts}")


def _print_machine(began: float, before: tuple[float, float], job: Job) -> None:
    after = accounts.machine()
    stolen = 100 * (after[1] - before[1]) / max(after[0] - before[0], 1e-9)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{time.perf_counter() - began:.0f} s in all; {job.profile.level} isolation, {job.workers} judge(s), "
        f"{os.cpu_count()} processors; load {load}, steal {stolen:.1f} %"
    )


def _memory(job: Job, right: list[Entry], count: int) -> None:
    """Resident memory of each lasting process, along `count` submissions."""
    grading = Ours(job)
    seen: list[tuple[int, dict[str, float]]] = []
    step = max(1, min(100, count // 5))
    try:
        grading.settle([*right, *islice(cycle(right), 4 * job.workers)])
        print(f"\n{'submissions':>12}{'judges MB':>12}{'zygote MB':>12}{'supervisor MB':>15}")
        for done in range(0, count + 1, step):
            if done:
                _refuse_lost_points(grading.grade(list(islice(cycle(right), step)), Way()))
            seen.append((done, _resident(grading)))
            print(
                f"{done:12}{seen[-1][1]['judges']:12.1f}{seen[-1][1]['zygote']:12.1f}{seen[-1][1]['supervisor']:15.1f}"
            )
    finally:
        grading.close()
    for role in ("judges", "zygote", "supervisor"):
        slope = _slope([(done, sizes[role]) for done, sizes in seen])
        print(f"{role:12} {1000 * slope:+.1f} kB per submission")


def _resident(grading: Ours) -> dict[str, float]:
    return {
        "judges": sum(map(accounts.resident, grading.judges())) / 1e6,
        "zygote": accounts.resident(grading.zygote()) / 1e6,
        "supervisor": accounts.resident(os.getpid()) / 1e6,
    }


def _slope(points: list[tuple[int, float]]) -> float:
    """Least squares, without the first point."""
    points = points[1:] or points
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


if __name__ == "__main__":
    main()
