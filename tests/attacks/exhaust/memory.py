"""Takes private memory without end.

verdict: 10 points
"""

kept = []
try:
    while True:
        kept.append(bytearray(2**26))
except MemoryError:
    print("refused: after", len(kept) * 64, "MiB")
    if len(kept) > 10:
        print("WORKED: more than it may use")
del kept
