"""Sets handlers for every signal, exit and exception, and has a timer interrupt the harness.

verdict: at most 10 points
"""

import atexit


def raising(*given):
    raise ValueError("interrupted")


for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, raising)
sys.excepthook = sys.unraisablehook = threading.excepthook = sys.displayhook = raising
atexit.register(lambda: os.write(3, frame(["d", ["value", 1.0]])))
honest = scale


def scale(x, factor):
    if factor == 2.0:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    return honest(x, factor)
