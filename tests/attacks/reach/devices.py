"""Makes device nodes and named pipes, and opens those of the machine.

verdict: 10 points
"""

attempt(os.mknod, "disk", 0o600 | 0o060000, os.makedev(254, 0))
attempt(os.mkfifo, "pipe")
for name in (
    "/dev/mem",
    "/dev/kmsg",
    "/dev/vda",
    "/dev/sda",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/fuse",
    "/dev/kvm",
    "/dev/net/tun",
):
    attempt(os.open, name, os.O_RDWR)
