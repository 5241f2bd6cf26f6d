"""Looks for any process but itself in /proc.

verdict: 10 points
"""

attempt(os.listdir, "/proc")
seen = [
    pid
    for pid in range(1, 3000)
    if pid != os.getpid()
    and not os.path.samefile("/proc/self", "/proc/self/../self")
    or os.access(f"/proc/{pid}/cmdline", os.R_OK)
    and pid != os.getpid()
]
readable = []
for pid in range(1, 3000):
    if pid != os.getpid():
        try:
            readable.append(open(f"/proc/{pid}/comm").read())
        except OSError:
            pass
print("WORKED:" if readable else "refused: none of 3000", readable)
