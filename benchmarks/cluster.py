"""What a cluster costs beside one machine: the same class through both, in turns, with as many judges.

A real Ray cluster of `--nodes` nodes is started on this machine, one judge on each; the local pool has as many.
Starting is shown apart. `python benchmarks/cluster.py --submissions 200 --rounds 3`
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import accounts
import psutil
from batch import as_notebook

from autograder import course
from autograder.cluster import Cluster, Wanted
from autograder.engines import Job, LocalPool
from autograder.records import Entry, Grade
from autograder.sandbox import isolation

ROOT = Path(__file__).parent.parent


@dataclass(slots=True)
class Way:
    """One way to grade. walls: seconds per submission, by round; cpus: the same, of the whole machine."""

    name: str
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    grades: list[Grade] = field(default_factory=list)

    def grade(self, pool: Any, entries: Sequence[Entry]) -> None:
        before, began = _busy(), time.perf_counter()
        self.grades = list(pool.grade(entries))
        self.walls.append((time.perf_counter() - began) / len(entries))
        self.cpus.append((_busy() - before) / len(entries))


def main() -> None:
    options = _options()
    assignment = course.load(options.course, options.assignment)
    profile = isolation.choose("require")
    job = Job(assignment, course.secret(options.course), profile, workers=options.nodes, batch="benchmark")
    with tempfile.TemporaryDirectory(prefix="autograder-benchmark-") as folder:
        entries = _class(job, Path(folder), options.submissions)
        nodes = _start(options.nodes)
        try:
            _compare(job, entries, nodes, options)
        finally:
            nodes.shutdown()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a cluster costs beside one machine.")
    parser.add_argument("--course", type=Path, default=ROOT, help="the folder that holds solutions/")
    parser.add_argument("--assignment", default="a1_attention")
    parser.add_argument("--submissions", type=int, default=200, help="in each round and way")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--shard", type=int, default=25)
    return parser.parse_args()


def _class(job: Job, folder: Path, count: int) -> list[Entry]:
    assignment = job.assignment
    sources = {"solution": course.source(assignment)}
    sources.update({name: path.read_text("utf-8") for name, path in course.variants(assignment).items()})
    works = [as_notebook(assignment, folder, name, source) for name, source in sources.items()]
    return [replace(entry, id=f"{number}-{entry.id}") for number, entry in enumerate(islice(cycle(works), count))]


def _start(count: int) -> Any:
    from ray.cluster_utils import Cluster as RayCluster

    about = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 200 * 2**20}
    nodes = RayCluster(initialize_head=True, head_node_args=about)
    for _ in range(count - 1):
        nodes.add_node(**about)
    return nodes


def _compare(job: Job, entries: list[Entry], nodes: Any, options: argparse.Namespace) -> None:
    local, ray = Way("local pool"), Way(f"ray, {options.nodes} nodes")
    machine, began = accounts.machine(), time.perf_counter()
    here = LocalPool(job)
    with here:
        local_start = time.perf_counter() - began
        list(here.grade(entries[: 10 * options.nodes]))
        began = time.perf_counter()
        wanted = Wanted(nodes.address, device="cpu", shard=options.shard)
        with Cluster(wanted) as found, found.pool(replace(job, profile=found.profile)) as there:
            while not all(station.serving for station in found.stations):
                list(there.grade(entries[:1]))
            ray_start = time.perf_counter() - began
            list(there.grade(entries[: 10 * options.nodes]))
            for number in range(options.rounds):
                for way, pool in ((local, here), (ray, there))[:: 1 if number % 2 else -1]:
                    way.grade(pool, entries)
    _print(local, ray, machine)
    print(f"starting, once per run: local pool {local_start:.1f} s, ray {ray_start:.1f} s")
    same = _plain(local.grades) == _plain(ray.grades)
    print(f"{len(entries)} submissions a round, shards of {options.shard}; grades the same, times aside: {same}")


def _print(local: Way, ray: Way, before: tuple[float, float]) -> None:
    print(f"\n{'per submission':20}{'wall ms':>10}{'best':>8}{'machine CPU ms':>16}{'best':>8}")
    for way in (local, ray):
        wall, cpu = _middle(way.walls), _middle(way.cpus)
        print(f"{way.name:20}{1e3 * wall:10.1f}{1e3 * min(way.walls):8.1f}{1e3 * cpu:16.1f}{1e3 * min(way.cpus):8.1f}")
    wall, cpu = (_middle(a) / _middle(b) - 1 for a, b in ((ray.walls, local.walls), (ray.cpus, local.cpus)))
    print(
        f"overhead of the cluster: wall {100 * wall:+.1f} %  ({'met' if wall < 0.1 else 'MISSED'}: under 10 %), ",
        end="",
    )
    after = accounts.machine()
    stolen = 100 * (after[1] - before[1]) / max(after[0] - before[0], 1e-9)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"load {load}, steal {stolen:.1f} %, {os.cpu_count()} processors")


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _busy() -> float:
    """CPU seconds that the whole machine has spent, whoever spent them: so it means something only on a quiet one."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice)


def _plain(grades: list[Grade]) -> list[Grade]:
    timeless = [replace(grade, seconds=0.0, cpu_seconds=0.0) for grade in grades]
    return sorted(timeless, key=lambda grade: grade.submission)


if __name__ == "__main__":
    main()
