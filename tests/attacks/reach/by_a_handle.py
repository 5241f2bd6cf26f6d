"""Opens the hidden tests by a file handle instead of a path.

verdict: 10 points
"""

handle = struct.pack("=Ii", 8, 1) + bytes(120)
attempt(
    lambda: call(
        303,
        264,
        -100,
        ctypes.c_char_p(TARGET["hidden"].encode()),
        ctypes.create_string_buffer(handle),
        ctypes.create_string_buffer(8),
        0,
    )
)
attempt(lambda: call(304, 265, -100, ctypes.create_string_buffer(handle), 0))
