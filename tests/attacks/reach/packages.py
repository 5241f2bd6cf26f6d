"""Leaves a .pth file among the installed packages, for the next Python that starts.

verdict: 10 points
"""

attempt(lambda: open(os.path.join(TARGET["packages"], TARGET["mine"] + "x.pth"), "w").write("import os"))
