"""Reaches for local services by path and abstract name, and leaves a socket of its own.

verdict: 10 points
"""

for sort in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    attempt(socket.socket, socket.AF_UNIX, sort)
attempt(socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM)
attempt(socket.socketpair, socket.AF_UNIX, socket.SOCK_SEQPACKET)
one, other = socket.socketpair()
for name in ("\0" + TARGET["mine"] + "socket", "socket", "/tmp/" + TARGET["mine"] + "socket"):
    attempt(one.bind, name)
for name in ("/var/run/docker.sock", "/dev/log", "\0/tmp/.X11-unix/X0", "/run/dbus/system_bus_socket"):
    attempt(socket.socket(fileno=os.dup(one.fileno())).connect, name)
attempt(one.listen)
