"""Runs programs by subprocess, os.system, posix_spawn, exec and a pool of processes.

verdict: 10 points
"""

import concurrent.futures
import multiprocessing
import subprocess

attempt(subprocess.run, [sys.executable, "-V"])
attempt(subprocess.check_output, "id", shell=True)
attempt(os.posix_spawn, sys.executable, [sys.executable, "-V"], {})
attempt(os.execv, sys.executable, [sys.executable, "-V"])
attempt(lambda: multiprocessing.get_context("fork").Process(target=print).start())
attempt(lambda: concurrent.futures.ProcessPoolExecutor(1).submit(abs, 1).result(1))
if os.system("true") == 0:
    print("WORKED: os.system")
