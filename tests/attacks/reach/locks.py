"""Locks files that everybody reads, to signal or to stop the others.

verdict: 10 points
known: namespaces, uid, self (a lock on a library's file: two submissions side by side may signal each other, and nothing of ours waits for locks)
"""

path = os.path.join(TARGET["engine"], "worker.py")
descriptor = os.open(path, os.O_RDONLY)
attempt(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
