"""Registers work to be done after its end.

verdict: 10 points
"""

import atexit
import weakref

atexit.register(time.sleep, 600)
keep = type("Keep", (), {})()
weakref.finalize(keep, time.sleep, 600)
threading.Thread(target=time.sleep, args=(600,)).start()
