"""precedents: the same answers are not judged twice, and nothing else is taken for the same."""

import ast
from dataclasses import replace

import classroom
import pytest
import torch
from classroom import SCALE, scale, solution

from autograder import grader
from autograder.engines import LocalPool
from autograder.judge import Finding
from autograder.precedents import Erratic, Precedents, looks_at_clocks
from autograder.records import Status
from autograder.sandbox import wire
from autograder.sandbox.spawn import WorkerEnded
from autograder.sandbox.wire import Frame, Message

IN_ONE = "if factor == 2.0:\n    {}\nreturn x * factor"
HOSTILE = "import ctypes, os\n"
WORKS = {
    "full": solution(),
    "another": solution((SCALE, "return factor * x"), before="kept = [object() for _ in range(1000)]"),
    "shifted": solution((SCALE, "return x + factor")),
    "one step off": scale("if factor == 2.0:\n    return x + factor\nreturn x * factor"),
    "in place": scale("return x.mul_(factor)"),
    "raises": scale(IN_ONE.format("raise ValueError('no')")),
    "crashes": scale(IN_ONE.format("ctypes.string_at(0)"), before=HOSTILE),
    "leaves": scale(IN_ONE.format("os._exit(0)"), before=HOSTILE),
    "garbage": scale(IN_ONE.format("os.write(3, b'garbage' * 100)"), before=HOSTILE),
    "loops": scale("while True: pass"),
    "prints": solution(after="print('all is well')"),
    "polluted": solution(
        (SCALE, "CALLS.append(1)\n    return x * factor"),
        ("return product + self.bias", "return product if CALLS else product + self.bias"),
        before="CALLS = []",
    ),
    "nothing": "pass\n",
    "no class": solution(after="del Affine"),
}


class Forgetful(Precedents):
    """A judge that remembers nothing."""

    def hearing(self, check, case, line):
        return None


def timeless(grade):
    """A grade without what differs from run to run."""
    return replace(grade, seconds=0.0, cpu_seconds=0.0)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What each work is worth to judges that remember nothing."""
    folder = tmp_path_factory.mktemp("fresh")
    with pytest.MonkeyPatch.context() as patch, LocalPool(_job(folder, patch)) as pool:
        return classroom.grade(pool, folder / "works", WORKS)


def _job(folder, patch=None, **changes):
    if patch is not None:
        patch.setattr(grader, "Precedents", Forgetful)
        patch.setattr("autograder.course.secret", lambda _: bytes(32))
    root = classroom.quick(folder)
    return replace(classroom.job(root, **changes), secret=bytes(32), batch="one")


def test_grades_are_those_of_judges_that_remember_nothing(fresh, tmp_path):
    with LocalPool(_job(tmp_path, workers=1)) as pool:
        for number, works in enumerate((WORKS, dict(reversed(WORKS.items())))):
            grades = classroom.grade(pool, tmp_path / f"works{number}", works)
            assert {name: timeless(grade) for name, grade in grades.items()} == {
                name: timeless(grade) for name, grade in fresh.items()
            }


def test_the_works_of_a_batch_get_the_same_inputs_and_those_of_another_get_others(tmp_path):
    """Seen in the numbers that a lost check names."""
    wrong = {"one": WORKS["shifted"], "two": solution((SCALE, "return factor + x")), "three": WORKS["shifted"]}
    said = {}
    for batch in ("first", "second", ""):
        with LocalPool(replace(_job(tmp_path / (batch or "none")), batch=batch)) as pool:
            grades = classroom.grade(pool, tmp_path / f"works {batch}", wrong)
        said[batch] = {name: [check.detail for check in grade.checks] for name, grade in grades.items()}
        assert all(grade.batch == batch for grade in grades.values())
    for batch in ("first", "second"):
        assert said[batch]["one"] == said[batch]["two"]
    assert said["first"]["one"] != said["second"]["one"]
    assert said[""]["one"] != said[""]["two"] and said[""]["one"] == said[""]["three"]


class Doubler:
    """The way to a worker that doubles; other factors make it answer otherwise from a question on."""

    def __init__(self, *, other_from=99, ends_at=99):
        self.other_from, self.ends_at, self.asked = other_from, ends_at, []

    def exchange(self, request, *, trial):
        message = _frame(b"".join(request)).unpack(trusting=True)
        self.asked.append(message.value["x"].item())
        if len(self.asked) > self.ends_at:
            if trial:
                return None
            raise WorkerEnded(Status.CRASHED, "gone")
        value = message.value["x"] * 2 + (len(self.asked) > self.other_from)
        return _frame(b"".join(wire.pack({"value": value})))

    def understood(self, frame, *, trial):
        return frame.unpack() if frame is not None else Message({"value": torch.tensor(0.0)}, (), ())


def _frame(data):
    header, payload = wire.lengths(data[: wire.PREFIX.size], 1 << 22)
    assert len(data) == wire.PREFIX.size + header + payload
    memory = bytearray(data[wire.PREFIX.size :])
    return Frame(memory[:header], memory[header:], 0, payload)


class Check:
    """Asks three times, each time for twice what it heard before, and wants 8 in the end."""

    def __init__(self, precedents, erratic=False, op="call", size=1):
        self.precedents, self.runs, self.erratic, self.op, self.size = precedents, 0, erratic, op, size

    def judge(self, line):
        hearing = self.precedents.hearing("check", "case", line)
        known = hearing.follow()
        if known is not None:
            return known.finding
        self.runs += 1
        x = torch.full((self.size,), 1.0)
        try:
            for step in range(3):
                added = self.runs if self.erratic and step else 0
                x = hearing.ask({"op": self.op, "x": x[:1] + added, "more": x}).value["value"].expand(self.size)
            finding = Finding(Status.PASSED if x[0] == 8 else Status.FAILED, f"{x[0]}")
        except WorkerEnded as error:
            finding = Finding(error.status, str(error), error)
        except Erratic:
            assert hearing.erratic
            raise
        hearing.close(finding, ["doubt"])
        assert line.asked
        return finding


def test_the_same_answers_are_judged_once():
    check = Check(Precedents())
    lines = [Doubler() for _ in range(3)]
    assert [check.judge(line).status for line in lines] == [Status.PASSED] * 3
    assert check.runs == 1 and all(line.asked == [1, 2, 4] for line in lines)


@pytest.mark.parametrize("other_from", [0, 1, 2])
def test_another_answer_is_judged_by_the_check_itself_from_there_on(other_from):
    check = Check(Precedents())
    check.judge(Doubler())
    line = Doubler(other_from=other_from)
    assert check.judge(line).status is Status.FAILED
    assert check.runs == 2 and len(line.asked) == 3  # the worker is asked nothing twice
    again = Doubler(other_from=other_from)
    assert check.judge(again).status is Status.FAILED
    assert check.runs == 2 and again.asked == line.asked
    assert check.judge(Doubler()).status is Status.PASSED and check.runs == 2


@pytest.mark.parametrize("ends_at", [0, 1, 2])
def test_the_end_of_a_worker_is_found_by_the_check_each_time(ends_at):
    check = Check(Precedents())
    for runs in (1, 2):
        line = Doubler(ends_at=ends_at)
        assert check.judge(line).status is Status.CRASHED
        assert check.runs == runs and len(line.asked) == ends_at + 1
    assert check.judge(Doubler()).status is Status.PASSED and check.runs == 3
    assert check.judge(Doubler(ends_at=ends_at)).status is Status.CRASHED and check.runs == 4
    assert check.judge(Doubler()).status is Status.PASSED and check.runs == 4


def test_a_trial_that_ends_its_worker_is_an_answer():
    check = Check(Precedents(), op="elsewhere")
    for _ in range(2):
        assert check.judge(Doubler(ends_at=0)).status is Status.FAILED
    assert check.runs == 1


def test_a_check_that_asks_now_this_now_that_is_noticed():
    check = Check(precedents := Precedents(), erratic=True)
    check.judge(Doubler())
    with pytest.raises(Erratic):
        check.judge(Doubler(other_from=1))
    precedents.distrust("check")
    assert precedents.hearing("check", "case", Doubler()) is None
    assert precedents.hearing("other", "case", Doubler()) is not None


def test_what_is_large_is_not_kept():
    check = Check(precedents := Precedents(), size=1 << 19)
    for runs in (1, 2):
        assert check.judge(Doubler()).status is Status.PASSED and check.runs == runs
    assert precedents.size < 1000


def test_memory_is_bounded():
    precedents = Precedents(most=20_000)
    for number in range(100):
        check = Check(precedents)
        check.judge(Doubler(other_from=number % 3))
        precedents.hearing("check", number, Doubler()).ask({"op": "call", "x": torch.tensor(number)})
        assert precedents.size < 25_000


def test_the_solution_is_rehearsed_once_per_case():
    precedents, done = Precedents(), []
    for case in ("one", "two", "one"):
        precedents.rehearsed(case, lambda: done.append(1) or Finding(Status.PASSED))
    assert len(done) == 2


@pytest.mark.parametrize(
    ("text", "clocked"),
    [
        ("import torch\nfrom torch import nn", False),
        ("import time", True),
        ("def test_a():\n    from time import perf_counter", True),
        ("import os, datetime as d", True),
        ("from timeit import timeit", True),
        ("from . import time_series", False),
        ("import timeless", False),
    ],
)
def test_tests_that_look_at_a_clock(text, clocked):
    assert looks_at_clocks(ast.parse(text)) is clocked


def test_where_tests_look_at_a_clock_each_work_is_judged_by_itself(tmp_path):
    job = _job(tmp_path)
    path = job.assignment.folder / "test_hidden.py"
    path.write_text(path.read_text("utf-8").replace("import pytest\n", "import time\n\nimport pytest\n", 1), "utf-8")
    wrong = {"one": WORKS["shifted"], "two": solution((SCALE, "return factor + x"))}
    with LocalPool(job) as pool:
        one, two = classroom.grade(pool, tmp_path / "works", wrong).values()
    assert one.batch == two.batch == ""
    assert [check.detail for check in one.checks] != [check.detail for check in two.checks]


def test_a_check_that_draws_by_itself_still_judges_right(tmp_path):
    job = _job(tmp_path, workers=1)
    path = job.assignment.folder / "test_hidden.py"
    text = path.read_text("utf-8").replace(
        "x = torch.randn(shape, device=device)", "x = torch.rand(shape) + os.getrandom(1)[0]"
    )
    path.write_text(f"import os\n\n{text}", "utf-8")
    works = {"one": solution(), "two": WORKS["shifted"], "three": WORKS["another"], "four": WORKS["one step off"]}
    with LocalPool(job) as pool:
        grades = classroom.grade(pool, tmp_path / "works", works)
    assert [grade.score for grade in grades.values()] == [10, 8, 10, 10]
