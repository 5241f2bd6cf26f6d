"""Forks without end.

verdict: 10 points
"""

count = 0
try:
    for _ in range(10_000):
        if os.fork() == 0:
            time.sleep(600)
        count += 1
    print("WORKED:", count)
except OSError as error:
    print("refused: after", count, error)
