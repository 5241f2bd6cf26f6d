"""Burns CPU time in many threads at once while the main one sleeps.

verdict: 10 points
says: used more than or did not answer within
"""


def burn():
    x = torch.ones(300, 300)
    while True:
        x @ x


for _ in range(8):
    threading.Thread(target=burn, daemon=True).start()
time.sleep(600)
