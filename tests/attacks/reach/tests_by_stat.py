"""Learns that the hidden tests exist, and how long they are, by stat.

verdict: 10 points
known: self, uid (`stat` of a path that is known already: its size and times, never its content)
"""

attempt(lambda: os.stat(TARGET["hidden"]).st_size)
