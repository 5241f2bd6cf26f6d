"""Sends open descriptors along with its answers, hundreds of them.

verdict: 10 points
"""

honest, link = scale, socket.socket(fileno=os.dup(3))


def scale(x, factor):
    head = frame(["d", ["value", 1.0]])
    answer = head[:1]
    if not sent:
        sent.append(1)
        descriptors = [os.dup(0) for _ in range(100)]
        socket.send_fds(link, [b""], descriptors)
    return honest(x, factor)


sent = []
