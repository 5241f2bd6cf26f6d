"""Traces its parent, the grader and its neighbours, and asks to be traced.

verdict: 10 points
"""

for pid in (os.getppid(), TARGET["grader"], os.getpid() - 1, os.getpid() + 1):
    attempt(lambda: call(101, 117, 0x4206, pid, 0, 0))
    attempt(lambda: call(101, 117, 16, pid, 0, 0))
attempt(lambda: call(101, 117, 0, 0, 0, 0))
