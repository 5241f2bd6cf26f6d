"""Writes files that it has deleted already, so that no listing shows them.

verdict: 10 points
known: uid, self (files that are deleted and still open are not seen by the watch over its folder: at most open files × file size)
"""

kept, data = [], bytes(2**24)
try:
    for number in range(8):
        kept.append(open("hidden", "wb", buffering=0))
        os.unlink("hidden")
        if kept[-1].write(data) < len(data):
            raise OSError("no space left")
    print("WORKED: 128 MiB")
except OSError as error:
    print("refused: after", len(kept), error)
kept.clear()
