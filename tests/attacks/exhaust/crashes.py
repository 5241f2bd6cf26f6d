"""Reads address 0 whenever it is asked.

verdict: 5 points
says: crashed its process (SIGSEGV)
"""


def scale(x, factor):
    ctypes.string_at(0)
