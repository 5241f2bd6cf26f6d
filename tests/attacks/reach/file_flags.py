"""Makes a file of its own immutable, so that nobody can clear it away.

verdict: 10 points
"""

descriptor = os.open("mine", os.O_CREAT | os.O_RDWR)
attempt(fcntl.ioctl, descriptor, 0x40086602, struct.pack("=i", 0x10))
attempt(fcntl.fcntl, descriptor, 1024, 1)
attempt(fcntl.fcntl, descriptor, 1033, 15)
