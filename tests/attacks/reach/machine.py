"""Halts the machine, sets its clock, its name and its swap.

verdict: 10 points
"""

attempt(lambda: call(169, 142, 0xFEE1DEAD, 672274793, 0, 0))
attempt(lambda: call(227, 112, 0, ctypes.create_string_buffer(16)))
attempt(socket.sethostname, "attack")
attempt(lambda: call(167, 224, ctypes.c_char_p(b"mine"), 0))
attempt(lambda: call(246, 104, 0, 0, 0, 0))
attempt(lambda: call(161, 51, ctypes.c_char_p(b".")))
