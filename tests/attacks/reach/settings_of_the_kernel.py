"""Writes settings of the kernel: core pattern, its own killing order, cgroups.

verdict: 10 points
"""

for name in (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/self/oom_score_adj",
    "/proc/self/coredump_filter",
    "/proc/self/uid_map",
    "/proc/self/attr/current",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/power/state",
    "/proc/sysrq-trigger",
):
    attempt(os.open, name, os.O_WRONLY)
