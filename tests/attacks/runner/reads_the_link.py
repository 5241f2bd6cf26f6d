"""Has a thread read the questions away from the harness.

verdict: at most 10 points
"""


def thief():
    while True:
        select.select([3], [], [])
        os.read(3, 5)


threading.Thread(target=thief, daemon=True).start()
