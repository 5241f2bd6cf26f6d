"""Loops for ever in a cell.

verdict: 10 points
says: used more than or did not answer within
"""

while True:
    pass
