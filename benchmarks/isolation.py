"""The price of isolation: CPU per full-marks submission with each level and with none, side by side in one run.

    python benchmarks/isolation.py [--submissions 60] [--rounds 5]

Each level that this machine offers has a pool of its own, all started before anything is counted; rounds alternate
between them. CPU is user + system time of all processes of a pool, as in `batch.py`; starting is left out.
"""

import argparse
import tempfile
from pathlib import Path

from batch import ROOT, Ours, Way, _class, _refuse_lost_points

from autograder import course
from autograder.engines import Job
from autograder.errors import IsolationUnavailable
from autograder.records import Isolation
from autograder.sandbox import isolation

LEVELS = (Isolation.NONE, Isolation.SELF, Isolation.UID, Isolation.NAMESPACES)


def main() -> None:
    parser = argparse.ArgumentParser(description="What isolation costs.")
    parser.add_argument("--assignment", default="a1_attention")
    parser.add_argument("--submissions", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    assignment = course.load(ROOT, options.assignment)
    ways = {level: Way() for level in LEVELS}
    pools: dict[Isolation, Ours] = {}
    with tempfile.TemporaryDirectory(prefix="autograder-benchmark-") as folder:
        work = _class(assignment, Path(folder))[0][0]
        try:
            for level in LEVELS:
                try:
                    profile = (
                        isolation.choose("off") if level is Isolation.NONE else isolation.choose("best", only=level)
                    )
                except IsolationUnavailable as error:
                    print(f"{level}: left out ({error})")
                    continue
                pools[level] = Ours(Job(assignment, course.secret(ROOT), profile, batch="benchmark"))
                _refuse_lost_points(pools[level].settle([work] * 5))
            for _ in range(options.rounds):
                for level, pool in pools.items():
                    _refuse_lost_points(pool.grade([work] * (options.submissions // options.rounds), ways[level]))
        finally:
            for pool in pools.values():
                pool.close()
    print(f"\n{'isolation':14}{'n':>5}{'CPU ms':>10}{'more than none':>17}")
    for level in pools:
        more = 1000 * (ways[level].each - ways[Isolation.NONE].each)
        print(f"{level:14}{ways[level].count:5}{1000 * ways[level].each:10.1f}{more:14.1f} ms")


if __name__ == "__main__":
    main()
