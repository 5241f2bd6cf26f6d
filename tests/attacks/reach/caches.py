"""Leaves files in every place where caches and temporary files live.

verdict: 10 points
"""

for folder in (
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/run",
    "/root",
    "/root/.cache",
    "/home",
    TARGET["temporary"],
    "/scratch",
    "..",
):
    attempt(lambda: open(os.path.join(folder, TARGET["mine"] + "cache"), "w").close())
    attempt(os.mkdir, os.path.join(folder, TARGET["mine"] + "folder"))
