"""What one submission of each assignment costs, and how much of that is the student's own code.

    python benchmarks/assignments.py [--times 3] [--mistakes 6] [ASSIGNMENT ...]

For each assignment, in one run: the solution handed in as a notebook, graded by a pool with one judge, and beside it
the floor of `batch.py`, a bare fork of a warm process that runs the same cells and calls each check once. *average* is
the solution with known mistakes in it, every n-th of the list: a submission that loses some checks, has them judged
again and is told why. CPU seconds of all processes, workers and trusted side; what a batch needs once to start is left
out (where nothing is trained, the loading of the mistakes too: they are graded once before).
"""

import argparse
import tempfile
from pathlib import Path

from batch import ROOT, Floor, Ours, Way, as_notebook

from autograder import course
from autograder.engines import Job
from autograder.sandbox import isolation

QUICK = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU seconds of one submission, assignment by assignment.")
    parser.add_argument("assignments", nargs="*")
    parser.add_argument("--times", type=int, default=3, help="how often the solution is graded")
    parser.add_argument("--mistakes", type=int, default=6, help="how many known mistakes make the average")
    options = parser.parse_args()
    print(f"{'assignment':28}{'checks':>8}{'floor':>9}{'solution':>10}{'x floor':>9}{'average':>9}{'dearest':>9}")
    for name in options.assignments or course.names(ROOT):
        print(_row(name, options.times, options.mistakes), flush=True)


def _row(name: str, times: int, mistakes: int) -> str:
    assignment = course.load(ROOT, name)
    profile = isolation.choose("best", private=[assignment.folder])
    with tempfile.TemporaryDirectory(prefix="autograder-benchmark-") as folder:
        right = as_notebook(assignment, Path(folder), "solution", course.source(assignment))
        chosen = assignment.mistakes[:: max(1, len(assignment.mistakes) // mistakes)]
        wrong = [as_notebook(assignment, Path(folder), m.id, course.mutant(assignment, m)) for m in chosen]
        floor, solution, average, dearest = Way(), Way(), Way(), 0.0
        grading, warm = Ours(Job(assignment, course.secret(ROOT), profile)), Floor(assignment)
        try:
            grading.settle([right])
            for _ in range(times):
                warm.grade(right, floor)
                checks = len(grading.grade([right], solution)[0].checks)
            if floor.each < QUICK:
                grading.settle(wrong)
            for entry in wrong:
                before = average.cpu
                grading.grade([entry], average)
                dearest = max(dearest, average.cpu - before)
        finally:
            grading.close()
            warm.close()
    ratio = solution.each / floor.each
    numbers = f"{floor.each:9.3f}{solution.each:10.3f}{ratio:9.2f}{average.each:9.3f}{dearest:9.3f}"
    return f"{name:28}{checks:8}{numbers}"


if __name__ == "__main__":
    main()
