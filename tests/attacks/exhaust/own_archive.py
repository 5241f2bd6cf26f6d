"""Unpacks an archive that is a thousand times as large as it seems.

verdict: 10 points
"""

import io
import zipfile

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
    for number in range(4):
        archive.writestr(f"{number}", bytes(2**25))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
attempt(zipfile.ZipFile(packed).extractall)
