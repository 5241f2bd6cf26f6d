"""Leaves files and folders that are hard to remove: deep, nameless, unreadable, a thousand.

verdict: 10 points
"""

here = os.getcwd()
for depth in range(40):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
os.chdir(here)
for name in ("-rf", " ", "a\nb", "\x1b[2J", "..hidden", "*", "\udcff"):
    open(name, "w").close()
for number in range(500):
    os.mkdir(f"{TARGET['mine']}{number}", 0)
