"""Takes the files worth reading out of an archive, under names of our own. Standard library only."""

import errno
import gzip
import io
import os
import stat
import tarfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from autograder.errors import AutograderError, OperatorError, UnreadableSubmission

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
CODE = (".ipynb", ".py")
METADATA = "submission_metadata.yml"
TIMESTAMP = "timestamp.txt"
MEMBER_CAP = 100 * 2**20
DIRECTORY_CAP = 32 * 2**20
EXTENDED_TIME = 0x5455
CHUNK = 2**18
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass(frozen=True, slots=True)
class Caps:
    """What one archive may hold."""

    members: int
    total: int


STUDENT = Caps(members=5_000, total=400 * 2**20)
CLASS = Caps(members=200_000, total=16 * 2**30)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive. path: where it was unpacked, empty if it is not worth reading. name: as written there.

    changed: when, in seconds since 1970; 0 where the archive does not say it in a way that holds in every time zone.
    """

    name: str
    path: str = ""
    problem: str = ""
    changed: float = 0.0


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def is_worth_reading(name: str) -> bool:
    return name.lower().endswith((*CODE, *ARCHIVES)) or name in (METADATA, TIMESTAMP)


def parts_of(name: str) -> tuple[str, ...] | None:
    """A member's folders and name, or None where it would leave the archive's folder."""
    name = name.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":":
        return None
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    return None if ".." in parts else parts


def unpack(path: Path, target: Path, caps: Caps) -> tuple[list[Member], int]:
    """Unpack into `target`, a new folder. A member that can't be taken has a problem; the others are taken.

    Also says how many bytes came out, whether they were worth keeping or not.

    Raises UnreadableSubmission, with a sentence that follows on the archive's name, if it can't be read at all.
    """
    with open(path, "rb", opener=_opener) as file:
        return unpack_file(file, str(target), str(caps.members), str(caps.total), path.name)


def unpack_file(file: BinaryIO, target: str, members: str, total: str, name: str) -> tuple[list[Member], int]:
    budget = Budget(Caps(int(members), int(total)))
    os.mkdir(target)
    found = (
        _zip(file, Path(target), budget) if name.lower().endswith(".zip") else _tar(file, Path(target), budget, name)
    )
    taken: list[Member] = []
    try:
        taken.extend(found)
    except AutograderError:
        raise
    except Exception as error:
        _refuse_our_disk(error, target)
        said = str(error)[:100] or type(error).__name__
        if not any(member.path for member in taken):
            raise UnreadableSubmission(
                f"is no archive that can be read ({said}). Pack it and hand it in again."
            ) from error
        taken.append(Member(name, problem=f"{name} is broken after its {len(taken)}th file ({said}). Pack it again."))
    return taken, budget.total


def unpack_apart(file: BinaryIO, target: str, members: str, total: str, name: str) -> tuple[list[dict[str, Any]], int]:
    """The same as plain data, for a process of its own."""
    taken, spent = unpack_file(file, target, members, total, name)
    return [asdict(member) for member in taken], spent


class Budget:
    """Counts what comes out of an archive, so that a small file can't fill a disk."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.members = 0
        self.total = 0

    def count(self) -> int:
        self.members += 1
        if self.members > self.caps.members:
            raise UnreadableSubmission(
                f"holds more than {self.caps.members} files. Pack only the files that you were asked for."
            )
        return self.members

    def spend(self, size: int) -> None:
        self.total += size
        if self.total > self.caps.total:
            raise UnreadableSubmission(
                f"holds more than {self.caps.total // 10**6} MB when unpacked. Pack only what you were asked for."
            )


def _zip(file: BinaryIO, target: Path, budget: Budget) -> Iterator[Member]:
    _refuse_a_long_directory(file)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            number = budget.count()
            kind = stat.S_IFMT(info.external_attr >> 16)
            odd = kind not in (0, stat.S_IFREG, stat.S_IFDIR)
            if (problem := _problem(info.filename, "a link" if odd else "")) or info.is_dir():
                if problem:
                    yield Member(info.filename, problem=problem)
                continue
            stamp = _stamp(info.date_time)
            taken = _take(info.filename, target / str(number), budget, stamp, lambda info=info: archive.open(info))
            yield replace(taken, changed=_changed(info.extra))


def _tar(file: BinaryIO, target: Path, budget: Budget, name: str) -> Iterator[Member]:
    plain = file if name.lower().endswith(".tar") else gzip.GzipFile(fileobj=file)
    with tarfile.open(fileobj=Counted(plain, budget), mode="r|") as archive:
        for info in archive:
            number = budget.count()
            odd = "" if info.isreg() or info.isdir() else "a link" if info.islnk() or info.issym() else "a device"
            if (problem := _problem(info.name, odd)) or info.isdir():
                if problem:
                    yield Member(info.name, problem=problem)
                continue
            taken = _take(
                info.name, target / str(number), budget, float(info.mtime), lambda info=info: archive.extractfile(info)
            )
            yield replace(taken, changed=float(info.mtime))


class Counted(io.RawIOBase):
    """Reads from a stream and counts what was read."""

    def __init__(self, stream: Any, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self._budget.spend(len(data))
        return data


def _take(name: str, folder: Path, budget: Budget, stamp: float, opened: Any) -> Member:
    parts = parts_of(name) or ("",)
    if not is_worth_reading(parts[-1]) or any(part.startswith(".") for part in parts):
        return Member(name)
    folder.mkdir()
    path = folder / _own_name(parts[-1])
    size = 0
    try:
        with opened() as source, path.open("wb") as copy:
            while data := source.read(CHUNK):
                size += len(data)
                budget.spend(len(data))
                if size > MEMBER_CAP:
                    return Member(
                        name, problem=f"{parts[-1]} is larger than {MEMBER_CAP // 10**6} MB; it was not unpacked."
                    )
                copy.write(data)
    except AutograderError:
        raise
    except Exception as error:
        _refuse_our_disk(error, str(folder))
        path.unlink(missing_ok=True)
        return Member(
            name, problem=f"{parts[-1]} can't be unpacked ({str(error)[:100]}). Pack it again, without password."
        )
    if 0 < stamp < 2**33:
        os.utime(path, (stamp, stamp))
    return Member(name, path=str(path))


def _refuse_our_disk(error: Exception, target: str) -> None:
    if isinstance(error, OSError) and error.errno in DISK:
        raise OperatorError(f"{target} can't be written ({error.strerror}). Make room on the disk and grade again.")


def _problem(name: str, odd: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in name)[:100]
    if parts_of(name) is None:
        return f"The archive's member {shown!r} points outside the archive; it was not unpacked. Pack the files again."
    return (
        f"The archive's member {shown!r} is {odd}, not a file; it was not unpacked. Pack the file itself."
        if odd
        else ""
    )


def _own_name(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "._- ()" else "_" for letter in name)
    stem, dot, suffix = kept.encode("utf-8", "replace").decode().rpartition(".")
    return f"{stem[:60]}{dot}{suffix}"


def _stamp(moment: tuple[int, ...]) -> float:
    try:
        return time.mktime((*moment, 0, 0, -1))  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return 0.0


def _changed(extra: bytes) -> float:
    """The time of change in a zip member's extra field for it, which unlike the plain one has no time zone."""
    while len(extra) >= 4:
        kind, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if kind == EXTENDED_TIME and size >= 5 and extra[4] & 1:
            return float(int.from_bytes(extra[5:9], "little", signed=True))
        extra = extra[4 + size :]
    return 0.0


def _refuse_a_long_directory(file: BinaryIO) -> None:
    """`zipfile` makes an object of every entry in the directory at the end, so look at its size before."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 66_000))
    tail = file.read(66_000)
    file.seek(0)
    at = tail.rfind(b"PK\5\6")
    size = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    wide = tail.rfind(b"PK\6\6")
    if size == 0xFFFFFFFF and wide >= 0:
        size = int.from_bytes(tail[wide + 40 : wide + 48], "little")
    if size > DIRECTORY_CAP:
        raise UnreadableSubmission("holds far too many files. Pack only the files that you were asked for.")


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
