"""Stops itself as Ctrl-Z would, and waits for somebody to let it go on.

verdict: 10 points
says: did not answer within
"""

os.kill(os.getpid(), signal.SIGSTOP)
