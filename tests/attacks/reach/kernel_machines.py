"""Asks the kernel for io_uring, BPF, userfaultfd, perf, and to load code into itself.

verdict: 10 points
"""

attempt(lambda: call(425, 425, 8, ctypes.create_string_buffer(120)))
attempt(lambda: call(321, 280, 5, ctypes.create_string_buffer(128), 128))
attempt(lambda: call(323, 282, 1))
attempt(lambda: call(298, 241, ctypes.create_string_buffer(struct.pack("=II", 1, 112), 128), 0, -1, -1, 0))
attempt(lambda: call(175, 105, ctypes.create_string_buffer(64), 64, ctypes.c_char_p(b"")))
attempt(lambda: call(103, 116, 3, ctypes.create_string_buffer(4096), 4096))
attempt(lambda: call(135, 92, 0x0040000))
