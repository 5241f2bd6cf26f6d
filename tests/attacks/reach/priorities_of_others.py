"""Slows its parent down, pins it, limits it, and puts itself in front.

verdict: 10 points
"""

for pid in (os.getppid(), TARGET["grader"]):
    attempt(os.setpriority, os.PRIO_PROCESS, pid, 19)
    attempt(os.sched_setaffinity, pid, {0})
    attempt(resource.prlimit, pid, resource.RLIMIT_CPU, (1, 1))
attempt(os.setpriority, os.PRIO_PROCESS, 0, -20)
attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50))
attempt(lambda: call(314, 274, 0, ctypes.create_string_buffer(48), 0))
