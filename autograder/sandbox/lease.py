"""Which spare users belong to one zygote: no two graders on a machine may let workers run as the same user."""

import fcntl
import os
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

from autograder.errors import OperatorError

PLACES = (Path("/run"), Path(tempfile.gettempdir()))
NAME = "autograder-spare-users"


class Lease:
    """Some of the `spare` users, `count` of them, until it is closed or the process and all its forks have ended.

    A byte of one file stands for each user, and its lock for the lease, so that a killed grader leaves nothing behind.
    Raises OperatorError if too few are left.
    """

    def __init__(self, spare: Sequence[int], count: int, places: Sequence[Path] = PLACES) -> None:
        self._file = _open(places)
        self.users: list[int] = []
        for uid in spare:
            if len(self.users) == count:
                return
            if _lock(self._file, uid):
                self.users.append(uid)
        if len(self.users) < count:
            self.close()
            raise OperatorError(
                f"{count} workers need a spare user each, and {len(self.users)} of {len(spare)} are free: other "
                "graders on this machine use the rest. Wait for one of them to end, or use fewer --workers."
            )

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the users back."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _open(places: Sequence[Path]) -> int:
    for place in places:
        try:
            file = os.open(place / NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            continue
        if os.fstat(file).st_uid == os.geteuid():
            return file
        os.close(file)
    raise OperatorError(
        f"there is no place to note which spare users are taken: none of {', '.join(map(str, places))} can hold a file "
        f"{NAME} of our own. Make one of them writable, and remove a file of that name which belongs to somebody else."
    )


def _lock(file: int, uid: int) -> bool:
    """Lock the byte of a user for this opening of the file, which forks share. False if somebody else has it."""
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, uid, 1, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    return True
