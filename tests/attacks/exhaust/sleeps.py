"""Sleeps in a cell.

verdict: 10 points
says: did not answer within 2 seconds
"""

time.sleep(600)
