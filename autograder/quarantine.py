"""A function of ours, run on something hostile in a process of its own: its limits, its deadline, JSON back.

The process is a fresh interpreter without site-packages, so it starts in 20 ms, and holds nothing of the grader's. On
Windows and macOS, where students check their own work, it has its deadline alone.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from autograder.errors import OperatorError, UnreadableSubmission

SECONDS = 60
MEMORY = 3 * 2**29
FILE = 200 * 2**20
NO_MEMORY = 3

START = "import sys; sys.path.append(sys.argv[1]); from autograder.quarantine import _main; _main(sys.argv[2:])"


def apart(function: str, stdin: BinaryIO, arguments: Sequence[str] = (), seconds: int | None = None) -> Any:
    """What `module:function(stdin, *arguments)` returned, as JSON carries it.

    Raises UnreadableSubmission with the function's own sentence, or when it ran past its limits; OperatorError if our
    disk fails.
    seconds: of CPU time; twice as many may pass on the clock.
    """
    root = str(Path(__file__).parents[1])
    seconds = seconds or SECONDS
    command = [sys.executable, "-I", "-S", "-B", "-c", START, root, str(seconds), function, *arguments]
    environment = {name: value for name, value in os.environ.items() if name in ("LD_LIBRARY_PATH", "SYSTEMROOT")}
    try:
        done = subprocess.run(
            command, stdin=stdin, capture_output=True, timeout=2 * seconds, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadableSubmission(_too_much("time")) from error
    if done.returncode < 0 or done.returncode == NO_MEMORY:
        raise UnreadableSubmission(_too_much("memory" if done.returncode == NO_MEMORY else "time or memory"))
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
        raise UnreadableSubmission(f"could not be read ({said}). Make it again and hand it in.")
    reply = json.loads(done.stdout)
    if "operator" in reply:
        raise OperatorError(reply["operator"])
    if "refused" in reply:
        raise UnreadableSubmission(reply["refused"])
    return reply["value"]


def _too_much(what: str) -> str:
    return f"could not be read: it takes more {what} than any honest file of this kind. Make it again and hand it in."


def _main(arguments: list[str]) -> None:
    seconds, path, *words = arguments
    _limit(int(seconds))
    gc.disable()
    module, _, name = path.partition(":")
    function = getattr(importlib.import_module(f"autograder.{module}"), name)
    try:
        reply = {"value": function(sys.stdin.buffer, *words)}
    except UnreadableSubmission as error:
        reply = {"refused": str(error)}
    except OperatorError as error:
        reply = {"operator": str(error)}
    except MemoryError:
        sys.exit(NO_MEMORY)
    sys.stdout.write(json.dumps(reply))


def _limit(seconds: int) -> None:
    if sys.platform != "linux":
        return
    import resource

    for kind, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
