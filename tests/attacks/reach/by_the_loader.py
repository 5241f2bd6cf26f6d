"""Has the dynamic loader, zipimport and runpy open the hidden tests, and looks into their errors.

verdict: 10 points
"""

import runpy
import zipimport

for name in ("hidden", "solution", "other"):
    attempt(lambda: ctypes.CDLL(TARGET[name]))
    attempt(runpy.run_path, TARGET[name])
    try:
        zipimport.zipimporter(TARGET[name])
    except ImportError as error:
        print("refused:", error)
