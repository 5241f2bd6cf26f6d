"""How a process gives up its rights for good: with the kernel's own calls, and nothing but the standard library.

`confine` runs in a worker after the fork and before it reads a byte of the submission. Each refusal by the kernel is an
OSError that names the step, so a worker that could not be confined never runs. The filters it loads come from
`tools/export_filters.py`.
"""

import contextlib
import ctypes
import errno
import os
import platform
import signal
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION = 0x20080522
CAP_DAC_READ_SEARCH = 1 << 2
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
REMOVE, MAKE_DIR, MAKE_FILE = 3 << 4, 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
RIGHTS_OF_ABI = (0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1)
RIGHTS_OF_A_FILE = WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
READ = READ_FILE | READ_DIR
OWN = READ | WRITE_FILE | REMOVE | MAKE_DIR | MAKE_FILE | REFER | TRUNCATE
DEVICE = READ | WRITE_FILE | IOCTL_DEVICE

MOST_FILES, DEEPEST = 10_000, 64
FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
FILTERS = Path(__file__).parent / "filters"
PROCESSORS = {
    "x86_64": (0xC000003E, (62, 234), (302, 203)),
    "aarch64": (0xC00000B7, (129, 131), (261, 122)),
}
LOAD, EQUAL, JUMP, RETURN = 0x20, 0x15, 0x05, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a worker may still do once it is confined. Sizes in bytes; None means no limit of this kind.

    memory:    what it may take on top of what it has at the fork.
    threads:   counted by the kernel per user id, so of use only with a `uid` of its own.
    search:    keep the right to walk through folders that the new uid could not enter (needs Landlock).
    readable:  files and folders, missing ones passed over.  writable: its work folder, which becomes the current one.
    devices:   nodes, or folders of them, to read, write and control.
    filter:    which of the exported seccomp filters, None for none.
    """

    cpu_seconds: int | None = None
    memory: int | None = None
    file_bytes: int | None = None
    open_files: int | None = 256
    threads: int | None = None
    uid: int | None = None
    gid: int | None = None
    search: bool = False
    readable: tuple[str, ...] = ()
    writable: str | None = None
    devices: tuple[str, ...] = ()
    landlock: bool = True
    filter: str | None = "cpu"


def confine(confinement: Confinement, parent: int | None = None) -> None:
    """Give up, in this order: the session, resources, the user, new privileges, files, system calls.

    parent: the process that must be alive for this one to go on.
    """
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("being a single thread", lambda: _refuse_threads(confinement)),
        ("a session of its own", _own_session),
        ("resource limits", lambda: _limit_resources(confinement)),
        ("another user", lambda: _become(confinement)),
        ("hardening", harden),
        ("death with its parent", lambda: die_with_parent(parent)),
        ("its work folder", lambda: _enter(confinement.writable)),
        ("no new privileges", _no_new_privileges),
        ("Landlock", lambda: _restrict_files(confinement)),
        ("seccomp", lambda: _filter_calls(confinement.filter)),
    )
    for name, step in steps:
        try:
            step()
        except OSError as error:
            raise OSError(error.errno, f"this process could not be confined, at {name}: {error}") from error


def harden() -> None:
    """Keep this process's memory from others of the same user: no tracing, no core dumps."""
    if sys.platform == "linux":
        _prctl(PR_SET_DUMPABLE, 0)
    _limit("RLIMIT_CORE", 0)


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel end this process with the thread that started it. Undone by a change of user: call it after."""
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(signal.SIGKILL)


def landlock_abi() -> int:
    """Which version of Landlock this kernel speaks; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(LANDLOCK_CREATE, None, 0, 1)))


@cache
def load_filter(name: str) -> bytes:
    """The exported filter for this processor, as bytes. Called before a fork, it need not be read after it."""
    processor = platform.machine()
    if processor not in PROCESSORS:
        raise OSError(errno.ENOSYS, f"there is no seccomp filter for {processor}, only for {', '.join(PROCESSORS)}")
    return (FILTERS / f"{name}-{processor}.bpf").read_bytes()


def clear(folder: str) -> None:
    """Remove a folder that a submission could write to, whatever shape it left it in. No link is followed.

    Goes down one open folder at a time and up by `..`, so depth costs neither recursion nor long paths. Nobody may be
    at work in the folder any more.
    """
    try:
        here = os.open(folder, FOLDER)
    except FileNotFoundError:
        return
    names: list[str] = []
    try:
        while (below := _remove_files(here)) is not None or names:
            step = ".." if below is None else below
            here, left = os.open(step, FOLDER, dir_fd=here), here
            os.close(left)
            if below is None:
                os.rmdir(names.pop(), dir_fd=here)
            else:
                names.append(below)
    finally:
        os.close(here)
    os.rmdir(folder)


def _remove_files(folder: int) -> str | None:
    """Unlink what is no folder up to the first that is one, and make that one ready to be entered."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.name, stat.S_IRWXU, dir_fd=folder)
                return entry.name
            os.unlink(entry.name, dir_fd=folder)
    return None


def excess(folder: str, most: int) -> str:
    """What a submission at work has too much of in its folder; empty if all is well. most: bytes on the disk.

    Counts no further than it must. A folder that can't be listed hides what is in it, which is as bad.
    """
    files = size = 0
    try:
        here = os.open(folder, FOLDER)
        try:
            for taken in _contents(here, 1):
                files, size = files + 1, size + taken
                if files > MOST_FILES:
                    return f"made more than {MOST_FILES} files"
                if size > most:
                    return f"wrote more than {most // 2**20} MB of files"
        finally:
            os.close(here)
    except FileNotFoundError:
        return ""
    except OSError:
        return "made files that can't be counted"
    return ""


def _contents(folder: int, depth: int) -> Iterator[int]:
    """What each file and folder below takes on the disk, in bytes."""
    if depth > DEEPEST:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    below = os.open(entry.name, FOLDER, dir_fd=folder)
                    try:
                        yield from _contents(below, depth + 1)
                    finally:
                        os.close(below)


def thread_count(process: int) -> int:
    """Threads of a process; 0 if it is gone."""
    try:
        return os.stat(f"/proc/{process}/task").st_nlink - 2
    except OSError:
        return 0


def resident(process: int) -> int:
    """Bytes of memory that a process holds and no file backs; 0 if it is gone."""
    try:
        with open(f"/proc/{process}/status") as lines:
            held = [line.split() for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    except OSError:
        return 0
    return sum(1024 * int(kilobytes) for _, kilobytes, _ in held)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _expect(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(option: int, value: int, extra: Any = 0) -> None:
    zero = ctypes.c_ulong(0)
    _expect(_libc().prctl(option, ctypes.c_ulong(value), extra or zero, zero, zero))


def _refuse_threads(confinement: Confinement) -> None:
    """Landlock and seccomp bind the calling thread only, so there must be no other."""
    if confinement.filter is None and not confinement.landlock:
        return
    count = len(os.listdir("/proc/self/task"))
    if count != 1:
        raise OSError(errno.EBUSY, f"it has {count} threads")


def _own_session() -> None:
    os.umask(0o077)
    if sys.platform == "win32":
        return
    with contextlib.suppress(PermissionError):
        os.setsid()


def _limit(name: str, soft: int, hard: int | None = None) -> None:
    number = getattr(resource, name, None)
    if number is None:
        return
    ceiling = resource.getrlimit(number)[1]
    hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(number, (soft, hard))


def _limit_resources(confinement: Confinement) -> None:
    if sys.platform == "win32":
        return
    if confinement.cpu_seconds is not None:
        _limit("RLIMIT_CPU", confinement.cpu_seconds, confinement.cpu_seconds + 1)
    wanted = {
        "RLIMIT_FSIZE": confinement.file_bytes,
        "RLIMIT_NOFILE": confinement.open_files,
        "RLIMIT_NPROC": confinement.threads if confinement.uid is not None else None,
    }
    for name, value in wanted.items():
        if value is not None:
            _limit(name, value)
    if sys.platform != "linux":
        return
    for name in ("RLIMIT_MSGQUEUE", "RLIMIT_RTPRIO", "RLIMIT_NICE"):
        _limit(name, 0)
    if confinement.memory is not None:
        pages = Path("/proc/self/statm").read_bytes().split()
        size, data = (int(pages[column]) * os.sysconf("SC_PAGESIZE") for column in (0, 5))
        _limit("RLIMIT_AS", size + confinement.memory)
        _limit("RLIMIT_DATA", data + confinement.memory)


def _become(confinement: Confinement) -> None:
    """Become the spare user: no groups, no capability but, if asked for, that of walking through folders."""
    if confinement.search and not confinement.landlock:
        raise OSError(errno.EINVAL, "searching every folder without Landlock would open every file")
    if sys.platform != "linux":
        return
    if confinement.search:
        _prctl(PR_SET_KEEPCAPS, 1)
    if confinement.uid is not None:
        gid = confinement.uid if confinement.gid is None else confinement.gid
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(confinement.uid, confinement.uid, confinement.uid)
    kept = CAP_DAC_READ_SEARCH if confinement.search else 0
    header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
    _expect(_libc().capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)))


def _enter(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _no_new_privileges() -> None:
    if sys.platform == "linux":
        _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _restrict_files(confinement: Confinement) -> None:
    """Open only what is listed, execute nothing; no TCP, no signal and no abstract socket beyond this process."""
    if not confinement.landlock:
        return
    abi = landlock_abi()
    if abi == 0:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    handled = RIGHTS_OF_ABI[min(abi, len(RIGHTS_OF_ABI) - 1)]
    attributes = struct.pack("=QQQ", handled, 3, 3)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _expect(_libc().syscall(LANDLOCK_CREATE, attributes, len(attributes), 0))
    try:
        for path in confinement.readable:
            _open_up(ruleset, path, READ & handled)
        for path in confinement.devices:
            _open_up(ruleset, path, DEVICE & handled)
        if confinement.writable is not None:
            _open_up(ruleset, confinement.writable, OWN & handled)
        _expect(_libc().syscall(LANDLOCK_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)


def _open_up(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= RIGHTS_OF_A_FILE
        _expect(_libc().syscall(LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0))
    finally:
        os.close(descriptor)


def _filter_calls(name: str | None) -> None:
    if name is None:
        return
    program = _only_itself(platform.machine(), os.getpid()) + load_filter(name)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(header))


def _only_itself(processor: str, pid: int) -> bytes:
    """Instructions to stand in front of a filter.

    kill and tgkill may name this process only; prlimit64 and sched_setaffinity also 0, which means the same.
    """
    token, signals, settings = PROCESSORS[processor]
    code = (
        (LOAD, 0, 0, 4),
        (EQUAL, 0, 11, token),
        (LOAD, 0, 0, 0),
        (EQUAL, 5, 0, signals[0]),
        (EQUAL, 4, 0, signals[1]),
        (EQUAL, 1, 0, settings[0]),
        (EQUAL, 0, 6, settings[1]),
        (LOAD, 0, 0, 16),
        (EQUAL, 2, 0, 0),
        (LOAD, 0, 0, 16),
        (EQUAL, 0, 1, pid),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
