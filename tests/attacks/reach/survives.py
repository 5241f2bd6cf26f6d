"""Starts threads, sessions and processes that are to outlive it.

verdict: 10 points
"""

threading.Thread(target=lambda: time.sleep(600)).start()
attempt(os.setsid)
attempt(os.setpgid, 0, os.getppid())
attempt(os.fork)
if LIBC.prctl(1, 0, 0, 0, 0) == 0:
    print("WORKED: outlives its parent")
if LIBC.prctl(36, 1, 0, 0, 0) == 0:
    print("WORKED: subreaper")
