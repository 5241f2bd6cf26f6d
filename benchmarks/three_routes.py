"""The same archive graded three ways: are the points the same, check by check?

    python benchmarks/three_routes.py [ASSIGNMENT …] [--submissions 25] [--at-once 1] [--course DIR]

Submissions are made of the assignment itself: the solution, the notebook as it is handed out, correct variants and
known mistakes, evenly chosen. Each is graded

    here      by `autograder grade`'s own pool
    hosted    by the archive's `run_autograder`, in the folders of a hosted service
    otter     by plain `otter run`, with the same archive

Without a name, all assignments of the course. Prints a line per submission and, where the routes differ, every check in
which they do; at the end a line per assignment. Exit status: 0 if none differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from autograder import bundle, course, master
from autograder.engines import Job, LocalPool
from autograder.records import Assignment, Entry, Grade
from autograder.sandbox import isolation

ROOT = Path(__file__).parent.parent
SECONDS = 1200

Points = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Graded:
    """One submission's points by check, by three routes. None: that route gave none."""

    name: str
    here: Points
    hosted: Points
    otter: Points

    @property
    def differing(self) -> list[str]:
        """The checks on which the routes do not agree."""
        checks = {**self.here, **self.hosted, **self.otter}
        return [check for check in checks if len({route.get(check) for route in self.routes}) > 1]

    @property
    def routes(self) -> tuple[Points, Points, Points]:
        """In the order of the columns."""
        return self.here, self.hosted, self.otter


def main() -> int:
    parser = argparse.ArgumentParser(description="One archive, three routes: the same points?")
    parser.add_argument("assignments", nargs="*")
    parser.add_argument("--submissions", type=int, default=25)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--course", type=Path, default=ROOT)
    options = parser.parse_args()
    sums = []
    for name in options.assignments or course.names(options.course):
        assignment = course.load(options.course, name)
        print(f"{name:40}{'here':>8}{'hosted':>8}{'otter':>8}")
        graded = [shown(each) for each in compare(assignment, options.submissions, options.at_once)]
        sums.append((name, len(graded), sum(len(each.here) for each in graded), sum(bool(e.differing) for e in graded)))
    print(f"{'assignment':30}{'submissions':>14}{'checks judged':>16}{'graded differently':>20}")
    for name, count, checks, differing in sums:
        print(f"{name:30}{count:14}{checks:16}{differing:20}")
    return 1 if any(differing for *_, differing in sums) else 0


def shown(graded: Graded) -> Graded:
    """Print the line of one submission."""
    totals = [sum(points or 0 for points in route.values()) for route in graded.routes]
    print(f"{graded.name[:39]:40}" + "".join(f"{total:8g}" for total in totals), flush=True)
    for check in graded.differing:
        print(f"    differs: {check}: {', '.join(str(route.get(check)) for route in graded.routes)}", flush=True)
    return graded


def compare(assignment: Assignment, most: int, at_once: int) -> Iterator[Graded]:
    """Grade up to `most` submissions by each route."""
    with tempfile.TemporaryDirectory(prefix="autograder-routes-") as scratch:
        folder = Path(scratch)
        for path, content in bundle.make(assignment).items():
            (folder / Path(path).name).write_bytes(content)
        entries = hand_in(assignment, folder, most)
        here = {grade.submission: grade for grade in _here(assignment, entries)}
        with ThreadPoolExecutor(at_once) as threads:
            others = [[threads.submit(route, entry, folder) for route in (hosted, otter)] for entry in entries]
            try:
                for entry, running in zip(entries, others, strict=True):
                    mine: Points = {check.name: check.points for check in here[entry.id].checks}
                    yield Graded(entry.id, mine, *(route.result() for route in running))
            finally:
                threads.shutdown(cancel_futures=True)


def hand_in(assignment: Assignment, folder: Path, most: int) -> list[Entry]:
    """A notebook for each submission, below `folder`."""
    works = {"solution": master.handed_in(assignment, course.source(assignment))}
    works["as handed out"] = (folder / f"{assignment.name}.ipynb").read_text("utf-8")
    variants = course.variants(assignment).items()
    texts = {f"variant {name}": path.read_text("utf-8") for name, path in variants}
    texts |= {f"mistake {mistake.id}": course.mutant(assignment, mistake) for mistake in assignment.mistakes}
    room = max(0, most - len(works))
    chosen = [list(texts)[number * len(texts) // room] for number in range(room)] if room < len(texts) else list(texts)
    works |= {name: master.handed_in(assignment, texts[name]) for name in chosen}
    entries = []
    for name, notebook in list(works.items())[:most]:
        path = folder / name.replace(" ", "-") / f"{assignment.name}.ipynb"
        path.parent.mkdir()
        path.write_text(notebook, "utf-8")
        entries.append(Entry(name, name, path))
    return entries


def _here(assignment: Assignment, entries: list[Entry]) -> list[Grade]:
    secret = course.secret(assignment.folder.parents[1])
    with LocalPool(Job(assignment, secret, isolation.choose("best", private=[assignment.folder]))) as pool:
        return list(pool.grade(entries))


def lay_out(archive: Path, notebook: Path, home: Path) -> Path:
    """The folders of a hosted service at `home`, with this environment in place of its own; returns what it runs."""
    for name in ("source", "submission", "results"):
        (home / name).mkdir(parents=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(home / "source")
    (home / "submission" / notebook.name).write_bytes(notebook.read_bytes())
    (home / "venv").symlink_to(sys.prefix)
    program = home / "run_autograder"
    program.write_bytes((home / "source" / "run_autograder").read_bytes())
    program.chmod(0o755)
    return program


def hosted(entry: Entry, folder: Path) -> Points:
    """Points by check, as `results.json` has them."""
    home = entry.path.parent / "autograder"
    program = lay_out(folder / "autograder.zip", entry.path, home)
    done = subprocess.run([program], capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
    shown = json.loads((home / "results" / "results.json").read_text("utf-8"))
    judged = [test for test in shown.get("tests", ()) if "hidden" in test["tags"]]
    return {test["extra_data"]["check"]: test.get("score") for test in judged}


def otter(entry: Entry, folder: Path) -> Points:
    """Points by check, as Otter's `results.json` has them. Public questions have none."""
    out = entry.path.parent / "otter"
    out.mkdir()
    command = [sys.executable, "-m", "otter", "run", "--no-logo", "-a", str(folder / "autograder.zip"), "-o", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "JUPYTER_RUNTIME_DIR": str(out)}
    command.append(str(entry.path))
    done = subprocess.run(
        command, cwd=out, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        return {}
    tests = json.loads((out / "results.json").read_text("utf-8"))["tests"]
    return {test["name"]: test["score"] for test in tests if test.get("max_score")}


if __name__ == "__main__":
    sys.exit(main())
