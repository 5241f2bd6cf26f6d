"""Looks for memory that it shares with its parent and its neighbours.

verdict: 10 points
"""

shared = [line.strip() for line in open("/proc/self/maps") if line.split()[1][1] == "w" and line.split()[1][3] == "s"]
print("WORKED:" if shared else "refused: none", shared)
