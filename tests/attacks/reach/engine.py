"""Writes into the engine's own folder.

verdict: 10 points
"""

attempt(lambda: open(os.path.join(TARGET["engine"], TARGET["mine"] + "x.py"), "w").write("import os"))
attempt(lambda: open(os.path.join(TARGET["engine"], "worker.py"), "a").write("#"))
