"""Reports cells by numbers that stand for something else.

verdict: 10 points
says: sent something malformed
"""

os.write(3, frame(["d", ["cell", 31415926]]))
