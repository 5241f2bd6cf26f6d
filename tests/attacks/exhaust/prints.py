"""Prints without end.

verdict: 10 points
says: printed more than 1 MB
"""

while True:
    print("x" * 1000)
