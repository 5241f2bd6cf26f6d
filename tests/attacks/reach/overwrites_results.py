"""Overwrites and removes the file with the results.

verdict: 10 points
"""

attempt(lambda: open(TARGET["results"], "w").write("10"))
attempt(os.unlink, TARGET["results"])
attempt(os.truncate, TARGET["results"], 0)
