"""Writes the worker's seccomp filters, one per profile and processor, with libseccomp. Run it after changing a list.

The filters allow what is listed and answer everything else with EPERM, so that a refused call is an ordinary
PermissionError. Calls numbered above `NEWEST` are unknown to this list and answer ENOSYS, as on an older kernel:
callers then fall back by themselves. Another processor's call table ends the process. Signals, resource limits and
affinity may name only the worker itself; its process id is known at run time, so `limits` puts those instructions in
front.
"""

import ctypes
import errno
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "autograder" / "sandbox" / "filters"
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PROFILES = ("cpu", "gpu", "no-open")
NEWEST = 450
X32 = 0x40000000

ALLOW, KILL = 0x7FFF0000, 0x80000000
EQUAL, MASKED_EQUAL = 4, 7
ACT_BADARCH, CTL_OPTIMIZE = 2, 8

FILES = """
    access chdir close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fchdir
    fdatasync flock fstat fstatfs fsync ftruncate getcwd getdents getdents64 lseek lstat mkdir mkdirat newfstatat open
    openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename
    renameat renameat2 rmdir sendfile stat statfs statx sync_file_range umask unlink unlinkat write writev
"""
OPENING = """
    chdir creat mkdir mkdirat open openat openat2 readlink readlinkat rename renameat renameat2 rmdir unlink
    unlinkat
"""
EVENTS = """
    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 pipe pipe2 poll ppoll
    pselect6 select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_settime
"""
DESCRIPTORS_IN_HAND = "getpeername getsockname getsockopt recvfrom recvmsg sendmsg sendto shutdown"
MEMORY = "brk madvise membarrier mincore mmap mprotect mremap msync munmap"
THREADS = """
    arch_prctl exit exit_group futex futex_waitv get_robust_list getcpu gettid restart_syscall rseq
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_yield set_robust_list set_tid_address wait4 waitid
"""
SIGNALS = "pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sigaltstack"
TIME = """
    alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time timer_create
    timer_delete timer_getoverrun timer_gettime timer_settime times
"""
ABOUT_ITSELF = """
    capget getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid
    getrlimit getrusage getsid getuid setrlimit sysinfo uname
"""
GPU = "memfd_create mlock mlock2 munlock ioctl"

CLONE_THREAD = 0x00010000
NEW_NAMESPACES = 0x7E020000
AF_UNIX, SOCK_STREAM, SOCK_TYPE = 1, 1, 0xF
FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032, 1034)
FCNTL_GPU = (*FCNTL, 1033)
IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
PRCTL = (2, 3, 15, 16, 21, 23, 39, 40, 42, 51, 52, 56, 0x53564D41)

NOT_SUPPORTED = """
    fallocate fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr
    removexattr setxattr
"""


class Comparison(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def equal(argument: int, value: int) -> Comparison:
    return Comparison(argument, EQUAL, value, 0)


def masked(argument: int, mask: int, value: int) -> Comparison:
    return Comparison(argument, MASKED_EQUAL, mask, value)


def library() -> Any:
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_init.argtypes = [ctypes.c_uint32]
    seccomp.seccomp_release.argtypes = [ctypes.c_void_p]
    seccomp.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    seccomp.seccomp_arch_remove.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    seccomp.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    seccomp.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    seccomp.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Comparison),
    ]
    return seccomp


def refuse(number: int) -> int:
    return 0x00050000 | number


class Filter:
    """One profile for one processor, while it is being put together."""

    def __init__(self, architecture: str) -> None:
        self.seccomp = library()
        self.token = ARCHITECTURES[architecture]
        self.context = self.seccomp.seccomp_init(refuse(errno.EPERM))
        native = self.seccomp.seccomp_arch_native()
        if native & 0xFFFFFFFF != self.token:
            self.expect(self.seccomp.seccomp_arch_remove(self.context, native & 0xFFFFFFFF), "remove its own processor")
            self.expect(self.seccomp.seccomp_arch_add(self.context, self.token), f"add {architecture}")
        self.expect(self.seccomp.seccomp_attr_set(self.context, ACT_BADARCH, KILL), "end foreign calls")
        self.expect(self.seccomp.seccomp_attr_set(self.context, CTL_OPTIMIZE, 2), "build a binary tree")

    def expect(self, result: int, what: str) -> None:
        if result < 0:
            raise OSError(-result, f"libseccomp could not {what}")

    def rule(self, action: int, name: str, *comparisons: Comparison) -> None:
        number = self.seccomp.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            raise ValueError(f"This libseccomp knows no system call {name!r}: correct the list or update the library.")
        if self.seccomp.seccomp_syscall_resolve_name_arch(self.token, name.encode()) < 0:
            return
        array = (Comparison * len(comparisons))(*comparisons)
        self.expect(
            self.seccomp.seccomp_rule_add_array(self.context, action, number, len(comparisons), array), f"add {name}"
        )

    def export(self) -> bytes:
        with tempfile.TemporaryFile() as file:
            self.expect(self.seccomp.seccomp_export_bpf(self.context, file.fileno()), "export")
            self.seccomp.seccomp_release(self.context)
            file.seek(0)
            return newer_calls_do_not_exist(self.token) + file.read()


def newer_calls_do_not_exist(token: int) -> bytes:
    """Instructions to stand in front of a filter: load architecture, load number, compare, answer ENOSYS."""
    code = (
        (0x20, 0, 0, 4),
        (0x15, 0, 4, token),
        (0x20, 0, 0, 0),
        (0x25, 0, 2, NEWEST),
        (0x35, 1, 0, X32),
        (0x06, 0, 0, refuse(errno.ENOSYS)),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def allowed(profile: str) -> set[str]:
    groups = (FILES, EVENTS, DESCRIPTORS_IN_HAND, MEMORY, THREADS, SIGNALS, TIME, ABOUT_ITSELF)
    names = set(" ".join(groups).split())
    if profile == "no-open":
        return names - set(OPENING.split())
    return names | set(GPU.split()) if profile == "gpu" else names


def build(profile: str, architecture: str) -> bytes:
    names = allowed(profile)
    made = Filter(architecture)
    for name in sorted(names):
        made.rule(ALLOW, name)
    made.rule(ALLOW, "clone", masked(0, CLONE_THREAD | NEW_NAMESPACES, CLONE_THREAD))
    made.rule(refuse(errno.ENOSYS), "clone3")
    made.rule(ALLOW, "socketpair", equal(0, AF_UNIX), masked(1, SOCK_TYPE, SOCK_STREAM))
    for command in FCNTL_GPU if profile == "gpu" else FCNTL:
        made.rule(ALLOW, "fcntl", equal(1, command))
    for command in PRCTL:
        made.rule(ALLOW, "prctl", equal(0, command))
    for command in IOCTL if "ioctl" not in names else ():
        made.rule(ALLOW, "ioctl", equal(1, command))
    for name in sorted(NOT_SUPPORTED.split()):
        made.rule(refuse(errno.EOPNOTSUPP), name)
    return made.export()


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    for architecture in ARCHITECTURES:
        for profile in PROFILES:
            path = folder / f"{profile}-{architecture}.bpf"
            path.write_bytes(build(profile, architecture))
            sys.stdout.write(f"{path.name}: {path.stat().st_size // 8} instructions\n")


if __name__ == "__main__":
    main()
