"""Moves the hidden tests into its folder, and its own file over them.

verdict: 10 points
"""

open("mine", "w").write("pass")
attempt(os.rename, TARGET["hidden"], "answer")
attempt(os.rename, "mine", TARGET["hidden"])
