"""Every probe in every level this machine offers: as root, as an ordinary user, and with namespaces refused."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import probes
import pytest

from autograder.errors import IsolationUnavailable
from autograder.records import Isolation, Limits
from autograder.sandbox import isolation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is Linux's")
ROOT = sys.platform == "linux" and os.geteuid() == 0
USER = 65534
CONTROLS = (
    "read_a_file_outside", "append_to_a_file_outside", "chmod_a_file_outside", "fork", "run_a_command",
    "make_a_file_in_memory", "signal_a_sibling", "hold_a_sibling", "own_a_descriptor_for_a_sibling", "internet_socket",
    "unix_socket", "datagram_pair", "type_into_a_terminal_with_high_bits", "outlive_its_parent", "touch_a_file_outside",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """level: what is asked for. expected: what must come of it. refuse: no namespaces may be made."""

    level: str
    expected: Isolation
    user: bool = False
    refuse: bool = False
    heavy: bool = False
    names: tuple[str, ...] = ()


SETTINGS = {
    "root": Setting("require", Isolation.NAMESPACES, heavy=True),
    "root, no namespaces": Setting("require", Isolation.UID, refuse=True),
    "root, itself only": Setting("self", Isolation.SELF),
    "user": Setting("require", Isolation.NAMESPACES, user=True),
    "user, no namespaces": Setting("require", Isolation.SELF, user=True, refuse=True, heavy=True),
}


def command(setting, folder):
    """The trusted side of `probes`, as an ordinary user if asked: one who can reach this Python."""
    options = {"level": setting.level, "folder": str(folder), "heavy": setting.heavy, "names": setting.names,
               "refuse": setting.refuse, "user": USER if setting.user and ROOT else None}  # fmt: skip
    plain = [sys.executable, "-B", probes.__file__, json.dumps(options)]
    closed = [parent for parent in Path(sys.base_prefix).parents if not parent.stat().st_mode & 0o001]
    if options["user"] is None or not closed:
        return plain
    outer, inner = closed[-1], sys.base_prefix
    between = [parent for parent in reversed(Path(inner).parents) if outer in parent.parents]
    opened = ["--perms", "0755", "--tmpfs", str(outer)]
    for parent in between:
        opened += ["--perms", "0755", "--dir", str(parent)]
    rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["bwrap", "--dev-bind", "/", "/", *opened, "--ro-bind", inner, inner, *rights, "--", *plain]


def available(setting):
    if not ROOT and not setting.user:
        return "this setting needs root"
    if ROOT and setting.user and not shutil.which("bwrap"):
        return "an ordinary user may need bubblewrap to reach this Python"
    if setting.expected is Isolation.NAMESPACES and not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    if setting.expected in (Isolation.NAMESPACES, Isolation.UID):
        return ""
    return "" if isolation.own_limits.landlock_abi() else "this kernel has no Landlock"


@cache
def outcome(setting):
    folder = Path(tempfile.mkdtemp(prefix="autograder-test-"))
    folder.chmod(0o755)
    if setting.user and ROOT:
        os.chown(folder, USER, USER)
    try:
        environment = {**os.environ, "GRADER_TOKEN": "do not tell"}
        done = subprocess.run(command(setting, folder), capture_output=True, text=True, env=environment, timeout=100)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS.keys(), scope="module")
def results(request):
    reason = available(request.param)
    if reason:
        pytest.skip(reason)
    return {"setting": request.param, **outcome(request.param)}


def test_the_level_is_the_strongest_there_is(results):
    profile, setting = results["profile"], results["setting"]
    assert profile["level"] == setting.expected
    assert profile["drops"] == (ROOT and not setting.user and setting.level != "self")


def test_no_hostile_probe_works(results):
    worked = [name for name in probes.HOSTILE if results[name]["worked"] is not False]
    assert worked == [], {name: results[name] for name in worked}


def test_nothing_outside_was_changed(results):
    after = results["after"]
    assert (after["secret"], after["mode"], after["spare"]) == ("the expected value", "0o100644", True)
    assert not [name for name in after["left"] if not name.startswith(("scratch", "secret", "spare"))]
    assert after["said"] == ""


def test_honest_code_works(results):
    failed = {name: results[name] for name in probes.HONEST if name in results and results[name]["worked"] is not True}
    assert failed == {}
    if results["setting"].heavy:
        assert results["tensors"]["value"] == 2


def test_what_must_end_a_worker_ends_it(results):
    ended = {name: os.WTERMSIG(results[name]["status"]) for name in probes.FATAL}
    wanted = {"burn_cpu": signal.SIGXCPU, "crash": signal.SIGSEGV}
    if probes.X86:
        wanted |= {"call_the_32_bit_way": signal.SIGSYS, "call_the_x32_way": signal.SIGSYS}
    assert {name: ended[name] for name in wanted} == wanted
    assert 0.5 < results["burn_cpu"]["cpu"] < 2


def test_a_worker_holds_nothing(results):
    state = results["state"]["value"]
    kept = "0000000000000004" if results["profile"]["search"] else "0000000000000000"
    assert state["capabilities"] == [kept, kept, "0000000000000000", "0000000000000000"]
    assert state["groups"] == [] or results["setting"].user or not results["profile"]["drops"]
    assert state["no_new_privileges"] == "1" and state["leader"] and state["umask"] == "0077"
    assert len(state["open"]) <= 4
    assert "GRADER_TOKEN" not in state["environment"]
    assert state["folder"].endswith(tuple("0123456789"))
    if results["profile"]["drops"]:
        assert set(state["uid"]) == {str(isolation.SPARE_UIDS[0])}


def test_confinement_is_cheap(results):
    times = sorted(results[name]["milliseconds"] for name in probes.HOSTILE)
    assert times[len(times) // 2] < 20


def test_probes_are_no_straw_men():
    setting = Setting("off", Isolation.NONE, user=ROOT, names=CONTROLS)
    if ROOT and not shutil.which("bwrap"):
        pytest.skip("an ordinary user may need bubblewrap to reach this Python")
    found = outcome(setting)
    assert {name: found[name]["worked"] for name in CONTROLS} == dict.fromkeys(CONTROLS, True)


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_killing_the_outside_ends_the_inside(tmp_path):
    profile = isolation.choose("require", only=Isolation.NAMESPACES)
    ours, theirs = socket.socketpair()
    code = f"import socket, time, os; s = socket.socket(fileno={theirs.fileno()})"
    code += "; os.fork(); s.send(b'x'); time.sleep(60)"
    with theirs:
        process = isolation.launch(profile, [sys.executable, "-I", "-c", code], (), [theirs.fileno()], tmp_path)
    ours.settimeout(10)
    assert ours.recv(1) + ours.recv(1) == b"xx"
    process.kill()
    process.wait()
    start = time.monotonic()
    assert ours.recv(1) == b""
    assert time.monotonic() - start < 5


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_each_slot_has_its_own_bounded_disk(tmp_path):
    profile = isolation.Profile(Isolation.NAMESPACES, drops=ROOT, slots=2, disk=2**20)
    code = """
import os
try:
    open("/scratch/0/big", "wb").write(bytes(2 << 20))
except OSError as error:
    print(error.strerror)
print(os.statvfs("/scratch/0").f_bfree, os.statvfs("/scratch/1").f_bfree * 4096, os.listdir("/scratch"))
"""
    process = isolation.launch(profile, [sys.executable, "-I", "-c", code], (), (), tmp_path)
    process.wait(10)
    assert isolation.last_words(process).split("\n") == ["No space left on device", f"0 {2**20} ['1', '0']"]


def test_require_says_how_to_get_isolation(monkeypatch):
    monkeypatch.setattr(isolation, "_trial", lambda profile: "refused here" if profile.level in isolation.SOUND else "")
    with pytest.raises(IsolationUnavailable, match=r"(?s)self: refused here.*Install bubblewrap.*autograder doctor"):
        isolation.choose("require")
    assert isolation.choose("best").level is Isolation.NO_OPEN
    assert isolation.choose("off").level is Isolation.NONE
    with pytest.raises(ValueError, match="not 'maybe'"):
        isolation.choose("maybe")


def test_elsewhere_nothing_is_pretended(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isolation.choose("best") == isolation.Profile(Isolation.NONE)
    assert not any(row.available for row in isolation.survey())
    with pytest.raises(IsolationUnavailable, match="Grade on Linux"):
        isolation.choose("require")


def test_spare_users_without_landlock_need_a_private_course(monkeypatch, tmp_path):
    monkeypatch.setattr(isolation, "_trial", lambda profile: "")
    monkeypatch.setattr(isolation, "_candidates", lambda: iter([isolation.Profile(Isolation.UID, drops=True)]))
    course = Path(tempfile.mkdtemp(prefix="autograder-test-"))
    course.chmod(0o755)
    try:
        with pytest.raises(IsolationUnavailable, match=r"every user can read .*chmod"):
            isolation.choose("require", private=[course])
        course.chmod(0o700)
        assert isolation.choose("require", private=[course]).level is Isolation.UID
    finally:
        course.rmdir()


def test_survey_tries_each_level():
    rows = {row.name: row for row in isolation.survey()}
    chosen = isolation.choose("best")
    assert rows[f"isolation: {chosen.level}"].available
    assert all(row.detail for row in rows.values())


def test_a_plan_is_plain_data():
    plan = isolation.confinement(isolation.Profile(Isolation.UID, 7, slots=4, drops=True), Limits(), 6)
    assert json.loads(json.dumps(plan))["uid"] == plan["gid"] == isolation.SPARE_UIDS[2]
    off = isolation.confinement(isolation.Profile(Isolation.NONE), Limits())
    assert (off["filter"], off["landlock"], off["readable"], off["uid"]) == (None, False, (), None)
    gpu = isolation.confinement(isolation.Profile(Isolation.SELF, 7), Limits(), gpu=True)
    assert (gpu["filter"], gpu["memory"]) == ("gpu", None) and "/proc/self/task" in gpu["devices"]
