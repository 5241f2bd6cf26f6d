"""Lists the folders of the course, of the submissions, of temporary files, and the root.

verdict: 10 points
"""

for name in ("course", "folder", "temporary"):
    attempt(os.listdir, TARGET[name])
attempt(os.listdir, os.path.dirname(os.getcwd()))
