"""Sleeps whenever it is asked, which costs no CPU time at all.

verdict: at most 5 points
says: did not answer within
"""


def scale(x, factor):
    time.sleep(600)
