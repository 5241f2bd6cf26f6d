"""Makes its memory readable to others, and its core dumpable.

verdict: 10 points
"""

for number, value in ((4, 1), (0x59616D61, -1), (35, 1)):
    print("WORKED:" if LIBC.prctl(number, ctypes.c_ulong(value & 2**64 - 1), 0, 0, 0) == 0 else "refused:", number)
attempt(resource.setrlimit, resource.RLIMIT_CORE, (1 << 20, 1 << 20))
