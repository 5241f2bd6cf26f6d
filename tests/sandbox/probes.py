"""What a hostile or an honest submission does, as small functions; and the two processes that try them within a level.

A hostile probe returns if it worked and raises if it was refused. `python probes.py OPTIONS` is the trusted side: it
starts a nursery by `isolation.launch`, has each probe run in a fresh confined worker, and prints the outcomes as JSON.
"""
# ruff: noqa: SIM115

import ctypes
import errno
import json
import os
import platform
import signal
import socket
import struct
import sys
import time
from pathlib import Path

HOSTILE, HONEST, FATAL = {}, {}, {}
LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"


def hostile(function):
    HOSTILE[function.__name__] = function
    return function


def honest(function):
    HONEST[function.__name__] = function
    return function


def fatal(function):
    FATAL[function.__name__] = function
    return function


def call(number, *arguments):
    result = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def refused_unless(worked, what):
    if not worked:
        raise PermissionError(what)


# files


@hostile
def read_a_file_outside(t):
    return open(t["secret"]).read()


@hostile
def list_a_folder_outside(t):
    return os.listdir(t["folder"])


@hostile
def append_to_a_file_outside(t):
    open(t["secret"], "a").write("!")


@hostile
def create_a_file_outside(t):
    open(os.path.join(t["folder"], "mine"), "w").close()


@hostile
def remove_a_file_outside(t):
    os.unlink(t["spare"])


@hostile
def rename_a_file_outside(t):
    os.rename(t["spare"], t["spare"] + "2")


@hostile
def truncate_a_file_outside(t):
    os.truncate(t["secret"], 1)


@hostile
def chmod_a_file_outside(t):
    os.chmod(t["secret"], 0o666)


@hostile
def chown_a_file_outside(t):
    os.chown(t["secret"], os.getuid(), -1)


@hostile
def touch_a_file_outside(t):
    os.utime(t["secret"], (0, 0))


@hostile
def set_an_attribute_outside(t):
    os.setxattr(t["secret"], "user.mine", b"1")


@hostile
def set_an_attribute_by_a_newer_call(t):
    path = ctypes.c_char_p(t["secret"].encode())
    value = ctypes.create_string_buffer(b"1")
    arguments = struct.pack("=QII", ctypes.addressof(value), 1, 0)
    call(463, -100, path, 0, ctypes.c_char_p(b"user.mine"), ctypes.c_char_p(arguments), len(arguments))


@hostile
def link_to_a_file_outside(t):
    os.link(t["secret"], "mine")


@hostile
def make_a_device(t):
    os.mknod("device", 0o600 | 0o020000, os.makedev(1, 3))


@hostile
def write_into_the_packages(t):
    open(os.path.join(t["packages"], "mine.pth"), "w").close()


@hostile
def write_into_the_engine(t):
    open(os.path.join(t["engine"], "mine.py"), "w").close()


@hostile
def read_the_environment_of_the_parent(t):
    return open(f"/proc/{os.getppid()}/environ", "rb").read()


@hostile
def read_the_command_of_the_grader(t):
    return open(f"/proc/{t['grader']}/cmdline", "rb").read()


@hostile
def read_the_memory_map_of_a_sibling(t):
    return open(f"/proc/{t['victim']}/maps").read(1)


@hostile
def write_its_own_memory_file(t):
    open("/proc/self/mem", "r+b").close()


@hostile
def list_processes(t):
    return os.listdir("/proc")


@hostile
def write_the_core_pattern(t):
    open("/proc/sys/kernel/core_pattern", "r+").close()


@hostile
def use_shared_memory_of_the_machine(t):
    open("/dev/shm/mine", "w").close()


@hostile
def open_by_handle(t):
    call(304 if X86 else 265, -100, ctypes.create_string_buffer(64), 0)


# processes


@hostile
def fork(t):
    if os.fork() == 0:
        os._exit(0)


@hostile
def fork_by_clone3(t):
    arguments = ctypes.create_string_buffer(struct.pack("=8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0))
    if call(435, arguments, 64) == 0:
        os._exit(0)


@hostile
def fork_by_clone(t):
    if call(56 if X86 else 220, signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


@hostile
def spawn(t):
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-V"], {}), 0)


@hostile
def run_a_command(t):
    import subprocess

    subprocess.run([sys.executable, "-V"], check=True, stdout=subprocess.DEVNULL)


@hostile
def run_a_shell(t):
    refused_unless(os.system("true") == 0, "os.system")


@hostile
def execute(t):
    os.execv("/proc/self/exe", [sys.executable, "-c", ""])


@hostile
def make_a_file_in_memory(t):
    os.memfd_create("mine")


@hostile
def make_a_user_namespace(t):
    call(272 if X86 else 97, 0x10000000)


@hostile
def enter_a_namespace(t):
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    call(308 if X86 else 268, descriptor, 0)


# signals and other processes


@hostile
def signal_a_sibling(t):
    os.kill(t["victim"], signal.SIGCONT)


@hostile
def signal_the_parent(t):
    os.kill(os.getppid(), signal.SIGCONT)


@hostile
def signal_the_grader(t):
    os.kill(t["grader"], signal.SIGCONT)


@hostile
def signal_everybody(t):
    os.kill(-1, 0)


@hostile
def signal_a_thread_of_a_sibling(t):
    call(234 if X86 else 131, t["victim"], t["victim"], signal.SIGCONT)


@hostile
def queue_a_signal_to_a_sibling(t):
    information = ctypes.create_string_buffer(struct.pack("=iiii", signal.SIGCONT, 0, -1, 0), 128)
    call(129 if X86 else 138, t["victim"], signal.SIGCONT, information)


@hostile
def hold_a_sibling(t):
    os.pidfd_open(t["victim"])


@hostile
def own_a_descriptor_for_a_sibling(t):
    import fcntl

    fcntl.fcntl(0, fcntl.F_SETOWN, t["victim"])


@hostile
def limit_a_sibling(t):
    import resource

    resource.prlimit(t["victim"], resource.RLIMIT_NOFILE)


@hostile
def pin_a_sibling(t):
    os.sched_setaffinity(t["victim"], {0})


@hostile
def slow_a_sibling_down(t):
    os.setpriority(os.PRIO_PROCESS, t["victim"], 5)


@hostile
def read_the_memory_of_a_sibling(t):
    buffer = ctypes.create_string_buffer(8)
    mine = struct.pack("@PN", ctypes.addressof(buffer), 8)
    theirs = struct.pack("@PN", id(t), 8)
    call(310 if X86 else 270, t["victim"], ctypes.c_char_p(mine), 1, ctypes.c_char_p(theirs), 1, 0)


@hostile
def trace_a_sibling(t):
    call(101 if X86 else 117, 0x4206, t["victim"], 0, 0)


@hostile
def outlive_its_parent(t):
    if LIBC.prctl(1, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl")


@hostile
def open_its_memory_to_others(t):
    if LIBC.prctl(4, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl")


# network and messages


@hostile
def internet_socket(t):
    socket.socket(socket.AF_INET, socket.SOCK_STREAM)


@hostile
def datagram_socket(t):
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)


@hostile
def unix_socket(t):
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


@hostile
def netlink_socket(t):
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)


@hostile
def vsock_socket(t):
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


@hostile
def datagram_pair(t):
    socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


@hostile
def listen_on_a_pair(t):
    ours, _ = socket.socketpair()
    ours.bind("\0mine")


@hostile
def resolve_a_name(t):
    socket.getaddrinfo("example.org", 80)


@hostile
def shared_memory_segment(t):
    call(29 if X86 else 194, 0, 4096, 0o1600)


@hostile
def message_queue(t):
    call(68 if X86 else 186, 0, 0o1600)


@hostile
def semaphores(t):
    call(64 if X86 else 190, 0, 1, 0o1600)


@hostile
def posix_queue(t):
    call(240 if X86 else 180, ctypes.c_char_p(b"mine"), 0o102, 0o600, 0)


# the kernel


@hostile
def io_uring(t):
    call(425, 1, ctypes.create_string_buffer(120))


@hostile
def bpf(t):
    call(321 if X86 else 280, 0, ctypes.create_string_buffer(128), 128)


@hostile
def userfaultfd(t):
    call(323 if X86 else 282, 1)


@hostile
def keyring(t):
    call(248 if X86 else 217, ctypes.c_char_p(b"user"), ctypes.c_char_p(b"mine"), ctypes.c_char_p(b"1"), 1, -2)


@hostile
def performance_counter(t):
    attributes = ctypes.create_string_buffer(struct.pack("=II", 1, 128) + bytes(32) + struct.pack("=Q", 0x63), 128)
    call(298 if X86 else 241, attributes, 0, -1, -1, 0)


@hostile
def personality(t):
    call(135 if X86 else 92, 0x0040000)


@hostile
def mount(t):
    call(165 if X86 else 40, ctypes.c_char_p(b"x"), ctypes.c_char_p(b"/"), ctypes.c_char_p(b"tmpfs"), 0, 0)


@hostile
def mount_the_new_way(t):
    call(430, ctypes.c_char_p(b"tmpfs"), 0)


@hostile
def watch_a_folder(t):
    call(294 if X86 else 26, 0)


@hostile
def type_into_a_terminal(t):
    import fcntl

    try:
        fcntl.ioctl(0, 0x5412, b"x")
    except OSError as error:
        if error.errno != errno.ENOTTY:
            raise


@hostile
def type_into_a_terminal_with_high_bits(t):
    if LIBC.ioctl(0, ctypes.c_ulong(0x1_0000_5412), b"x") < 0 and ctypes.get_errno() != errno.ENOTTY:
        raise OSError(ctypes.get_errno(), "ioctl")


@hostile
def become_root_again(t):
    os.setresuid(0, 0, 0)
    os.setgroups([0])


@hostile
def copy_all_memory_of_the_grader_by_core_dump(t):
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))


# limits


@hostile
def take_private_memory(t):
    return len([bytearray(64 * 2**20) for _ in range(16)])


@hostile
def take_shared_memory(t):
    import mmap

    maps = [mmap.mmap(-1, 64 * 2**20) for _ in range(16)]
    for one in maps:
        one[::4096] = bytes(len(one[::4096]))


@hostile
def write_a_big_file(t):
    with open("big", "wb") as file:
        for _ in range(40):
            file.write(bytes(1 << 20))


@hostile
def open_many_files(t):
    return [os.open("/dev/null", os.O_RDONLY) for _ in range(2000)]


@hostile
def raise_a_limit(t):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@fatal
def burn_cpu(t):
    while True:
        pass


@fatal
def crash(t):
    ctypes.string_at(1)


@fatal
def call_the_32_bit_way(t):
    import mmap

    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


@fatal
def call_the_x32_way(t):
    LIBC.syscall(ctypes.c_long(0x40000000 | 39))


# what is true of every worker


@honest
def state(t):
    lines = open("/proc/self/status").read().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {
        "capabilities": [status[name] for name in ("CapPrm", "CapEff", "CapAmb", "CapInh")],
        "uid": status["Uid"].split(),
        "groups": status["Groups"].split(),
        "no_new_privileges": status["NoNewPrivs"],
        "leader": os.getsid(0) == os.getpid(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": status["Umask"],
        "open": [n for n in range(64) if _is_open(n)],
    }


def _is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@honest
def own_files(t):
    os.makedirs("a/b")
    Path("a/b/c.txt").write_text("hello")
    Path("a/b/c.txt").rename("d.txt")
    Path("d.txt").touch()
    assert Path("d.txt").read_text() == "hello"
    os.unlink("d.txt")
    os.removedirs("a/b")
    assert os.listdir(".") == []


@honest
def temporary_files(t):
    import tempfile

    with tempfile.TemporaryDirectory(dir=".") as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"x")


@honest
def copies(t):
    import shutil

    Path("one").write_text("1")
    shutil.copyfile("one", "two")
    assert Path("two").read_text() == "1"
    shutil.rmtree(os.makedirs("x/y/z") or "x")


@honest
def threads(t):
    import threading
    from concurrent.futures import ThreadPoolExecutor

    done = []
    started = [threading.Thread(target=done.append, args=(n,), name=f"thread {n}") for n in range(8)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    with ThreadPoolExecutor(4) as pool:
        done += pool.map(abs, range(4))
    assert len(done) == 12


@honest
def coroutines(t):
    import asyncio

    async def main():
        return await asyncio.gather(*(asyncio.sleep(0.001, n) for n in range(3)))

    assert asyncio.run(main()) == [0, 1, 2]
    assert asyncio.run(asyncio.to_thread(lambda: 3)) == 3


@honest
def database(t):
    import sqlite3

    with sqlite3.connect("data.db") as connection:
        connection.execute("create table t (x)")
        connection.execute("insert into t values (1)")
    assert sqlite3.connect("data.db").execute("select x from t").fetchall() == [(1,)]


@honest
def late_imports(t):
    import colorsys
    import decimal
    import xml.dom.minidom
    import zoneinfo

    import mpmath

    assert "mpmath" in mpmath.__file__
    assert zoneinfo.ZoneInfo("Europe/Paris").key
    return [module.__name__ for module in (colorsys, decimal, xml.dom.minidom)]


@honest
def own_signals(t):
    caught = []
    signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
    signal.raise_signal(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    assert len(caught) == 2


@honest
def about_the_machine(t):
    import getpass
    import resource

    assert os.cpu_count() >= 1 and os.sched_getaffinity(0)
    assert getpass.getuser() == "student"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    assert len(os.urandom(8)) == 8 and time.localtime().tm_year > 2000
    platform.platform()


@honest
def tensors(t):
    import torch

    torch.set_num_threads(2)
    x = torch.randn(400, 400, requires_grad=True)
    (x @ x).exp().mean().backward()
    assert x.grad.isfinite().any()
    torch.save({"x": x.detach()}, "x.pt")
    assert torch.equal(torch.load("x.pt")["x"], x)
    torch.autograd.gradcheck(torch.tanh, (torch.randn(3, dtype=torch.float64, requires_grad=True),))
    return torch.get_num_threads()


@honest
def data_loader(t):
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.arange(6.0))
    assert sum(float(batch.sum()) for (batch,) in DataLoader(data, batch_size=2, shuffle=True)) == 15


@honest
def picture(t):
    import matplotlib.pyplot as plt

    plt.plot([1, 2])
    plt.title("$x^2$")
    plt.savefig("figure.png")
    assert os.path.getsize("figure.png") > 1000


# the two processes


def nursery(control):
    """Runs inside the level: forks one confined worker per request, as the zygote does."""
    from autograder.sandbox import limits

    limits.harden()
    control.send(b"{}")
    count = 0
    while data := control.recv(1 << 17):
        request = json.loads(data)
        count += 1
        plan = request["plan"]
        folder = os.path.join(plan["writable"] or os.environ["HOME"], f"w{count}")
        os.mkdir(folder, 0o700)
        if plan["uid"] is not None:
            os.chown(folder, plan["uid"], plan["gid"])
        plan["writable"] = folder
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                _worker(limits, control, plan, parent, request)
            finally:
                os._exit(70)
        if request["probe"] == "sleep":
            control.recv(1)
            control.send(json.dumps({"pid": child}).encode())
            continue
        _, status, usage = os.wait4(child, 0)
        limits.clear(folder)
        control.send(json.dumps({"status": status, "cpu": usage.ru_utime + usage.ru_stime}).encode())


def _worker(limits, control, plan, parent, request):
    start = time.perf_counter()
    limits.confine(limits.Confinement(**plan), parent)
    taken = 1000 * (time.perf_counter() - start)
    if request["probe"] == "sleep":
        control.close()
        time.sleep(600)
    probe = {**HOSTILE, **HONEST, **FATAL}[request["probe"]]
    try:
        answer = {"worked": True, "value": probe(request["target"])}
    except (OSError, MemoryError, ValueError) as error:
        answer = {"worked": False, "error": type(error).__name__, "says": str(error)}
    except BaseException as error:
        answer = {"worked": None, "error": type(error).__name__, "says": str(error)}
    answer["milliseconds"] = taken
    try:
        text = json.dumps(answer)
    except TypeError:
        text = json.dumps({**answer, "value": "something"})
    control.send(text.encode())
    os._exit(0)


NURSERY = """
import sys, socket
sys.dont_write_bytecode = True
sys.path[:0] = [{root!r}, {here!r}]
{imports}
import probes
probes.nursery(socket.socket(fileno={control}))
"""
IMPORTS = """
import torch; torch.set_num_threads(1)
import matplotlib.pyplot, numpy
assert len(__import__("os").listdir("/proc/self/task")) == 1
"""


def refuse_namespaces():
    """As in a container: no process below this one can make a namespace of any kind."""
    clone, unshare, token = (56, 272, 0xC000003E) if X86 else (220, 97, 0xC00000B7)
    code = (
        (0x20, 0, 0, 4), (0x15, 0, 8, token), (0x20, 0, 0, 0),
        (0x15, 4, 0, 435), (0x15, 4, 0, unshare), (0x15, 0, 4, clone),
        (0x20, 0, 0, 16), (0x45, 1, 2, 0x7E020000),
        (0x06, 0, 0, 0x00050000 | errno.ENOSYS), (0x06, 0, 0, 0x00050000 | errno.EPERM), (0x06, 0, 0, 0x7FFF0000),
    )  # fmt: skip
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    LIBC.prctl(38, 1, 0, 0, 0)
    if LIBC.prctl(22, 2, ctypes.c_char_p(struct.pack("@HP", len(code), _address(program))), 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _address(data):
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value


def drive(level, folder, heavy, names):
    """The trusted side: every probe in a worker of its own. level: one to insist on, or what `choose` accepts."""
    import dataclasses

    from autograder.records import Isolation, Limits
    from autograder.sandbox import isolation

    here = Path(__file__).resolve().parent
    only = None if level in ("require", "best", "off") else Isolation(level)
    profile = isolation.choose("require" if only else level, only=only)
    profile = dataclasses.replace(profile, slots=2, disk=48 * 2**20)
    secret, spare, scratch = (folder / name for name in ("secret", "spare", "scratch"))
    secret.write_text("the expected value")
    spare.write_text("spare")
    scratch.mkdir()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = str(isolation.SANDBOX.parent.parent)
    code = NURSERY.format(root=root, here=str(here), control=theirs.fileno(), imports=IMPORTS if heavy else "")
    arguments = [sys.executable, "-I", "-c", code]
    process = isolation.launch(profile, arguments, [isolation.SANDBOX.parent, here], [theirs.fileno()], scratch)
    theirs.close()
    ours.settimeout(60)
    try:
        if not ours.recv(100):
            raise RuntimeError(isolation.last_words(process))
        limits = Limits(submission_cpu=20, memory=512 * 2**20, file=32 * 2**20)
        ask = _Asking(ours, lambda slot: isolation.confinement(profile, limits, slot))
        victim = ask("sleep", {}, slot=1)["pid"]
        target = {
            "secret": str(secret),
            "spare": str(spare),
            "folder": str(folder),
            "packages": os.path.dirname(os.path.dirname(json.__file__)),
            "engine": str(isolation.SANDBOX),
            "grader": os.getpid(),
            "victim": victim,
        }
        names = names or [*HOSTILE, *FATAL, *(name for name in HONEST if heavy or name not in HEAVY)]
        results = {name: ask(name, target) for name in names}
    finally:
        ours.close()
        try:
            process.wait(5)
        except Exception:
            process.kill()
    results["profile"] = dataclasses.asdict(profile)
    results["after"] = {
        "secret": secret.read_text(),
        "mode": oct(secret.stat().st_mode),
        "spare": spare.exists(),
        "left": sorted(str(path.relative_to(folder)) for path in folder.rglob("*")),
        "said": isolation.last_words(process),
    }
    return results


HEAVY = ("tensors", "data_loader", "picture")


class _Asking:
    def __init__(self, control, plan):
        self.control = control
        self.plan = plan

    def __call__(self, probe, target, slot=0):
        plan = self.plan(slot)
        if probe == "burn_cpu":
            plan["cpu_seconds"] = 1
        self.control.send(json.dumps({"plan": plan, "probe": probe, "target": target}).encode())
        if probe == "sleep":
            self.control.send(b"x")
            return json.loads(self.control.recv(1 << 17))
        answer = json.loads(self.control.recv(1 << 17))
        if "status" in answer:
            return {"worked": None, **answer}
        return {**answer, **json.loads(self.control.recv(1 << 17))}


def main():
    options = json.loads(sys.argv[1])
    if options["user"] is not None:
        os.setgroups([])
        os.setresgid(options["user"], options["user"], options["user"])
        os.setresuid(options["user"], options["user"], options["user"])
        options["user"] = None
        os.execv(sys.executable, [sys.executable, "-B", __file__, json.dumps(options)])
    if options["refuse"]:
        refuse_namespaces()
    print(json.dumps(drive(options["level"], Path(options["folder"]), options["heavy"], options["names"])))


if __name__ == "__main__":
    main()
