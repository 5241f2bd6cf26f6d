"""Makes a system call of the x32 table.

verdict: 10 points
says: crashed its process
"""

if not X86:
    os.abort()
LIBC.syscall(ctypes.c_long(0x40000000 | 57))
print("WORKED: x32")
