"""Starts threads without end.

verdict: 10 points
"""

threading.stack_size(32768)
kept, end = [], threading.Event()
try:
    while True:
        kept.append(threading.Thread(target=end.wait, daemon=True))
        kept[-1].start()
        if len(kept) % 500 == 0:
            time.sleep(0.5)
        if len(kept) > 5000:
            print("WORKED: 5000 threads")
            break
except RuntimeError as error:
    print("refused: after", len(kept), error)
end.set()
