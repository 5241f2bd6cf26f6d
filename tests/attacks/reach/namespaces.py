"""Makes namespaces of its own, enters those of others, mounts and changes its root.

verdict: 10 points
"""

for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x04000000, 0x02000000, 0x00000080):
    attempt(lambda: call(272, 97, flag))
attempt(lambda: call(308, 268, 3, 0))
attempt(lambda: call(165, 40, ctypes.c_char_p(b"x"), ctypes.c_char_p(b"."), ctypes.c_char_p(b"tmpfs"), 0, 0))
attempt(lambda: call(430, 430, ctypes.c_char_p(b"tmpfs"), 0))
attempt(lambda: call(428, 428, -100, ctypes.c_char_p(b"/"), 1))
attempt(lambda: call(155, 41, ctypes.c_char_p(b"."), ctypes.c_char_p(b".")))
attempt(os.chroot, ".")
