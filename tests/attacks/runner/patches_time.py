"""Replaces every clock, so that no time seems to pass, and then loops.

verdict: at most 5 points
says: used more than or did not answer within
"""

time.time = time.monotonic = time.perf_counter = time.process_time = time.clock_gettime = lambda *given: 0.0


def scale(x, factor):
    while True:
        pass
