"""gpu: a device that many share. What needs one is marked so; the rest is true on any machine."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import classroom
import psutil
import pytest
import torch
from classroom import SCALE, solution

from autograder import engines, gpu
from autograder.errors import OperatorError
from autograder.grader import Grader
from autograder.judge import Finding
from autograder.records import Cell, Limits, Outcome, Status
from autograder.sandbox import isolation
from autograder.sandbox.spawn import Budget, DeviceStuck, NoDevice, Order, WorkerEnded, Zygote
from autograder.sandbox.stage import Raised
from autograder.sandbox.student import StudentRaised
from autograder.sandbox.wire import Message
from tests.sandbox.conftest import desks, worker_pid

GIGABYTE = 2**30
OUT_OF_MEMORY = 'raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 GiB.")'
PATIENT = 20.0
PAST_TORCH = """
import ctypes, glob, os, torch
torch.zeros(1, device="cuda")
folders = [os.path.dirname(torch.__file__) + "/lib", *glob.glob(os.path.dirname(torch.__file__) + "/../nvidia/*/lib")]
cuda = ctypes.CDLL([path for folder in folders for path in glob.glob(folder + "/libcudart*.so*")][0])
place = ctypes.c_void_p()
"""


def on_a_gpu(test):
    """Marks a test that needs one."""
    return pytest.mark.gpu(
        pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")(test)
    )


def test_finds_the_device():
    assert gpu.find_device("cpu") == "cpu"
    if torch.cuda.is_available():
        assert gpu.find_device("auto") == gpu.find_device("cuda") == "cuda"
    else:
        assert gpu.find_device("auto") == "cpu"
        with pytest.raises(OperatorError, match="--device cpu"):
            gpu.find_device("cuda")


@pytest.mark.parametrize(("free", "fit"), [(80, 15), (16, 3), (5.3, 1)])
def test_as_many_judges_as_the_device_has_room_for(free, fit, monkeypatch):
    card = gpu.Card("a card", int(free * GIGABYTE), 80 * GIGABYTE)
    assert gpu.most_at_once(card, 2 * GIGABYTE) == fit
    monkeypatch.setattr(gpu, "look", lambda: card)
    assert engines.most_workers(64, "cuda", Limits()) == fit
    assert engines.most_workers(1, "cuda", Limits()) == 1
    assert engines.most_workers(64, "cpu", Limits()) == 64


def test_a_device_without_room_for_one_is_refused_with_what_to_do():
    with pytest.raises(OperatorError, match=r"a card\) has 5\.0 GB of its 8\.0 GB free.* 5\.2 GB.*device_memory"):
        gpu.most_at_once(gpu.Card("a card", 5 * GIGABYTE, 8 * GIGABYTE), 2 * GIGABYTE)


def raised(type_, message):
    error = StudentRaised("")
    error.raised = Raised(type_, (type_,), message, "")
    return Finding(Status.RAISED, "", error)


def test_tells_scarce_memory_from_other_errors():
    assert gpu.ran_out(raised("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert gpu.ran_out(raised("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert gpu.ran_out(Finding(Status.FAILED, "", torch.OutOfMemoryError("CUDA out of memory")))
    assert not gpu.ran_out(raised("RuntimeError", "mat1 and mat2 shapes cannot be multiplied"))
    assert not gpu.ran_out(Finding(Status.FAILED, "", AssertionError("out of memory")))
    assert not gpu.ran_out(Finding(Status.PASSED))


class TestTurns:
    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    @staticmethod
    def take(turn, entered, leave):
        def stay():
            with turn:
                entered.set()
                assert leave.wait(PATIENT)

        thread = threading.Thread(target=stay, daemon=True)
        thread.start()
        return thread

    def test_many_share_and_who_is_alone_waits_for_all_and_lets_nobody_in_before(self):
        entered, leave = ([threading.Event() for _ in range(4)] for _ in range(2))
        threads = [self.take(gpu.Turns("x").shared(), entered[n], leave[n]) for n in (0, 1)]
        assert entered[0].wait(PATIENT) and entered[1].wait(PATIENT)
        threads.append(self.take(gpu.Turns("x").alone(), entered[2], leave[2]))
        time.sleep(0.2)
        threads.append(self.take(gpu.Turns("x").shared(), entered[3], leave[3]))
        leave[0].set()
        assert not entered[2].wait(0.2) and not entered[3].is_set()
        leave[1].set()
        assert entered[2].wait(PATIENT) and not entered[3].wait(0.2)
        leave[2].set()
        assert entered[3].wait(PATIENT)
        leave[3].set()
        for thread in threads:
            thread.join(PATIENT)

    def test_another_device_is_another_matter(self):
        with gpu.Turns("x").alone(), gpu.Turns("y").alone():
            pass

    def test_a_turn_ends_with_its_process(self):
        process = os.fork()
        if process == 0:
            with gpu.Turns("x").alone():
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(process, 0)
        with gpu.Turns("x").alone():
            pass

    def test_a_place_that_is_no_folder_is_refused(self, tmp_path):
        (tmp_path / f"autograder-turns-{os.geteuid()}").symlink_to(tmp_path)
        with pytest.raises(OperatorError, match="Remove it"):
            gpu.Turns("x")


class Share:
    """A judge's part in a device that is none; keeps a record of the turns, and says in between what the turn is."""

    def __init__(self, record):
        self.record = record

    @contextlib.contextmanager
    def turn(self, *, alone):
        with self.record.open("a") as file:
            file.write("alone\n" if alone else "shared\n")
        os.environ["TURN"] = "alone" if alone else "shared"
        yield


@pytest.fixture
def graded_on_a_share(tmp_path, monkeypatch):
    """Grades one work by a judge with such a part, at a toy course with edited hidden tests: the grade, the turns."""

    def graded(work, *edits):
        root = classroom.quick(tmp_path)
        for old, new in edits:
            classroom.toycourse.edit(root, "test_hidden.py", old, new)
        share = Share(tmp_path / "turns")
        monkeypatch.setattr(engines, "Grader", lambda *given: Grader(*given[:-1], share))
        grade = classroom.grade_once(root, tmp_path / "works", {"work": work}, workers=1)["work"]
        return grade, share.record.read_text().split()

    return graded


CALL = "student.scale(torch.randn(4, device=device), 3.0)"


def test_who_needs_no_more_than_its_share_has_one_turn(graded_on_a_share):
    grade, turns = graded_on_a_share(solution())
    assert (grade.score, turns) == (10, ["shared"])


def test_memory_that_others_took_costs_no_point(graded_on_a_share):
    scarce = f'import os\n    if os.environ["TURN"] == "shared": {OUT_OF_MEMORY}\n    '
    grade, turns = graded_on_a_share(solution(), (CALL, scarce + CALL))
    assert (grade.status, grade.score, turns) == (Outcome.GRADED, 10, ["shared", "alone"])


def test_who_runs_out_of_memory_alone_too_loses_the_check(graded_on_a_share):
    grade, turns = graded_on_a_share(solution((SCALE, OUT_OF_MEMORY)))
    assert grade.status is Outcome.GRADED and turns == ["shared", "alone"]
    assert set(classroom.lost(grade).values()) == {"out_of_memory"} and 0 < grade.score < 10


def test_a_worker_without_the_device_has_another_turn_and_is_then_our_fault(tmp_path, monkeypatch):
    tried = tmp_path / "tried"

    def start(worker, name):
        with tried.open("a") as file:
            file.write(os.environ["TURN"] + "\n")
        raise NoDevice("no room")

    share = Share(tmp_path / "turns")
    root = classroom.quick(tmp_path)
    monkeypatch.setattr("autograder.sandbox.spawn.Worker.start_device", start)
    monkeypatch.setattr(engines, "Grader", lambda setting, *given: Grader(_elsewhere(setting), *given[:-1], share))
    grade = classroom.grade_once(root, tmp_path / "works", {"work": solution()}, workers=1)["work"]
    assert (grade.status, grade.score) == (Outcome.INTERNAL, None) and "no room" in grade.detail
    assert tried.read_text().split() == ["shared", "alone"] * engines.TRIES


def _elsewhere(setting):
    return replace(setting, device=torch.device("cuda"))


@pytest.fixture
def zygote(monkeypatch):
    """One as it is on a machine with a GPU: its workers may open the device, and their memory is not the kernel's."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    zygote = Zygote(isolation.choose("best"), gpu=True)
    zygote.await_ready()
    yield zygote
    zygote.close()


def test_a_worker_that_finds_no_device_says_so_before_any_cell(zygote):
    worker = zygote.fork(Order(Limits()))
    with pytest.raises(NoDevice, match=r"can't use cuda:99 \(\w+"):
        worker.start_device("cuda:99")
    assert not worker.alive


def test_a_worker_is_on_the_device_that_its_grader_was_given(zygote):
    for desk in desks(zygote):
        assert desk("import os\ndef f(): return os.environ['CUDA_VISIBLE_DEVICES']").student().f() == "3"


def test_memory_of_the_machine_is_bounded_where_the_kernel_can_not(zygote):
    worker = zygote.fork(Order(Limits(memory=GIGABYTE // 4)))
    hog = Cell(1, "kept = []\nwhile True: kept.append(bytearray(b'x') * (1 << 26))")
    with pytest.raises(WorkerEnded, match="used more than 256 MB of memory"):
        list(worker.run_cells([hog], Budget(60, 120)))


def test_a_worker_that_a_device_does_not_let_go_stops_the_run(zygote, monkeypatch):
    worker = zygote.fork(Order(Limits()))
    monkeypatch.setattr(worker, "ask", lambda *_: Message({"problem": ""}, (), ()))
    worker.start_device("cuda")
    monkeypatch.setattr("autograder.sandbox.spawn.END_SECONDS", 0.3)
    parents = [each for each in classroom.descendants(zygote.process.pid) if each.pid != worker_pid(worker)]
    parents.append(psutil.Process(zygote.process.pid))
    for process in parents:
        process.suspend()  # nobody sees the worker's end, as if it had none
    try:
        with pytest.raises(DeviceStuck, match=r"on cuda has not ended .*nvidia-smi"):
            worker.end()
    finally:
        for process in parents:
            process.resume()


def test_a_stuck_device_ends_the_run_with_a_word_to_the_operator(quick_course, tmp_path, monkeypatch):
    def grade(grader, entry):
        raise DeviceStuck("the device's driver holds it")

    monkeypatch.setattr(Grader, "grade", grade)
    with pytest.raises(OperatorError, match="driver holds it"):
        classroom.grade_once(quick_course, tmp_path, {"work": solution()})


def test_a_judge_whose_device_does_not_answer_is_replaced(quick_course, tmp_path, monkeypatch, capfd):
    spoiled, really = tmp_path / "spoiled", Grader.grade

    def grade(grader, entry):
        if not spoiled.exists():
            spoiled.touch()
            raise gpu.Spoiled("CUDA error: device-side assert triggered")
        return really(grader, entry)

    monkeypatch.setattr(Grader, "grade", grade)
    works = {name: solution() for name in "abc"}
    grades = classroom.grade_once(quick_course, tmp_path / "works", works, workers=1)
    assert spoiled.exists() and [grades[name].score for name in "abc"] == [10] * 3
    assert "Traceback" not in capfd.readouterr().err


@on_a_gpu
def test_the_same_class_on_a_gpu(quick_course, pool, tmp_path):
    works = {
        "full": solution(),
        "adds": solution((SCALE, "return x + factor")),
        "no bias": solution(("return product + self.bias", "return product")),
        "unforeseen": solution((SCALE, "return x.flip(-1) * factor if x.dim() else x")),
    }
    found = classroom.grade_once(quick_course, tmp_path, works, device="cuda")
    for name, grade in classroom.grade(pool, tmp_path, works).items():
        assert found[name].device == "cuda" and found[name].score == grade.score
        assert classroom.statuses(found[name]) == classroom.statuses(grade)


@on_a_gpu
def test_what_one_does_on_a_gpu_costs_nobody_else_anything(quick_course, tmp_path):
    """Endless kernels, all memory by way of torch or past it, and errors that no context survives."""
    hog = "kept = []\nwhile True: kept.append(torch.ones(1 << 26, device='cuda'))"
    past = f"{PAST_TORCH}\nwhile not cuda.cudaMalloc(ctypes.byref(place), ctypes.c_size_t(1 << 28)): pass"
    works = {
        "hangs": solution((SCALE, "torch.cuda._sleep(1 << 62)\n    return (x * factor).clone()")),
        "hogs": solution(before=f"import torch\n{hog}"),
        "hogs past torch": solution(before=past),
        "asserts": solution((SCALE, "return x.cuda()[torch.tensor(1 << 40, device='cuda')]")),
        "answers out of range": solution((SCALE, "return torch.full_like(x, 1e38) * 1e38")),
    }
    works |= {f"right {number}": solution() for number in range(6)}
    found = classroom.grade_once(quick_course, tmp_path, works, device="cuda", workers=4)
    assert {name: found[name].score for name in works if "right" in name} == {f"right {n}": 10 for n in range(6)}
    assert all(found[name].status is Outcome.GRADED for name in works)
    assert found["hangs"].score < 10 and found["asserts"].score < 10
    assert found["hogs"].score == 10, "its cell fails, and what it defines is right"


@on_a_gpu
@pytest.mark.slow
@pytest.mark.parametrize("name", ["a1_attention", "a3_positional_encoding", "a4_multi_head_attention"])
def test_an_assignment_is_judged_on_a_gpu_as_on_the_cpu(name):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "autograder.cli", "verify", name, "--device", "cuda"]
    verified = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout[-3000:] + verified.stderr[-3000:]
