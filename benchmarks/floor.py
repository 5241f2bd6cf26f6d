"""The floor: what grading can't cost less than. One fork of a warm process per submission, its cells, each check once.

Started by `batch.py` as `python floor.py FOLDER`, with the folder of an assignment. Reads one JSON list of cells per
line, and answers each with one line: did all checks pass, and what did it take? CPU seconds are those of the child by
wait4, with what the fork cost the parent; peak memory is the child's, shared pages included.
"""

import contextlib
import gc
import json
import os
import sys
import time
import traceback
import types
from pathlib import Path
from typing import NoReturn

import direct

from autograder.sandbox.warm import settle, warm_up


def main(folder: Path) -> None:
    with contextlib.suppress(ImportError):
        import matplotlib.pyplot  # noqa: F401 - as warm as the zygote
    warm_up(backward=True)
    tests = direct.load(folder / "test_hidden.py", "test_hidden")
    reference = direct.load(folder / "solution.py", folder.name)
    settle()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        cells = json.loads(line)
        gc.collect()
        began, before = time.perf_counter(), time.process_time()
        child = os.fork()
        if child == 0:
            _child(cells, tests, reference)
        _, status, usage = os.wait4(child, 0)
        forking = time.process_time() - before
        answer = {
            "passed": status == 0,
            "cpu": usage.ru_utime + usage.ru_stime + forking,
            "wall": time.perf_counter() - began,
            "peak": usage.ru_maxrss * 1024,
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _child(cells: list[str], tests: types.ModuleType, reference: types.ModuleType) -> NoReturn:
    code = 1
    try:
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        for cell in cells:
            exec(compile(cell, "<cell>", "exec"), vars(module))
        names = dict(vars(module))
        for check in direct.checks(tests).values():
            direct.run(check, names, reference)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
