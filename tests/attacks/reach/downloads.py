"""Downloads a solution, and sends hidden inputs home, by what Python offers for it.

verdict: 10 points
"""

import urllib.request

attempt(urllib.request.urlopen, "http://127.0.0.1:9/solution.py", None, 1)
attempt(torch.hub.download_url_to_file, "http://127.0.0.1:9/weights.pt", "weights.pt")
