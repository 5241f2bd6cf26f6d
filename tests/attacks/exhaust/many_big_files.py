"""Writes file after file, each as large as it may be.

verdict: 10 points
"""

data = bytes(2**24)
for number in range(1000):
    with open(f"big{number}", "wb") as file:
        file.write(data)
while True:
    time.sleep(0.1)
