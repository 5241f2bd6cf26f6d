"""Writes a line every now and then, so that it seems to be alive.

verdict: 10 points
says: did not answer within
"""

while True:
    print("still at it", flush=True)
    time.sleep(0.01)
