"""Opens sockets of the internet: streams, datagrams, raw, both families.

verdict: 10 points
"""

for family in (socket.AF_INET, socket.AF_INET6):
    for sort in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        attempt(socket.socket, family, sort)
attempt(socket.create_connection, ("127.0.0.1", 22), 1)
attempt(socket.getaddrinfo, "example.org", 80)
