"""Reads the grader's environment, command and memory.

verdict: 10 points
"""

for name in ("environ", "cmdline", "maps", "mem", "fd", "task"):
    attempt(lambda: open(f"/proc/{TARGET['grader']}/{name}", "rb").read(64))
