"""Has timers go off a million times a second.

verdict: at most 10 points
"""

signal.signal(signal.SIGALRM, lambda *given: None)
signal.setitimer(signal.ITIMER_REAL, 0.000_001, 0.000_001)
