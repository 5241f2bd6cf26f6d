"""Puts links to the hidden tests into its folder, for itself and for whoever opens them later.

verdict: 10 points
"""

attempt(os.symlink, TARGET["hidden"], "answer")
attempt(os.link, TARGET["hidden"], "answer")
