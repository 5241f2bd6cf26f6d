"""Sets attributes by calls newer than old filters know (setxattrat, file_setattr).

verdict: 10 points
"""

path = ctypes.c_char_p(TARGET["results"].encode())
attempt(lambda: call(463, 463, -100, path, 0, ctypes.c_char_p(b"user.attack"), ctypes.create_string_buffer(64), 16))
attempt(lambda: call(469, 469, -100, path, ctypes.create_string_buffer(64), 24, 0))
