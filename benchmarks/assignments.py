"""What one submission of each assignment costs, and how much of that is the student's own code.

    python benchmarks/assignments.py [--times 3] [--mistakes 6] [ASSIGNMENT ...]

For each assignment, in one run: the solution handed in as a notebook, graded by a pool with one judge, and beside it
the floor of `batch.py`, a bare fork of a warm process that runs the same cells and calls each check once. *solution*
is what it costs in a class where others have answered alike, *alone* where nobody has. *average* is the solution with
known mistakes in it, every n-th of the list, in a class where nobody has made that mistake before: a submission that
loses some checks, has them judged again and is told why; *dearest* the most that one of them took. CPU seconds of all
processes, workers and trusted side; what a batch needs once to start is left out (where nothing is trained, the
loading of the mistakes too: others are graded before).
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from batch import ROOT, Floor, Ours, Way, as_notebook

from autograder import course
from autograder.engines import Job
from autograder.sandbox import isolation

QUICK = 1.0
COLUMNS = ("floor", "solution", "x floor", "alone", "average", "dearest")


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU seconds of one submission, assignment by assignment.")
    parser.add_argument("assignments", nargs="*")
    parser.add_argument("--times", type=int, default=3, help="how often the solution is graded")
    parser.add_argument("--mistakes", type=int, default=6, help="how many known mistakes make the average")
    options = parser.parse_args()
    print(f"{'assignment':28}{'checks':>8}" + "".join(f"{column:>10}" for column in COLUMNS))
    for name in options.assignments or course.names(ROOT):
        print(_row(name, options.times, options.mistakes), flush=True)


def _row(name: str, times: int, mistakes: int) -> str:
    assignment = course.load(ROOT, name)
    profile = isolation.choose("best", private=[assignment.folder])
    with tempfile.TemporaryDirectory(prefix="autograder-benchmark-") as folder:
        right = as_notebook(assignment, Path(folder), "solution", course.source(assignment))
        step = max(2, len(assignment.mistakes) // mistakes)
        every = [as_notebook(assignment, Path(folder), m.id, course.mutant(assignment, m)) for m in assignment.mistakes]
        wrong, others = every[::step], every[1::step]
        floor, solution, unknown, average, dearest = Way(), Way(), Way(), Way(), 0.0
        job = Job(assignment, course.secret(ROOT), profile)
        alone, warm, together = Ours(job), Floor(assignment), Ours(replace(job, batch="benchmark"))
        try:
            alone.settle([right])
            together.settle([right])
            for _ in range(times):
                warm.grade(right, floor)
                checks = len(alone.grade([right], unknown)[0].checks)
                together.grade([right], solution)
            if floor.each < QUICK:
                together.settle(others)
            for entry in wrong:
                before = average.cpu
                together.grade([entry], average)
                dearest = max(dearest, average.cpu - before)
        finally:
            alone.close()
            together.close()
            warm.close()
    numbers = (floor.each, solution.each, solution.each / floor.each, unknown.each, average.each, dearest)
    return f"{name:28}{checks:8}" + "".join(f"{number:10.3f}" for number in numbers)


if __name__ == "__main__":
    main()
