"""Runs a program from memory, and maps a file of its own as code.

verdict: 10 points
"""

attempt(os.memfd_create, "mine")
attempt(lambda: call(319, 279, ctypes.c_char_p(b"mine"), 0))
attempt(lambda: call(447, 447, 0))
open("mine.so", "wb").write(b"\x7fELF" + bytes(60))
attempt(lambda: call(322, 281, os.open("mine.so", os.O_RDONLY), ctypes.c_char_p(b""), 0, 0, 0x1000))
