"""Opens files until no descriptor is left, and then asks for more.

verdict: 10 points
"""

kept = []
try:
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print("refused: after", len(kept), error)
    if len(kept) > 1024:
        print("WORKED: more than it may open")
for one in kept:
    os.close(one)
