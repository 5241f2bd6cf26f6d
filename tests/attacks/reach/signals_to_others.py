"""Signals its parent, the grader, its neighbours, its group and everybody.

verdict: 10 points
"""

for pid in (os.getppid(), TARGET["grader"], os.getpid() - 1, os.getpid() + 1, os.getpid() - 2, 1, -1, 0):
    attempt(os.kill, pid, signal.SIGKILL if pid != 0 else signal.SIGCONT)
attempt(os.killpg, os.getppid(), signal.SIGKILL)
