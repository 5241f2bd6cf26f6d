"""Makes a 32-bit system call, which a filter for 64 bits would not know.

verdict: 10 points
says: crashed its process
"""

if not X86:
    os.abort()
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x02\x00\x00\x00\xcd\x80\xc3")
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
print("WORKED: int 0x80")
