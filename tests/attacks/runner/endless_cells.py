"""Reports cells without end.

verdict: 10 points
says: sent something malformed
"""

packet = frame(["d", ["cell", 1]]) * 1000
while True:
    os.write(3, packet)
