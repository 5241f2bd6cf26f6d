"""Opens sockets of families that nobody thinks of.

verdict: 10 points
"""

for number in range(50):
    for sort in (1, 2, 3, 5):
        try:
            call(41, 198, number, sort, 0)
            print("WORKED:", number, sort)
        except OSError as error:
            pass
print("refused: 50 families")
