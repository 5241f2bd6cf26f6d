"""A class of a thousand beside one of three thousand, each graded whole by `autograder grade` as an operator would.

    python benchmarks/class_size.py [--sizes 1000 3000 1000] [--assignment a1_attention] [--isolation require]

Submissions are the solution and its variants in turn, each as a notebook of its own, and every tenth a known mistake.
For each class, in the order given, so that sizes can alternate:

    CPU       seconds in which a processor ran anything, from /proc/stat, with starting up, the intake, the gradebook
              and the report. What workers used is lost to the accounts of the command when their namespace ends; so let
              nothing else run meanwhile
    wall      from start to end, and the submissions per second
    busy      that CPU time, as a share of what all processors had
    memory    resident in the command and all its processes, shared pages counted in each, once a second: the most in
              the second quarter of the run and in the last

Exit status: 0 if every submission was graded, 1 otherwise.
"""

import argparse
import csv
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import accounts

from autograder import course, demo
from autograder.records import Assignment

ROOT = Path(__file__).parent.parent
WRONG = 10


@dataclass(slots=True)
class Run:
    """One class, graded. memory: bytes, once a second. busy, stolen: shares of all processors' time."""

    size: int
    cpu: float = 0.0
    wall: float = 0.0
    busy: float = 0.0
    stolen: float = 0.0
    load: float = 0.0
    graded: int = 0
    memory: list[int] = field(default_factory=list)

    @property
    def each(self) -> float:
        """CPU seconds per submission."""
        return self.cpu / self.size


def main() -> int:
    parser = argparse.ArgumentParser(description="What a submission costs in classes of different sizes.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000, 1000])
    parser.add_argument("--assignment", default="a1_attention")
    parser.add_argument("--isolation", default="require")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    assignment = course.load(ROOT, options.assignment)
    print(f"{options.assignment}, isolation {options.isolation}, {options.workers} judges, {os.cpu_count()} processors")
    print(
        f"{'class':>7}{'CPU s':>9}{'each ms':>9}{'wall s':>8}{'per s':>7}{'busy %':>8}{'steal %':>9}{'load':>6}", end=""
    )
    print(f"{'MB in the 2nd quarter':>23}{'in the last':>13}")
    runs = []
    with tempfile.TemporaryDirectory(prefix="autograder-class-") as scratch:
        for number, size in enumerate(options.sizes):
            folder = Path(scratch) / str(number)
            hand_in(assignment, folder / "class", size)
            runs.append(graded(folder, size, options))
            print_run(runs[-1])
    smallest = [run.each for run in runs if run.size == min(options.sizes)]
    for size in sorted(set(options.sizes))[1:]:
        larger = [run.each for run in runs if run.size == size]
        ratio = (sum(larger) / len(larger)) / (sum(smallest) / len(smallest))
        print(f"CPU per submission at {size:,}: {ratio:.3f} times that at {min(options.sizes):,}")
    return 0 if all(run.graded == run.size for run in runs) else 1


def hand_in(assignment: Assignment, folder: Path, size: int) -> None:
    """`size` notebooks, each in the folder of its student."""
    right = [course.source(assignment), *(path.read_text("utf-8") for path in course.variants(assignment).values())]
    wrong = [course.mutant(assignment, mistake) for mistake in assignment.mistakes]
    rights, wrongs = itertools.cycle(right), itertools.cycle(wrong)
    for number in range(size):
        source = next(wrongs if number % WRONG == WRONG - 1 else rights)
        path = folder / f"student{number:05}" / f"{assignment.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(demo.notebook_of(assignment, f"{source}\n\n# handed in by student {number}\n"))


def graded(folder: Path, size: int, options: argparse.Namespace) -> Run:
    """Grade what lies in `folder`/class."""
    command = [str(Path(sys.executable).with_name("autograder")), "grade", options.assignment, str(folder / "class")]
    command += ["--out", str(folder / "report"), "--isolation", options.isolation, "--workers", str(options.workers)]
    run, over = Run(size), threading.Event()
    idle, before, began = accounts.idle(), accounts.machine(), time.perf_counter()
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
    watch = threading.Thread(target=_watch, args=(process.pid, run.memory, over))
    watch.start()
    process.wait()
    over.set()
    watch.join()
    run.wall, run.load = time.perf_counter() - began, os.getloadavg()[0]
    after = accounts.machine()
    spent = max(after[0] - before[0], 1e-9)
    run.cpu, run.stolen = spent - (accounts.idle() - idle), (after[1] - before[1]) / spent
    run.busy = run.cpu / spent
    if process.returncode:
        raise SystemExit((folder / "said").read_text("utf-8", "replace")[-2000:])
    with (folder / "report" / "grades.csv").open(encoding="utf-8", newline="") as file:
        run.graded = sum(row["status"] == "graded" for row in csv.DictReader(file))
    return run


def _watch(process: int, seen: list[int], over: threading.Event) -> None:
    while not over.wait(1.0):
        seen.append(sum(map(accounts.resident, accounts.family(process))))


def print_run(run: Run) -> None:
    """Its line of the table."""
    print(f"{run.size:7,}{run.cpu:9.1f}{1000 * run.each:9.1f}{run.wall:8.1f}{run.size / run.wall:7.1f}", end="")
    print(f"{100 * run.busy:8.1f}{100 * run.stolen:9.1f}{run.load:6.1f}", end="")
    print(f"{_most(run.memory, 1) / 1e6:23.0f}{_most(run.memory, 3) / 1e6:13.0f}", flush=True)


def _most(seen: Sequence[int], quarter: int) -> int:
    length = max(1, len(seen) // 4)
    return max(seen[quarter * length : (quarter + 1) * length], default=0)


if __name__ == "__main__":
    sys.exit(main())
