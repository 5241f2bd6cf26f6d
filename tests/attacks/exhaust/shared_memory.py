"""Takes shared anonymous memory, which some limits do not count.

verdict: 10 points
"""

kept = []
try:
    while True:
        kept.append(mmap.mmap(-1, 2**26))
        kept[-1][::4096] = bytes(2**26 // 4096)
except (OSError, MemoryError):
    print("refused: after", len(kept) * 64, "MiB")
    if len(kept) > 10:
        print("WORKED: more than it may use")
