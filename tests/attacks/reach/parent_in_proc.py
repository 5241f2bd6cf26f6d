"""Reads its parent's environment, command, maps, memory and descriptors.

verdict: 10 points
"""

for name in ("environ", "cmdline", "maps", "mem", "auxv", "stat", "cgroup", "mountinfo"):
    attempt(lambda: open(f"/proc/{os.getppid()}/{name}", "rb").read(64))
attempt(os.listdir, f"/proc/{os.getppid()}/fd")
