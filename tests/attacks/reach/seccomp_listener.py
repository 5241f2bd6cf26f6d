"""Puts a filter of its own in front, one that asks a listener, and a loose one.

verdict: 10 points
"""

allow = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)
program = struct.pack("@HP", 1, ctypes.addressof(ctypes.create_string_buffer(allow, 8)))
attempt(lambda: call(317, 277, 1, 8, ctypes.c_char_p(program)))
attempt(lambda: call(444, 444, 0, 0, 1))
print("WORKED:" if LIBC.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0 else "refused: prctl")
