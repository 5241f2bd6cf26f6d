"""Faults of a machine, as a whole run meets them: a clear word, nothing lost or doubled, and the next run goes on."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import classroom
import psutil
import pytest
from classroom import solution

from autograder.gradebook import Gradebook

ROOT = sys.platform == "linux" and os.geteuid() == 0
WORKS = {f"student{number}": solution(after=f"{number}") for number in range(6)}
SLOW = {name: f"import time\ntime.sleep(0.4)\n{work}" for name, work in WORKS.items()}
JUMPS = """
import itertools, runpy, sys, time
real, steps = time.time, itertools.cycle((0, 86400 * 400, -86400 * 400, -3600, 7))
time.time = lambda: real() + next(steps)
time.time_ns = lambda: int(time.time() * 1e9)
import datetime
class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Jumping
sys.argv = ["autograder", *sys.argv[1:]]
runpy.run_module("autograder.cli", run_name="__main__", alter_sys=True)
"""


class Desk:
    """A class that has handed in, and the command that grades it, in processes of their own."""

    def __init__(self, course, folder, works=WORKS):
        self.course, self.folder, self.out = course, folder, folder / "out"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        folder.chmod(0o755)
        classroom.hand_in(folder / "class", works)

    def start(self, *options, program=("-m", "autograder.cli")):
        given = ["toy", str(self.folder / "class"), "--out", str(self.out), "--course", str(self.course)]
        command = [sys.executable, *program, "grade", *given, "--isolation", "best", "--workers", "1", "--log-json"]
        environment = {**os.environ, "TMPDIR": str(self.temporary)}
        return subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def run(self, *options, **how):
        """Exit status, events, what was said. Nothing may go on running, and nothing may lie around."""
        return self.end(self.start(*options, **how))

    def end(self, running):
        below = psutil.Process(running.pid).children(recursive=True)
        printed, said = running.communicate(timeout=120)
        assert classroom.running(below) == [] and self.lying() == []
        assert "Traceback" not in said
        return running.returncode, [json.loads(line) for line in printed.splitlines()], said

    def lying(self):
        """What lies in the temporary folder, but for torch's own."""
        return [path for path in self.temporary.iterdir() if "torchinductor" not in path.name]

    def graded(self, running, count):
        """Wait until so many are graded, and return everything that runs by then."""
        for line in running.stdout:
            count -= json.loads(line)["event"] == "graded"
            if count == 0:
                return psutil.Process(running.pid).children(recursive=True)
        raise AssertionError(running.stderr.read())

    def attempts(self, out=None):
        with Gradebook.open((out or self.out) / "gradebook.sqlite") as book:
            return Counter(attempt.grade.submission for attempt in book.attempts("toy"))

    def check_goes_on(self, known):
        """The next run does what is missing, and no more."""
        status, events, said = self.run()
        assert status == 0, said
        assert events[0]["known"] == known
        assert sum(event["event"] == "graded" for event in events) == len(WORKS) - known
        assert self.attempts() - Counter({"loops": 1}) == Counter(list(WORKS))


@pytest.fixture
def desk(quick_course, tmp_path):
    return Desk(quick_course, tmp_path)


@contextmanager
def mounted(folder, *options):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def may_mount(folder):
    try:
        with mounted(folder / "trial"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@pytest.mark.skipif(not ROOT, reason="only root can make a small disk")
@pytest.mark.parametrize("room", ["64k", "160k", "256k"])
def test_a_disk_that_is_full(desk, tmp_path, room):
    """Where the gradebook begins, where it grows, where the report is written."""
    if not may_mount(tmp_path):
        pytest.skip("nothing may be mounted here")
    with mounted(desk.out, "-o", f"size={room}"):
        status, events, said = desk.run()
        assert status == 3 and events[-1]["event"] == "stopped", said
        assert "disk is full" in said or "No space left" in said
        assert "make room" in said
        subprocess.run(["mount", "-o", "remount,size=64m", str(desk.out)], check=True)
        known = sum(desk.attempts().values())
        assert known >= sum(event["event"] == "graded" for event in events)
        desk.check_goes_on(known)


@pytest.mark.skipif(not ROOT, reason="only root can take writing away from itself")
def test_an_output_folder_that_can_only_be_read(desk, tmp_path):
    if not may_mount(tmp_path):
        pytest.skip("nothing may be mounted here")
    with mounted(desk.out):
        subprocess.run(["mount", "-o", "remount,ro", str(desk.out)], check=True)
        status, _events, said = desk.run()
        assert status == 3 and f"nothing can be written to {desk.out}" in said and "--out" in said
        subprocess.run(["mount", "-o", "remount,rw", str(desk.out)], check=True)
        running = desk.start()
        desk.graded(running, 2)
        subprocess.run(["mount", "-o", "remount,ro", str(desk.out)], check=False)
        desk.end(running)  # it may be refused while files are open: then it ends well
        subprocess.run(["mount", "-o", "remount,rw", str(desk.out)], check=True)
        desk.check_goes_on(sum(desk.attempts().values()))


@pytest.mark.slow
def test_a_gradebook_that_is_locked(desk):
    assert desk.run()[0] == 0
    (desk.folder / "class" / "student0.py").write_text(solution(after="another"))
    other = sqlite3.connect(desk.out / "gradebook.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    status, _, said = desk.run()
    assert status == 3 and "in use by another process. Wait" in said
    other.execute("ROLLBACK")
    status, _events, said = desk.run()
    assert status == 0 and desk.attempts() == Counter([*WORKS, "student0"])
    other.execute("BEGIN IMMEDIATE")  # for a moment only
    (desk.folder / "class" / "student1.py").write_text(solution(after="another"))
    running = desk.start()
    time.sleep(4)
    other.execute("ROLLBACK")
    other.close()
    assert desk.end(running)[0] == 0
    assert desk.attempts() == Counter([*WORKS, "student0", "student1"])


def test_two_graders_at_one_gradebook(quick_course, tmp_path):
    desk = Desk(quick_course, tmp_path, SLOW)
    first = desk.start()
    desk.graded(first, 1)
    first.send_signal(signal.SIGSTOP)  # on a busy machine it could be done before the second has begun
    second = desk.start()
    printed, said = second.communicate(timeout=60)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 3 and "toy is being graded into" in said and "by another process. Wait" in said
    assert json.loads(printed.splitlines()[-1])["event"] == "stopped"
    assert desk.end(first)[0] == 0 and desk.attempts() == Counter(list(WORKS))
    status, events, _ = desk.run()
    assert status == 0 and events[0]["known"] == len(WORKS)
    assert not list(desk.out.glob("*.lock"))


def test_a_grader_that_was_killed_has_no_claim(quick_course, tmp_path):
    desk = Desk(quick_course, tmp_path, SLOW)
    first = desk.start()
    below = desk.graded(first, 1)
    first.kill()
    first.communicate()
    assert classroom.running(below) == [] and list(desk.out.glob("*.lock"))
    for path in desk.lying():
        path.rmdir()  # empty: nothing was unpacked there
    desk.check_goes_on(sum(desk.attempts().values()))


@pytest.mark.slow
def test_files_that_change_and_vanish_while_they_are_graded(quick_course, tmp_path):
    desk = Desk(quick_course, tmp_path, SLOW)
    running = desk.start()
    desk.graded(running, 1)
    left = set(SLOW) - set(desk.attempts())
    changed, gone = sorted(left)[-2:]
    (desk.folder / "class" / f"{changed}.py").write_text(solution(("return x * factor", "return x + factor")))
    (desk.folder / "class" / f"{gone}.py").unlink()
    status, events, said = desk.end(running)
    assert status == 0, said
    scores = {event["submission"]: (event["status"], event["score"]) for event in events if event["event"] == "graded"}
    assert scores[changed] == ("graded", 8) and scores[gone] == ("unreadable", 0)
    classroom.hand_in(desk.folder / "class", {changed: SLOW[changed], gone: SLOW[gone]})
    status, events, said = desk.run()
    assert status == 0 and events[0]["known"] == len(SLOW) - 2
    again = {event["submission"]: event["score"] for event in events if event["event"] == "graded"}
    assert again == {changed: 10, gone: 10}
    assert desk.attempts() == Counter([*SLOW, changed, gone])


def test_a_clock_that_jumps(desk):
    program = desk.folder / "jumps.py"
    program.write_text(JUMPS)
    status, events, said = desk.run(program=(str(program),))
    assert status == 0, said
    assert {event["score"] for event in events if event["event"] == "graded"} == {10}
    (desk.folder / "class" / "student0.py").write_text(solution(("return x * factor", "return x + factor")))
    status, events, said = desk.run(program=(str(program),))
    assert status == 0 and events[0]["known"] == len(WORKS) - 1
    with Gradebook.open(desk.out / "gradebook.sqlite") as book:
        stamps = [attempt.recorded for attempt in book.attempts("toy")]
        assert stamps != sorted(stamps) and book.latest("toy")[0].score == 8
    assert "8" in (desk.out / "grades.csv").read_text().splitlines()[1].split(",")


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(quick_course, tmp_path, times):
    desk = Desk(quick_course, tmp_path, {**SLOW, "loops": solution(before="while True: pass")})
    running = desk.start("--workers", "2")
    below = desk.graded(running, 2)
    began = time.monotonic()
    for _ in range(times):
        running.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _printed, said = running.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert running.returncode == 130 and "the same command goes on from here" in said and "Traceback" not in said
    assert classroom.running(below) == []
    assert desk.lying() == []
    (desk.folder / "class" / "loops.py").unlink()
    known = len(set(desk.attempts()) - {"loops"})
    assert known >= 1
    desk.check_goes_on(known)


def test_ctrl_c_before_anything_is_graded(desk):
    for seconds in (0.3, 0.8, 1.3, 2.0):  # most of them while torch and numpy are being imported
        running = desk.start()
        time.sleep(seconds)
        below = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
        assert running.returncode in (130, -2, 0), said
        assert classroom.running(below) == []
    desk.check_goes_on(sum(desk.attempts().values()) if (desk.out / "gradebook.sqlite").exists() else 0)
