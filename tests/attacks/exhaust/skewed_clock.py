"""Spends its time in the kernel, by calls that fail, so that only the kernel's own clock counts it.

verdict: 10 points
says: used more than or did not answer within
"""

buffer = ctypes.create_string_buffer(2**20)
while True:
    LIBC.getrandom(buffer, 2**20, 0)
