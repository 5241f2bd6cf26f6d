"""Chooses what keeps submissions away from the rest of the machine, and starts the zygote inside it. Trusted side.

A level counts as available only when a trial process was confined by it just now: it could read the standard library,
and could neither open a file outside nor make a socket.
"""

import dataclasses
import importlib.util
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from autograder.errors import IsolationUnavailable
from autograder.records import Isolation, Limits
from autograder.sandbox import limits as own_limits
from autograder.sandbox.lease import Lease

SANDBOX = Path(__file__).parent
SPARE_UIDS = range(60800, 61100)
INNER_SCRATCH = Path("/scratch")
SOUND = (Isolation.NAMESPACES, Isolation.UID, Isolation.SELF)
LIBRARIES = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/nix/store")
LINKS = ("/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
SHARED = ("/usr/share/fonts", "/usr/share/fontconfig", "/etc/fonts", "/usr/share/zoneinfo", "/etc/localtime")
SYSTEM = tuple(Path(path) for path in (*LIBRARIES, *LINKS, *SHARED))
PROCESSORS = Path("/sys/devices/system/cpu")
KERNEL = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", str(PROCESSORS), "/dev/zero", "/dev/random", "/dev/urandom")
GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
FIRST_TO_GO = ("/bin/sh", "-c", 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$0" "$@"')
GPU_SYSTEM = (Path("/usr/local/nvidia"), Path("/usr/local/cuda"))
SLACK = 1.2  # the kernel counts CPU limits by ticks, up to a tenth too much; the grader's own clock is exact
CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID")
TRIAL = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {root!r})
import json, os
from autograder.sandbox import limits
plan = json.loads({plan!r})
os.mkdir(plan["writable"], 0o700)
if plan["uid"] is not None:
    os.chown(plan["writable"], plan["uid"], plan["gid"])
limits.harden()
limits.confine(limits.Confinement(**plan))
import _socket, colorsys
for path in {needed!r}:
    open(path).close()
open("own", "w").close()
for what, attempt in (("a file outside", lambda: open({secret!r})), ("the network", _socket.socket)):
    try:
        attempt()
    except OSError:
        continue
    sys.exit("a confined process could still reach " + what)
print("confined")
"""


@dataclass(frozen=True, slots=True)
class Profile:
    """What was chosen, once, at the start.

    landlock: the kernel's version of it, 0 for none.
    slots:    how many workers may live at once in one zygote, each with a work folder of at most `disk` bytes.
    drops:    whether workers drop to spare users; search: whether they keep the right to walk through folders then.
    users:    the spare users of the slots, once they have been leased.
    """

    level: Isolation
    landlock: int = 0
    slots: int = 8
    disk: int = 256 * 2**20
    drops: bool = False
    search: bool = False
    users: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of `autograder doctor`: what it is, whether it works here, and what was found or is to be done."""

    name: str
    available: bool
    detail: str


def choose(wanted: str, *, only: Isolation | None = None, private: Sequence[Path] = ()) -> Profile:
    """The strongest profile this machine offers, or just `only`. wanted: require, best or off.

    private: what spare users must not be able to read; it matters where the kernel has no Landlock.
    Raises IsolationUnavailable if less than `self` would be left under `require`.
    """
    if wanted not in ("require", "best", "off"):
        raise ValueError(f"isolation is one of require, best and off, not {wanted!r}")
    if wanted == "off" and only is None:
        return Profile(Isolation.NONE)
    reasons = []
    for profile in _candidates():
        if only is not None and profile.level is not only:
            continue
        if only is None and wanted == "require" and profile.level not in SOUND:
            continue
        problem = _trial(profile) or _exposure(profile, private)
        if not problem:
            return profile
        reasons.append(f"{profile.level}: {problem}")
    raise IsolationUnavailable(
        f"isolation {only or '`self` or better'} can't be had on this machine ({'; '.join(reasons) or _system()}). "
        f"{_advice()} `autograder doctor` shows each layer; `--isolation best` takes what there is, "
        "for submissions that you trust."
    )


def survey() -> list[Layer]:
    """Each layer and each level, really tried."""
    if sys.platform != "linux":
        return [Layer("isolation", False, _system())]
    bwrap = _bubblewrap()
    abi = own_limits.landlock_abi()
    root = os.geteuid() == 0
    rows = [
        Layer("bubblewrap", bwrap is not None, bwrap or "not installed: `apt install bubblewrap` or its like"),
        Layer("Landlock", abi > 0, f"version {abi}" if abi else "this kernel has none: Linux 5.13 or later has"),
        Layer("spare users", root, f"{SPARE_UIDS[0]} and up" if root else "only root can use them"),
    ]
    tried: dict[Isolation, str] = {}
    for profile in _candidates():
        if tried.get(profile.level) != "":
            tried[profile.level] = _trial(profile)
    for level in (*SOUND, Isolation.NO_OPEN):
        problem = tried.get(level, _missing(level))
        rows.append(Layer(f"isolation: {level}", not problem, problem or "tried, and it held"))
    return rows


def launch(
    profile: Profile,
    arguments: Sequence[str],
    readable: Sequence[Path],
    pass_fds: Sequence[int],
    scratch: Path,
    *,
    gpu: bool = False,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `arguments` within the level's outer walls, with an environment made from nothing.

    Where the machine's memory runs out, the kernel ends this and what it forks before anything of the operator's. What
    it prints goes to a file without a name, for `last_words`.
    """
    if profile.drops and profile.level is not Isolation.NAMESPACES:
        scratch.chmod(0o711)
    command = list(arguments)
    if profile.level is Isolation.NAMESPACES:
        command = [*_bubblewrap_arguments(profile, readable, gpu=gpu), "--", *arguments]
    with tempfile.TemporaryFile("a+b", buffering=0) as said:
        process = subprocess.Popen(
            [*FIRST_TO_GO, *command] if sys.platform == "linux" else command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**_environment(inner_scratch(profile, scratch), gpu=gpu), **(environment or {})},
            cwd="/" if profile.level is Isolation.NAMESPACES else scratch,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
        process.stderr = open(os.dup(said.fileno()), "rb")  # noqa: SIM115 - closed with the process's other streams
    return process


def last_words(process: "subprocess.Popen[bytes]") -> str:
    """The end of what a process started by `launch` has printed."""
    if process.stderr is None:
        return ""
    size = process.stderr.seek(0, os.SEEK_END)
    process.stderr.seek(max(0, size - 2000))
    return process.stderr.read().decode(errors="replace").strip()


def inner_scratch(profile: Profile, scratch: Path) -> Path:
    """Where the zygote finds its scratch folder: `scratch`, or a tmpfs of its own that leaves nothing behind."""
    return INNER_SCRATCH if profile.level is Isolation.NAMESPACES else scratch


def lease(profile: Profile) -> Lease | None:
    """A spare user for each slot that nobody else on this machine has. Raises OperatorError if too few are left."""
    return Lease(_spare_users(), profile.slots) if profile.drops else None


def slot_uid(profile: Profile, slot: int) -> int | None:
    """The spare user of a slot, or None where workers keep the user they have."""
    return (profile.users or _spare_users())[slot % profile.slots] if profile.drops else None


def confinement(
    profile: Profile,
    limits: Limits,
    slot: int = 0,
    *,
    readable: Sequence[Path] = (),
    gpu: bool = False,
) -> dict[str, Any]:
    """A `limits.Confinement` as plain data.

    Its `writable` is the slot's own tmpfs, where it has one. The zygote makes the worker's folder there, else in its
    scratch folder, and puts that in its place.
    """
    uid = slot_uid(profile, slot)
    sandboxed = profile.level is not Isolation.NONE
    landlock = sandboxed and profile.landlock > 0
    name = "no-open" if profile.level is Isolation.NO_OPEN else "gpu" if gpu else "cpu"
    paths = [*_interpreter(), *SYSTEM, SANDBOX, *readable, *(GPU_SYSTEM if gpu else ())]
    devices = ["/dev/null", *(["/proc/self/task", *_gpu_nodes()] if gpu else ())]
    kernel = [*KERNEL, *(("/sys", "/proc/driver/nvidia") if gpu else ())]
    return dataclasses.asdict(
        own_limits.Confinement(
            cpu_seconds=math.ceil(SLACK * limits.submission_cpu),
            memory=None if gpu else limits.memory,
            file_bytes=limits.file,
            threads=limits.threads,
            uid=uid,
            gid=uid,
            search=profile.search,
            readable=tuple(dict.fromkeys([str(path) for path in paths] + kernel)) if landlock else (),
            writable=str(INNER_SCRATCH / str(slot % profile.slots)) if profile.level is Isolation.NAMESPACES else None,
            devices=tuple(devices) if landlock else (),
            landlock=landlock,
            filter=name if sandboxed else None,
        )
    )


def _candidates() -> Iterator[Profile]:
    """Profiles worth a trial, strongest first; the last is no isolation at all."""
    root = sys.platform == "linux" and os.geteuid() == 0
    abi = own_limits.landlock_abi()
    if sys.platform == "linux" and platform.machine() in own_limits.PROCESSORS:
        if _bubblewrap():
            yield Profile(Isolation.NAMESPACES, abi, drops=root)
        if root:
            yield Profile(Isolation.UID, abi, drops=True)
        if root and abi:
            yield Profile(Isolation.UID, abi, drops=True, search=True)
        if abi:
            yield Profile(Isolation.SELF, abi)
        yield Profile(Isolation.NO_OPEN, abi)
    yield Profile(Isolation.NONE)


def _trial(profile: Profile) -> str:
    """Confine a process by this profile and have it try what it must not do. Empty if all is well."""
    if profile.level is Isolation.NONE:
        return ""
    if profile.level is Isolation.NO_OPEN:
        return _trial_without_files()
    with tempfile.TemporaryDirectory(prefix="autograder-trial-") as folder:
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        Path(folder).chmod(0o755)
        secret = Path(folder) / "secret"
        secret.touch(0o600 if profile.drops and not profile.landlock else 0o644)
        return _run_trial(profile, scratch, secret)


def _run_trial(profile: Profile, scratch: Path, secret: Path) -> str:
    plan = confinement(profile, Limits())
    plan["writable"] = str(Path(plan["writable"] or scratch) / "trial")
    needed = [str(path) for path in _needed()]
    code = TRIAL.format(root=str(SANDBOX.parent.parent), plan=json.dumps(plan), needed=needed, secret=str(secret))
    return _outcome(profile, [sys.executable, "-I", "-S", "-c", code], scratch)


def _trial_without_files() -> str:
    with tempfile.TemporaryDirectory(prefix="autograder-trial-") as folder:
        code = (
            f"import sys; sys.path.insert(0, {str(SANDBOX.parent.parent)!r}); from autograder.sandbox import limits\n"
            "limits.confine(limits.Confinement(landlock=False, filter='no-open'))\n"
            "try: open('/dev/null')\nexcept PermissionError: print('confined')\n"
        )
        return _outcome(Profile(Isolation.SELF), [sys.executable, "-I", "-S", "-B", "-c", code], Path(folder))


def _outcome(profile: Profile, arguments: Sequence[str], scratch: Path) -> str:
    try:
        process = launch(profile, arguments, [SANDBOX.parent], (), scratch)
    except OSError as error:
        return str(error)
    try:
        process.wait(20)
        said = last_words(process)
    except subprocess.TimeoutExpired:
        said = "the trial process did not end within 20 seconds"
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
    if said == "confined":
        return ""
    return said.rsplit("\n", 1)[-1] or f"the trial process ended with status {process.returncode}"


def _needed() -> list[Path]:
    """Files that a confined worker must still be able to open, one from each place code is imported from."""
    found = [importlib.util.find_spec(name) for name in ("colorsys", "torch", "numpy")]
    return [Path(spec.origin) for spec in found if spec is not None and spec.origin is not None]


def _exposure(profile: Profile, private: Sequence[Path]) -> str:
    if profile.level is not Isolation.UID or profile.landlock:
        return ""
    for path in private:
        if all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents) and path.stat().st_mode & 0o005:
            return f"every user can read {path}, and this kernel has no Landlock: `chmod -R go= {path}`"
    return ""


def _missing(level: Isolation) -> str:
    if platform.machine() not in own_limits.PROCESSORS:
        return f"there is no seccomp filter for {platform.machine()}"
    return {
        Isolation.NAMESPACES: "needs bubblewrap: `apt install bubblewrap` or its like",
        Isolation.UID: "needs root",
        Isolation.SELF: "needs Landlock: Linux 5.13 or later",
    }.get(level, "needs Linux")


def _system() -> str:
    return f"{platform.system()} offers no isolation that we know how to use; grade on Linux"


def _advice() -> str:
    if sys.platform != "linux":
        return "Grade on Linux, or in a Linux container."
    return "Install bubblewrap, or use Linux 5.13 or later with Landlock, or grade as root in a container."


@cache
def _spare_users() -> list[int]:
    """User ids that belong to nobody."""
    import pwd

    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return [uid for uid in SPARE_UIDS if uid not in taken]


@cache
def _interpreter() -> tuple[Path, ...]:
    """Where this Python and its packages live. Only these parts of each prefix: a course may lie beside them."""
    found: dict[Path, None] = {}
    for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix):
        for name in ("bin", "lib", "lib64", "pyvenv.cfg"):
            path = Path(prefix) / name
            if path.exists():
                found |= {path: None, path.resolve(): None}
    return tuple(found)


def _gpu_nodes() -> list[str]:
    numbered = (str(path) for path in Path("/dev").glob("nvidia[0-9]*"))
    return [path for path in (*GPU_NODES, *numbered) if os.path.exists(path)]


def _environment(scratch: Path, *, gpu: bool) -> dict[str, str]:
    chosen = {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "MPLCONFIGDIR": str(scratch),
        "USER": "student",
        "LOGNAME": "student",
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "MALLOC_ARENA_MAX": "2",
        "OPENBLAS_NUM_THREADS": "1",
    }
    if not gpu:
        return chosen
    visible = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ}
    return {**chosen, **visible, "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}


@cache
def _bubblewrap() -> str | None:
    return shutil.which("bwrap") if sys.platform == "linux" else None


@cache
def _bubblewrap_options(program: str) -> str:
    return subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout


def _bubblewrap_arguments(profile: Profile, readable: Sequence[Path], *, gpu: bool) -> list[str]:
    program = _bubblewrap()
    if program is None:
        raise FileNotFoundError(_missing(Isolation.NAMESPACES))
    known = _bubblewrap_options(program)
    size = ("--size", str(profile.disk)) if "--size" in known else ()
    command = [program, "--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
    command += ["--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox", "--cap-drop", "ALL"]
    if profile.drops:
        command += [word for name in CAPABILITIES for word in ("--cap-add", name)]
    else:
        nobody = str(SPARE_UIDS[0])
        command += ["--unshare-user", "--uid", nobody, "--gid", nobody]
        command += ["--disable-userns"] if "--disable-userns" in known else []
    wanted = [*SYSTEM, *_interpreter(), *(path.resolve() for path in readable), *(GPU_SYSTEM if gpu else ())]
    shown = _outermost([*wanted, Path("/sys") if gpu else PROCESSORS])
    for folder in _parents(shown):
        command += ["--perms", "0755", "--dir", str(folder)]
    for place in shown:
        command += ["--symlink", str(place.readlink()), str(place)] if place.is_symlink() else _bind(place)
    command += ["--proc", "/proc", "--dev", "/dev"]
    for node in _gpu_nodes() if gpu else ():
        command += ["--dev-bind", node, node]
    command += [*size, "--tmpfs", str(INNER_SCRATCH)]
    for slot in range(profile.slots):
        command += [*size, "--tmpfs", str(INNER_SCRATCH / str(slot))]
    for sealed in ("/dev", "/") if gpu else ("/proc", "/dev", "/"):
        command += ["--remount-ro", sealed]
    return [*command, "--chdir", "/"]


def _bind(path: Path) -> list[str]:
    return ["--ro-bind", str(path), str(path)]


def _outermost(paths: Sequence[Path]) -> list[Path]:
    """The paths that exist and lie in no other of them."""
    present = {path for path in paths if path.exists()}
    return sorted(path for path in present if not any(parent in present for parent in path.parents))


def _parents(paths: Sequence[Path]) -> list[Path]:
    """The folders above them, outermost first. bubblewrap would make them for root only."""
    return sorted({parent for path in paths for parent in path.parents} - {Path("/")})
