"""Watches folders for the files of others, by inotify and fanotify.

verdict: 10 points
"""

attempt(lambda: call(294, 26, 0))
attempt(lambda: call(253, 26, 0))
attempt(lambda: call(300, 262, 0, 0))
