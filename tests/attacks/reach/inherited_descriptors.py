"""Uses whatever descriptors it was born with.

verdict: 10 points
"""

held = []
for descriptor in range(1024):
    try:
        os.fstat(descriptor)
        held.append((descriptor, os.readlink(f"/proc/self/fd/{descriptor}")))
    except OSError:
        pass
odd = [one for one in held if one[0] > 3 and not one[1].startswith("anon_inode")]
print("WORKED:" if odd else "refused:", odd or "nothing but its own")
