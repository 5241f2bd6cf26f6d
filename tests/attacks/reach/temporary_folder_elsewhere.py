"""Points TMPDIR and HOME elsewhere and asks for temporary files there.

verdict: 10 points
"""

import tempfile

for folder in ("/tmp", "/var/tmp", TARGET["temporary"], "/dev/shm"):
    tempfile.tempdir = folder
    os.environ.update(TMPDIR=folder, HOME=folder)
    attempt(lambda: tempfile.NamedTemporaryFile(prefix=TARGET["mine"], delete=False).name)
