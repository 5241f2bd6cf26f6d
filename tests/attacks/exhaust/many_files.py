"""Makes empty files, more than anybody could clear away in time.

verdict: 10 points
says: made more than 10000 files or used more than or did not answer within
"""

for number in range(11_000):
    os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY))
time.sleep(600)
