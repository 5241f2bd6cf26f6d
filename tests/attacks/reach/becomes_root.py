"""Becomes root again, by user, group, capability and rights kept back.

verdict: 10 points
"""

attempt(os.setresuid, 0, 0, 0) if os.getuid() else print("refused: it is nobody else to begin with")
attempt(os.setresgid, 0, 0, 0)
attempt(os.setgroups, [0])
attempt(
    lambda: call(
        126,
        91,
        ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0)),
        ctypes.create_string_buffer(b"\xff" * 24),
    )
)
capabilities = [line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "CapPrm"))]
odd = [one for one in capabilities if int(one, 16) not in (0, 4)]
print("WORKED:" if odd else "refused:", capabilities)
