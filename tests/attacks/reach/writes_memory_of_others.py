"""Writes into the memory of its parent and the grader, and through its own memory file.

verdict: 10 points
"""


def poke(pid):
    buffer = ctypes.create_string_buffer(8)
    mine, theirs = (struct.pack("@PN", place, 8) for place in (ctypes.addressof(buffer), id(TARGET)))
    return call(311, 271, pid, ctypes.c_char_p(mine), 1, ctypes.c_char_p(theirs), 1, 0)


attempt(poke, os.getppid())
attempt(poke, TARGET["grader"])
attempt(open, "/proc/self/mem", "r+b")
