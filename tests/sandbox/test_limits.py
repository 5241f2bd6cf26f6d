"""Rights given up by real forked children, and the exported filters read instruction by instruction."""
# ruff: noqa: SIM115, C408

import contextlib
import ctypes
import ctypes.util
import errno
import importlib.util
import json
import os
import signal
import struct
import sys
import threading
import time
from pathlib import Path

import pytest

from autograder.sandbox import limits
from autograder.sandbox.limits import Confinement, confine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these calls are Linux's")
needs_landlock = pytest.mark.skipif(not limits.landlock_abi(), reason="this kernel has no Landlock")
ALLOW, KILL = "allow", "kill"
DENIED, MISSING, UNSUPPORTED = errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": dict(read=0, ioctl=16, socket=41, sendmsg=46, recvmsg=47, socketpair=53, clone=56, execve=59, kill=62,
                   fcntl=72, truncate=76, ftruncate=77, chmod=90, ptrace=101, prctl=157, setxattr=188, tgkill=234,
                   openat=257, prlimit64=302, memfd_create=319, io_uring_setup=425, clone3=435, sched_setaffinity=203),
    "aarch64": dict(read=63, ioctl=29, socket=198, sendmsg=211, recvmsg=212, socketpair=199, clone=220, execve=221,
                    kill=129, fcntl=25, truncate=45, ftruncate=46, chmod=53, ptrace=117, prctl=167, setxattr=5,
                    tgkill=131, openat=56, prlimit64=261, memfd_create=279, io_uring_setup=425, clone3=435,
                    sched_setaffinity=122),
}  # fmt: skip


def child(action, plan=None, prepare=lambda: None):
    """Fork, confine, act; returns what the action returned, or [error, text], or the status of a child that ended."""
    ours, theirs = os.pipe()
    process = os.fork()
    if process == 0:
        with contextlib.suppress(BaseException):
            prepare()
            try:
                if plan is not None:
                    confine(plan)
                answer = action()
            except Exception as error:
                answer = [type(error).__name__, str(error)]
            os.write(theirs, json.dumps(answer).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(process, 0)
    return json.loads(said) if said else status


def worked(action, plan, **more):
    answer = child(lambda: [action(), "worked"][1], plan, **more)
    return answer == "worked"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "secret").write_text("secret")
    return tmp_path


def bare(**fields):
    return Confinement(**{"landlock": False, "filter": None, "open_files": None, **fields})


# confinement


@needs_landlock
@pytest.mark.parametrize("abi", range(1, limits.landlock_abi() + 1))
def test_files_are_closed_with_every_version_of_landlock(folder, monkeypatch, abi):
    monkeypatch.setattr(limits, "landlock_abi", lambda: abi)
    plan = bare(landlock=True, readable=(os.path.dirname(os.__file__), "/nowhere"), writable=str(folder / "work"))
    assert worked(lambda: open(os.__file__).read(), plan)
    assert worked(lambda: [open("own", "w").write("x"), os.rename("own", "other"), os.truncate("other", 0)], plan)
    assert not worked(lambda: open(folder / "secret").read(), plan)
    assert not worked(lambda: open(folder / "new", "w"), plan)
    assert not worked(lambda: os.listdir(folder), plan)
    assert not worked(lambda: os.execv("/bin/true", ["true"]), plan)


def test_devices_can_be_written(folder):
    plan = bare(landlock=bool(limits.landlock_abi()), devices=("/dev/null",))
    assert worked(lambda: open("/dev/null", "w").write("x"), plan)


@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
def test_memory_counts_from_what_is_in_use(shared):
    def take(size):
        import mmap

        one = mmap.mmap(-1, size) if shared else bytearray(size)
        return len(one)

    plan = bare(memory=256 * 2**20)
    assert child(lambda: take(64 * 2**20), plan) == 64 * 2**20
    assert child(lambda: take(512 * 2**20), plan)[0] in ("MemoryError", "OSError")


def test_files_descriptors_and_threads_are_bounded(folder):
    def big():
        with open("big", "wb") as file:
            file.write(bytes(2 << 20))

    plan = bare(writable=str(folder / "work"), file_bytes=1 << 20, open_files=32)
    assert child(big, plan)[1].startswith("[Errno 27]")
    assert child(lambda: [os.open("/dev/null", 0) for _ in range(64)], plan)[1].startswith("[Errno 24]")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_spare_user_has_no_groups_no_rights_and_few_threads():
    def facts():
        started = []
        try:
            for _ in range(40):
                started.append(threading.Thread(target=time.sleep, args=(1,), daemon=True))
                started[-1].start()
        except RuntimeError:
            pass
        status = Path("/proc/self/status").read_text()
        return [os.getresuid(), os.getresgid(), os.getgroups(), "CapEff:\t0000000000000000" in status, len(started)]

    uids, gids, groups, powerless, count = child(facts, bare(uid=60999, gid=60998, threads=16))
    assert (uids, gids, groups, powerless) == ([60999] * 3, [60998] * 3, [], True)
    assert count <= 16


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@needs_landlock
def test_searching_opens_folders_but_no_file(tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir(0o700)
    for name in ("listed", "secret"):
        (hidden / name).write_text(name)
    plan = bare(uid=60999, search=True, landlock=True, readable=(str(hidden / "listed"),))
    assert worked(lambda: open(hidden / "listed").read(), plan)
    assert not worked(lambda: open(hidden / "secret").read(), plan)
    assert "without Landlock" in child(int, bare(uid=60999, search=True))[1]


def test_death_comes_with_the_parent():
    def die():
        ours, theirs = os.pipe()
        parent = os.getpid()
        grandchild = os.fork()
        if grandchild == 0:
            confine(bare(), parent)
            os.write(theirs, b"x")
            time.sleep(60)
            os._exit(0)
        os.read(ours, 1)
        return grandchild

    grandchild = child(die)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _alive(grandchild):
        time.sleep(0.01)
    assert not _alive(grandchild)
    status = child(lambda: limits.die_with_parent(os.getppid() + 100000))
    assert os.waitstatus_to_exitcode(status) == signal.SIGKILL


def _alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_hardened_process_can_not_be_traced_or_dumped():
    def facts():
        import resource

        limits.harden()
        return [ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)]

    assert child(facts) == [0, [0, 0]]


# refusing to go on


@needs_landlock
def test_what_can_not_be_confined_does_not_run(monkeypatch, tmp_path):
    def another_thread():
        threading.Thread(target=time.sleep, args=(5,), daemon=True).start()

    refusal = child(int, Confinement(), prepare=another_thread)[1]
    assert refusal.endswith("at being a single thread: [Errno 16] it has 2 threads")
    assert "at its work folder: [Errno 2]" in child(int, bare(writable=str(tmp_path / "none")))[1]
    assert "at seccomp: [Errno 2]" in child(int, Confinement(filter="none-such"))[1]
    monkeypatch.setattr(limits, "landlock_abi", lambda: 0)
    assert "at Landlock: [Errno 38] this kernel has no Landlock" in child(int, Confinement())[1]


def test_another_processor_is_told_so(monkeypatch):
    monkeypatch.setattr(limits.platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="no seccomp filter for riscv64, only for x86_64, aarch64"):
        limits.load_filter("anything")


# the filters


def test_without_open_a_descriptor_in_hand_still_works(folder):
    (folder / "given").write_text("given")
    descriptor = os.open(folder / "given", os.O_RDONLY)
    plan = Confinement(landlock=False, filter="no-open")
    try:
        assert child(lambda: os.read(descriptor, 10).decode(), plan) == "given"
        assert not worked(lambda: open(folder / "secret"), plan)
        assert not worked(lambda: os.unlink(folder / "secret"), plan)
    finally:
        os.close(descriptor)


def decide(program, architecture, number, *arguments):
    """What a seccomp program answers: a small reader of its four kinds of instruction."""
    data = struct.pack("=iIQ6Q", number if number < 1 << 31 else number - (1 << 32), architecture, 0,
                       *(a & (1 << 64) - 1 for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6]))  # fmt: skip
    code = list(struct.iter_unpack("=HBBI", program))
    at = value = 0
    while True:
        operation, true, false, constant = code[at]
        at += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
        elif operation == 0x54:
            value &= constant
        elif operation == 0x05:
            at += constant
        elif operation == 0x06:
            return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(constant) or constant & 0xFFFF
        else:
            test = {0x15: value == constant, 0x25: value > constant, 0x35: value >= constant, 0x45: value & constant}
            at += true if test[operation] else false


def filtered(architecture, profile="cpu", pid=1234):
    stored = (limits.FILTERS / f"{profile}-{architecture}.bpf").read_bytes()
    program = limits._only_itself(architecture, pid) + stored

    def ask(name, *arguments):
        number = NUMBERS[architecture][name] if isinstance(name, str) else name
        return decide(program, ARCHITECTURES[architecture], number, *arguments)

    return program, ask


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("profile", ["cpu", "gpu", "no-open"])
def test_what_every_filter_decides(architecture, profile):
    program, ask = filtered(architecture, profile)
    for name in ("read", "sendmsg", "recvmsg", "ftruncate"):
        assert ask(name) == ALLOW
    for name in ("socket", "execve", "ptrace", "io_uring_setup", "truncate"):
        assert ask(name) == DENIED
    assert ask("setxattr") == UNSUPPORTED and ask("clone3") == MISSING
    assert {ask(number) for number in (451, 463, 1000, 0x3FFFFFFF)} == {MISSING}
    assert ask("clone", 17) == DENIED and ask("clone", 0x3D0F00) == ALLOW
    assert ask("clone", 0x10010000) == DENIED
    assert ask("memfd_create") == (ALLOW if profile == "gpu" else DENIED)
    assert ask("openat") == (DENIED if profile == "no-open" else ALLOW)
    other = next(token for name, token in ARCHITECTURES.items() if name != architecture)
    assert decide(program, other, 0) == decide(program, 0x40000003, 20) == KILL
    if architecture == "x86_64":
        assert ask(0x40000000 | 39) == KILL


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_arguments_that_decide(architecture):
    _, ask = filtered(architecture, pid=1234)
    for name in ("kill", "tgkill"):
        assert ask(name, 1234) == ALLOW
        assert {ask(name, pid) for pid in (0, 1, -1, -1234, 1235)} == {DENIED}
    for name in ("prlimit64", "sched_setaffinity"):
        assert {ask(name, pid) for pid in (0, 1234)} == {ALLOW} and ask(name, 1) == DENIED
    assert ask("ioctl", 0, 0x5401) == ALLOW
    assert {ask("ioctl", 0, command) for command in (0x5412, 0x100005412, 0x8901)} == {DENIED}
    assert ask("fcntl", 0, 1) == ALLOW
    assert {ask("fcntl", 0, command) for command in (8, 10, 15, 1024, 1 << 32 | 8)} == {DENIED}
    assert ask("prctl", 15) == ALLOW
    assert {ask("prctl", option) for option in (1, 4, 22, 8, 47)} == {DENIED}
    assert ask("socketpair", 1, 1 | 0o2000000) == ALLOW
    assert {ask("socketpair", *pair) for pair in ((1, 2), (1, 5), (2, 1), (1 << 32 | 1, 1))} == {DENIED}


@pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="libseccomp is not installed")
def test_the_stored_filters_are_what_the_generator_writes(tmp_path):
    path = Path(__file__).parents[2] / "tools" / "export_filters.py"
    spec = importlib.util.spec_from_file_location("export_filters", path)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    generator.main(tmp_path)
    made = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    stored = {file.name: file.read_bytes() for file in limits.FILTERS.glob("*.bpf")}
    assert made.keys() == stored.keys()
    for name, program in made.items():
        assert program == stored[name], f"{name} is not what tools/export_filters.py writes: run it"


# cleaning up


def test_clear_removes_what_a_submission_left(tmp_path):
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.mkdir()
    (outside / "kept").touch()
    (work / "link").symlink_to(outside)
    (work / "dangling").symlink_to("nowhere")
    (work / "closed").mkdir()
    (work / "closed" / "file").touch()
    (work / "closed").chmod(0)
    os.mkfifo(work / "pipe")
    (work / "\x010").mkdir()
    (work / "\x011").touch()
    for number in range(300):
        (work / f"d{number}").mkdir()
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(work)
        for _ in range(3000):
            os.mkdir("deep")
            os.chdir("deep")
        Path("bottom").touch()
    finally:
        os.fchdir(here)
        os.close(here)
    limits.clear(str(work))
    assert not work.exists() and (outside / "kept").exists()
    limits.clear(str(work))


def test_clear_follows_no_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="link"):
        limits.clear(str(tmp_path / "link"))


def test_too_much_in_a_folder_is_named(tmp_path):
    folder = tmp_path / "work"
    assert limits.excess(str(folder), 1 << 20) == ""
    folder.mkdir()
    (folder / "file").write_bytes(bytes(1 << 16))
    assert limits.excess(str(folder), 1 << 20) == ""
    (folder / "below").mkdir()
    (folder / "below" / "file").write_bytes(os.urandom(1 << 20))
    assert limits.excess(str(folder), 1 << 20) == "wrote more than 1 MB of files"
    deep = folder
    for _ in range(70):
        (deep := deep / "d").mkdir()
    assert limits.excess(str(folder), 1 << 30) == "made files that can't be counted"


def test_too_many_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_FILES", 20)
    for number in range(21):
        (tmp_path / f"{number}").touch()
    assert limits.excess(str(tmp_path), 1 << 20) == "made more than 20 files"


def test_threads_are_counted():
    assert limits.thread_count(os.getpid()) == len(os.listdir("/proc/self/task"))
    assert limits.thread_count(1 << 22) == 0
