"""A class of the toy course under attack: reads `attacks/`, hands it in beside honest works, tells what came of each.

An attack is one file: a last cell put after the honest solution. Its docstring says what it tries, then

    verdict: 10 points           or `at most 8 points`: what it may earn
    says: used more than         words that its student must be told, if any; ` or ` between those that will do
    known: self, uid (reason)    the levels in which it works in a way that `docs/threat-model.md` names, if any

In front of it stands `PRELUDE`. What an attack does to the machine goes through `attempt`, which prints what came of
it. `python siege.py OPTIONS` is the grader of one setting, in a process of its own, and prints its results as JSON.
"""

import ast
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "attacks"
GROUPS = {
    "comparison": "Lying to the comparison",
    "runner": "Attacking the test runner and the wire",
    "reach": "Reaching files, memory, processes and the network",
    "exhaust": "Exhausting resources",
    "leak": "Telling a student what the hidden checks hold",
}
LINE = re.compile(r"^(verdict|says|known): (.+)$", re.MULTILINE)
POINTS = re.compile(r"(at most )?(\d+) points?")
MINE = "attack-"
USER = 65534
DISK = 64 * 2**20
HONEST = 6
LIMITS = """check_cpu = 1
check_wall = 3
cells_cpu = 1
cells_wall = 4
submission_cpu = 2
submission_wall = 8
reply = "4 MiB"
output = "1 MiB"
file = "16 MiB"
memory = "512 MiB\""""
HARMLESS = tuple(
    f"reach/{name}"
    for name in """
    hidden_tests solution course_key other_submission folders by_way_of_proc tests_by_stat parent_in_proc
    grader_in_proc anybody_in_proc forks runs_from_memory internet local_sockets watches set_user_id_file machine_code
    """.split()
)
PRELUDE = '''
import builtins, ctypes, errno, fcntl, gc, json, math, mmap, os, resource, select, signal, socket, struct, sys
import threading, time
from unittest import mock

import torch

TARGET = {target!r}
LIBC = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
text, kind, MARK = str, type, "LE" "AK"


def say(*words, say=print):
    say(*words, flush=True)


def attempt(action, *given):
    """Try it and say what came of it."""
    try:
        found = action(*given)
    except Exception as error:
        say("refused:", kind(error).__name__, text(error)[:200])
    else:
        say("WORKED:", text(found)[:2000])


def call(x86, arm, *given):
    """A system call by its number; OSError if it was refused."""
    given = (ctypes.c_long(one) if isinstance(one, int) else one for one in given)
    result = LIBC.syscall(ctypes.c_long(x86 if X86 else arm), *given)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def leak(x):
    """Hidden numbers as a word."""
    return MARK + "_".join(f"{{v:.4f}}".replace("-", "m").replace(".", "p") for v in x.detach().flatten().tolist()[:20])


def frame(value, payload=b"", table=(), offsets=()):
    """A frame of the wire, made by hand."""
    header = json.dumps([value, list(table), list(offsets)]).encode()
    return struct.pack("<4sIQ", b"agw1", len(header), len(payload)) + header + payload
'''


@dataclass(frozen=True)
class Attack:
    """One file of `attacks/`. points: what it earns, or may earn `at_most`. known: reasons, by level."""

    name: str
    tries: str
    source: str
    points: int
    at_most: bool = False
    says: str = ""
    known: dict[str, str] = field(default_factory=dict)

    @property
    def group(self):
        return self.name.split("/")[0]


@dataclass(frozen=True)
class Setting:
    """One layer. level: what is asked for. expected: what must come of it. refuse: no namespaces may be made."""

    level: str
    expected: str
    user: bool = False
    refuse: bool = False


ROOT = sys.platform == "linux" and os.geteuid() == 0
SETTINGS = {
    "root, namespaces": Setting("require", "namespaces"),
    "root, uid": Setting("require", "uid", refuse=True),
    "root, self": Setting("self", "self"),
    "user, namespaces": Setting("require", "namespaces", user=True),
    "user, self": Setting("require", "self", user=True, refuse=True),
}


@cache
def attacks():
    """Every attack, by name, in the order of the groups."""
    found = {}
    for group in GROUPS:
        for path in sorted((FOLDER / group).glob("*.py")):
            found[f"{group}/{path.stem}"] = read(f"{group}/{path.stem}", path.read_text("utf-8"))
    return found


def read(name, source):
    """One attack from its file."""
    tries, _, rest = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    lines = dict(LINE.findall(rest))
    at_most, points = POINTS.fullmatch(lines["verdict"]).groups()
    levels, _, reason = lines.get("known", "").partition(" (")
    known = {level.strip(): reason.rstrip(")") for level in levels.split(",") if level}
    return Attack(name, tries, source, int(points), bool(at_most), lines.get("says", ""), known)


def trouble(attack, record, level):
    """What is wrong with how an attack ended, in words; empty if it got what it must get."""
    if record["status"] != "graded":
        return f"was not graded but {record['status']}"
    if record["score"] > attack.points or (record["score"] < attack.points and not attack.at_most):
        return f"earned {record['score']:g} points, expected {attack.at_most * 'at most '}{attack.points}"
    if record["found"] or record["leaked"]:
        return f"found {record['found']}, leaked {record['leaked']!r}"
    if not any(words in record["told"] for words in attack.says.split(" or ")):
        return f"its student is not told {attack.says!r}: {record['told']}"
    if ("WORKED:" in record["printed"]) != (level in attack.known):
        return f"worked, or should have: {record['printed'][:1000]}"
    if "attempt(" in attack.source and "refused:" not in record["printed"] and level not in attack.known:
        return f"did not try: {record['told']} {record['printed'][:500]}"
    straw = re.search(
        r"refused: (Name|Attribute|Type|Syntax|Index|Import)Error .*|Code cell 7 raised (Name|Syntax)",
        record["printed"] + record["told"],
    )
    return f"is broken itself: {straw[0]}" if straw else ""


# one setting, from outside


def available(setting):
    """Why a setting can't be tried on this machine, or nothing."""
    from autograder.sandbox import limits

    if sys.platform != "linux" or (not ROOT and not setting.user):
        return "this setting needs Linux, and root" if not setting.user else "isolation is Linux's"
    if (ROOT and setting.user) or setting.expected == "namespaces":
        return "" if shutil.which("bwrap") else "bubblewrap is not installed"
    return "" if setting.expected == "uid" or limits.landlock_abi() else "this kernel has no Landlock"


@cache
def besiege(setting, names=(), honest=HONEST):
    """Grade attacks (all if no names) and honest works in one setting. Returns what `main` prints."""
    folder = Path(tempfile.mkdtemp(prefix="autograder-siege-"))
    folder.chmod(0o755)
    (folder / "tmp").mkdir()
    if setting.user and ROOT:
        for path in (folder, folder / "tmp"):
            os.chown(path, USER, USER)
    options = {
        "folder": str(folder), "level": setting.level, "refuse": setting.refuse, "honest": honest,
        "user": USER if setting.user and ROOT else None, "names": list(names or attacks()),
        "canary": f"CANARY-command-{secrets.token_hex(8)}",
    }  # fmt: skip
    environment = {**os.environ, "GRADER_TOKEN": f"CANARY-environment-{secrets.token_hex(8)}"}
    environment["TMPDIR"] = str(folder / "tmp")
    before = _of_the_machine()
    try:
        done = subprocess.run(
            _command(options), capture_output=True, text=True, env=environment, timeout=900, cwd=folder
        )
        assert done.returncode == 0, done.stderr[-5000:]
        results = json.loads(done.stdout)
        results["left"] += sorted(_of_the_machine() - before)
        return results
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _of_the_machine():
    """What an attack could have left on the machine: files by our names, shared memory, queues, abstract sockets."""
    found = set()
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", os.path.expanduser("~"), os.getcwd()):
        with suppress(OSError):
            found |= {os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(MINE)}
    for table in ("shm", "sem", "msg"):
        with suppress(OSError):
            found |= {
                f"{table} {line.split()[1]}" for line in Path(f"/proc/sysvipc/{table}").read_text().splitlines()[1:]
            }
    with suppress(OSError):
        found |= {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if f"@{MINE}" in line}
    return found


def _command(options):
    """This file as an ordinary user, if asked: one who can reach this Python."""
    plain = [sys.executable, "-B", __file__, json.dumps(options)]
    closed = [parent for parent in Path(sys.base_prefix).parents if not parent.stat().st_mode & 0o001]
    if options["user"] is None or not closed:
        return plain
    outer, inner = closed[-1], sys.base_prefix
    opened = ["--perms", "0755", "--tmpfs", str(outer)]
    for parent in reversed([parent for parent in Path(inner).parents if outer in parent.parents]):
        opened += ["--perms", "0755", "--dir", str(parent)]
    rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["bwrap", "--dev-bind", "/", "/", *opened, "--ro-bind", inner, inner, *rights, "--", *plain]


# one setting, from inside


def strict(folder):
    """The toy course with limits as small as honest works allow."""
    import toycourse

    root = toycourse.make(folder)
    toycourse.edit(root, "assignment.toml", 'check_cpu = 5\nmemory = "2 GiB"', LIMITS)
    toycourse.edit(root, "test_hidden.py", "@pytest.mark.cpu(5)\n", "@pytest.mark.cpu(1)\n")
    return root


def grade(options):
    """What came of each attack and each honest work, and what was left behind."""
    import classroom

    from autograder import course, reports
    from autograder.engines import LocalPool
    from autograder.records import Isolation
    from autograder.sandbox import isolation

    folder = Path(options["folder"])
    root = strict(folder)
    canaries = {name: f"CANARY-{name}-{secrets.token_hex(8)}" for name in ("hidden", "solution", "memory", "other")}
    solutions = root / "solutions" / "toy"
    for file, name in (("test_hidden.py", "hidden"), ("solution.py", "solution")):
        with (solutions / file).open("a") as text:
            text.write(f"\nNOTE = {canaries[name]!r}\n")
    assignment = course.load(root, "toy")
    canaries |= {"key": course.secret(root).hex(), "environment": os.environ["GRADER_TOKEN"], "cmd": options["canary"]}
    (folder / "results.json").write_text('{"score": 0}')
    target = {
        "hidden": str(solutions / "test_hidden.py"), "solution": str(solutions / "solution.py"),
        "key": str(root / "solutions" / ".secret"), "other": str(folder / "class" / "honest-0.py"),
        "results": str(folder / "results.json"), "course": str(solutions), "folder": str(folder),
        "temporary": tempfile.gettempdir(), "packages": os.path.dirname(os.path.dirname(classroom.psutil.__file__)),
        "engine": str(isolation.SANDBOX), "grader": os.getpid(), "mine": MINE,
    }  # fmt: skip
    assert (solutions / "test_hidden.py").read_text().count("CANARY-") == 1

    def handed_in(source):
        return f"# %%{PRELUDE.format(target=target)}\n{classroom.solution()}\n# %%\n{source}"

    works = {f"honest-{number}": classroom.solution(after=f"{number}  # {canaries['other']}") for number in range(2)}
    known = [attacks()[name] for name in options["names"]]
    for number, attack in enumerate(known):
        works[attack.name.replace("/", "-")] = handed_in(attack.source)
        if number % max(1, len(known) // max(1, options["honest"] - 2)) == 0:
            works[f"honest-{len(works)}"] = classroom.solution(after=f"{number}")
    watched = {path: path.read_bytes() for path in [*_files(root), folder / "results.json"]}
    modes = {path: path.stat().st_mode for path in watched}
    only = None if options["level"] in ("require", "best", "off") else Isolation(options["level"])
    profile = isolation.choose("require" if only else options["level"], only=only, private=[assignment.folder])
    profile = replace(profile, disk=DISK)
    began = time.monotonic()
    with LocalPool(classroom.job(root, assignment=assignment, profile=profile, workers=6)) as pool:
        grades = classroom.grade(pool, folder / "class", works)
        family = classroom.descendants()
    results = {"level": str(profile.level), "seconds": time.monotonic() - began, "works": {}, "honest": {}}
    reports.write(folder / "report", assignment, list(grades.values()), set(grades))
    for name, found in grades.items():
        shown = classroom.told(found) + (folder / "report" / "results" / f"{name}.json").read_text("utf-8")
        everything = shown + found.detail + "".join(check.detail for check in found.checks)
        group, _, stem = name.partition("-")
        results["honest" if group == "honest" else "works"][name if group == "honest" else f"{group}/{stem}"] = {
            "status": str(found.status), "score": found.score, "statuses": classroom.statuses(found),
            "told": classroom.told(found), "printed": found.detail, "seconds": found.seconds,
            "details": [check.detail for check in found.checks if check.detail],
            "cpu": found.cpu_seconds, "isolation": found.isolation,
            "found": [name for name, canary in canaries.items() if canary in everything and name != "none"],
            "leaked": "".join(re.findall(r"LEAK.{30}", shown)),
        }  # fmt: skip
    results["changed"] = [str(path) for path in watched if not path.exists() or path.read_bytes() != watched[path]]
    results["changed"] += [str(path) for path, mode in modes.items() if path.exists() and path.stat().st_mode != mode]
    results["changed"] += [str(path) for path in _files(root) if path not in watched]
    results["running"] = [str(process) for process in classroom.running(family)]
    results["left"] = [str(path) for path in (folder / "tmp").rglob("*") if "torchinductor" not in path.name]
    return results


def _files(root):
    return [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def main():
    """As another user, without namespaces, or as we are: grade and print."""
    options = json.loads(sys.argv[1])
    if options["user"] is not None:
        os.setgroups([])
        os.setresgid(options["user"], options["user"], options["user"])
        os.setresuid(options["user"], options["user"], options["user"])
        options["user"] = None
        os.execv(sys.executable, [sys.executable, "-B", __file__, json.dumps(options)])
    sys.path[:0] = [str(HERE), str(HERE / "sandbox")]
    if options["refuse"]:
        import probes

        probes.refuse_namespaces()
    print(json.dumps(grade(options)))


if __name__ == "__main__":
    main()
