"""Reserves disk space for file after file without writing a byte.

verdict: 10 points
"""

held = 0
for number in range(200):
    descriptor = os.open(f"big{number}", os.O_CREAT | os.O_RDWR)
    try:
        call(285, 47, descriptor, 0, 0, 2**24)
    except OSError as error:
        print("refused:", error)
        break
    held += os.fstat(descriptor).st_blocks * 512
    os.close(descriptor)
else:
    print("WORKED:", held)
