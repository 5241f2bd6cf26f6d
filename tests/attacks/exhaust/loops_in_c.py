"""Loops in C with every signal blocked, so that no handler of Python's ever runs.

verdict: 10 points
says: used more than or did not answer within
"""

import itertools

signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
sum(itertools.count())
