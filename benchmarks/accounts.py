"""The kernel's books: CPU time, memory, load and steal, read from /proc.

CPU time of a process is utime + stime of /proc/<pid>/stat, own threads and children that it has waited for, in ticks of
10 ms; what a tick rounds away averages out over a batch.
"""

import os
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds of a process and its descendants: used by those that live, and by those that were waited for."""

    living: float = 0.0
    waited: float = 0.0

    @property
    def total(self) -> float:
        return self.living + self.waited

    def __sub__(self, other: "Cpu") -> "Cpu":
        return Cpu(self.living - other.living, self.waited - other.waited)

    def __add__(self, other: "Cpu") -> "Cpu":
        return Cpu(self.living + other.living, self.waited + other.waited)


def cpu(*roots: int) -> Cpu:
    """CPU time of the processes `roots` with all their descendants."""
    living = waited = 0
    for pid in family(*roots):
        fields = _stat(pid)
        if fields:
            living += int(fields[11]) + int(fields[12])
            waited += int(fields[13]) + int(fields[14])
    return Cpu(living / TICK, waited / TICK)


def family(*roots: int) -> list[int]:
    """`roots` and their descendants, parents first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            children.setdefault(int(fields[1]), []).append(int(name))
    found = list(roots)
    for pid in found:
        found += children.get(pid, [])
    return found


def resident(pid: int) -> int:
    """Bytes in memory now, shared ones included; 0 once the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def private(pid: int) -> int:
    """Bytes that only this process has; 0 where they may not be seen."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def peak(pid: int) -> int:
    """The most bytes that were ever in memory, shared ones included; 0 once the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def machine() -> tuple[float, float]:
    """Seconds since the start that all processors together spent on anything, and that the host took from them."""
    spent = _processors()
    return sum(spent), spent[7]


def idle() -> float:
    """Seconds since the start in which processors had nothing to do, or waited for a disk, added up."""
    return sum(_processors()[3:5])


def _processors() -> list[float]:
    """Seconds of all processors together: user, nice, system, idle, iowait, irq, softirq, steal."""
    return [int(field) / TICK for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
