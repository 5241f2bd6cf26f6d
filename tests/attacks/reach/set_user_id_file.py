"""Makes a file of its own that would run as whoever made it.

verdict: 10 points
"""

descriptor = os.open("mine", os.O_CREAT | os.O_WRONLY, 0o6755)
os.write(descriptor, b"#!/bin/sh\n")
attempt(os.chmod, "mine", 0o6755)
attempt(os.fchmod, descriptor, 0o6755)
