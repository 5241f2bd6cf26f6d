"""Loops for ever in a cell.

verdict: 10 points
says: used more than 0.6 seconds of CPU time or did not answer within 2 seconds
"""

while True:
    pass
