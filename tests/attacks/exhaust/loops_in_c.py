"""Loops in C with every signal blocked, so that no handler of Python's ever runs.

verdict: 10 points
says: used more than 0.6 seconds of CPU time or did not answer within 2 seconds
"""

import itertools

signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
sum(itertools.count())
