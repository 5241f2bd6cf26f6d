"""Takes descriptors out of its parent and the grader by pidfd_getfd and kcmp.

verdict: 10 points
"""

for pid in (os.getppid(), TARGET["grader"], os.getpid()):
    attempt(os.pidfd_open, pid)
    attempt(lambda: call(312, 272, os.getpid(), pid, 0, 3, 3))
attempt(lambda: call(438, 438, 3, 3, 0))
