"""Signals others by thread, by queue, by owner of a descriptor and by death of a parent.

verdict: 10 points
"""

for pid in (os.getppid(), TARGET["grader"]):
    attempt(lambda: call(200, 130, pid, signal.SIGKILL))
    attempt(lambda: call(234, 131, pid, pid, signal.SIGKILL))
    attempt(lambda: call(129, 138, pid, signal.SIGKILL, ctypes.create_string_buffer(128)))
    attempt(fcntl.fcntl, 3, fcntl.F_SETOWN, pid)
    attempt(fcntl.fcntl, 3, 15, struct.pack("=ii", 1, pid))
