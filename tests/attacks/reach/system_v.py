"""Makes shared memory, semaphores and queues that would stay behind.

verdict: 10 points
"""

attempt(lambda: call(29, 194, 0x417461, 4096, 0o1666))
attempt(lambda: call(64, 190, 0x417461, 1, 0o1666))
attempt(lambda: call(68, 186, 0x417461, 0o1666))
attempt(lambda: call(240, 180, ctypes.c_char_p(TARGET["mine"].encode()), 0o102, 0o666, 0))
attempt(lambda: __import__("multiprocessing.shared_memory").shared_memory.SharedMemory(TARGET["mine"] + "x", True, 64))
