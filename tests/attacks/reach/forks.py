"""Makes processes by fork, vfork, clone and clone3.

verdict: 10 points
"""


def made(number):
    if number == 0:
        os._exit(0)
    return number


attempt(lambda: made(os.fork()))
attempt(lambda: made(call(56, 220, signal.SIGCHLD, 0, 0, 0, 0)))
attempt(lambda: made(call(435, 435, ctypes.create_string_buffer(struct.pack("=8Q", 0, 0, 0, 0, 17, 0, 0, 0)), 64)))
if X86:
    attempt(lambda: made(call(57, 0)))
