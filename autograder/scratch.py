"""Private folders for a while: nobody else can enter them, and what a killed process left is removed by the next."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from autograder.sandbox import limits

try:
    import fcntl
except ImportError:  # Windows, where nothing is graded
    fcntl = None  # type: ignore[assignment]

PREFIX = "autograder-for-"
YOUNG = 60.0


@contextlib.contextmanager
def private_folder(purpose: str) -> Iterator[Path]:
    """A folder that is locked while any process of ours lives that had it, and gone afterwards. purpose: one word."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-")).resolve()
    with _lock(folder):
        try:
            yield folder
        finally:
            _remove(folder)


def sweep() -> None:
    """Remove what processes left that were killed. A young and empty folder is just being made."""
    if fcntl is None:
        return
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                state = os.fstat(folder)
                abandoned = os.listdir(folder) or time.time() - state.st_mtime > YOUNG
                if state.st_uid == os.geteuid() and abandoned:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(path)
            finally:
                os.close(folder)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    if fcntl is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        limits.clear(str(folder))
