"""Fills the buffers of pipes and sockets, which are no memory of its own.

verdict: 10 points
"""

kept = []
try:
    while True:
        pair = socket.socketpair()
        kept.append(pair)
        for one in pair:
            one.setblocking(False)
            try:
                while True:
                    one.send(bytes(65536))
            except BlockingIOError:
                pass
except OSError as error:
    print("refused: after", len(kept), error)
