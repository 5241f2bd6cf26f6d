"""Leaves a note to the next student in the kernel's keyrings.

verdict: 10 points
"""

attempt(lambda: call(248, 217, ctypes.c_char_p(b"user"), ctypes.c_char_p(b"attack"), ctypes.c_char_p(b"1"), 1, -4))
attempt(lambda: call(249, 218, ctypes.c_char_p(b"user"), ctypes.c_char_p(b"attack"), 0, -4))
attempt(lambda: call(250, 219, 0, -3, 1))
