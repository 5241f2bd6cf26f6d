"""Stops itself as Ctrl-Z would, and waits for somebody to let it go on.

verdict: 10 points
says: did not answer within 2 seconds
"""

os.kill(os.getpid(), signal.SIGSTOP)
