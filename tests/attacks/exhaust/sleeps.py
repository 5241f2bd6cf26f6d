"""Sleeps in a cell.

verdict: 10 points
says: did not answer within
"""

time.sleep(600)
