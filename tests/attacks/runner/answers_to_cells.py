"""Sends answers to checks while its cells run.

verdict: 10 points
says: sent something malformed
"""

for _ in range(100):
    os.write(3, frame(["d", ["value", 1.0], ["changed", ["l"]], ["tracked", ["l"]]]))
