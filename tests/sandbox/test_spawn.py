"""The lives of workers and of the zygote that forks them, and how each may end."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from autograder.records import Cell, Isolation, Limits, Status
from autograder.sandbox import isolation
from autograder.sandbox.spawn import Budget, Order, Refused, WorkerEnded, Zygote, ZygoteDied
from autograder.sandbox.student import StudentRaised
from tests.sandbox.conftest import Desk, desks, gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are held by pidfds, which are Linux's")
SMALL = Limits(memory=512 * 2**20, output=2**20, reply=2**20)
ENOUGH = Budget(20, 60)


def ended(place, name="f", budget=ENOUGH):
    """How the worker ends when it is asked to call a function."""
    with pytest.raises(WorkerEnded) as caught:
        place.call(name, budget)
    assert not place.worker.alive and gone(place.pid)
    return caught.value


class TestCells:
    def test_errors_are_kept_and_the_rest_runs(self, desk):
        place = desk("x = 1", "def broken(:", "y = x + 1\n1 / 0\nz = 1", "import sys; sys.exit(3)", "def f(): return y")
        assert place.started == [1, 2, 3, 4, 5]
        assert [(error["cell"], error["type"], error["line"]) for error in place.errors] == [
            (2, "SyntaxError", 1), (3, "ZeroDivisionError", 2),
        ]  # fmt: skip
        assert place.student().f() == 2

    def test_no_cell_at_all(self, desk):
        place = desk()
        assert (place.started, place.errors) == ([], [])

    def test_a_cell_that_does_not_end_is_known_by_its_number(self, zygote):
        worker = zygote.fork(Order(Limits()))
        events = worker.run_cells([Cell(3, "x = 1"), Cell(5, "while True: pass")], Budget(0.3, 60))
        assert (next(events), next(events)) == (3, 5)
        with pytest.raises(WorkerEnded) as caught:
            next(events)
        assert caught.value.status is Status.TIMED_OUT and "0.3 seconds of CPU" in str(caught.value)

    def test_what_was_printed_is_kept_for_the_instructor(self, desk):
        place = desk("import os; print('hello'); os.write(2, b'there')", "def f(): print('again')")
        place.call("f")
        place.worker.end()
        assert all(word in bytes(place.worker.printed) for word in (b"hello", b"there", b"again"))

    def test_more_output_than_a_pipe_holds_stops_nobody(self, desk):
        place = desk("print('x' * 3_000_000)", "def f(): print('y' * 3_000_000); return 1")
        assert place.student().f() == 1
        assert len(place.worker.printed) <= 64 * 1024

    @pytest.mark.parametrize("spoil", ["sys.stdout.close()", "sys.stdout = None", "os.close(1)"])
    def test_a_spoiled_output_is_no_reason_to_end(self, desk, spoil):
        place = desk(f"import os, sys\n{spoil}\ndef f(): return 1")
        assert place.student().f() == 1


def test_where_the_machine_lacks_memory_a_worker_goes_before_any_judge(desk):
    place = desk("x = 1")
    assert Path(f"/proc/{place.pid}/oom_score_adj").read_text().strip() == "1000"
    assert Path("/proc/self/oom_score_adj").read_text().strip() != "1000"


class TestEnds:
    def test_by_cpu_time(self, desk):
        for loop in ("while True: pass", "torch.ones(4000, 4000) @ torch.ones(4000, 4000); f()", "sum(range(10**12))"):
            end = ended(desk(f"import torch\ndef f():\n    {loop}"), budget=Budget(0.4, 60))
            assert end.status is Status.TIMED_OUT and "0.4 seconds of CPU time" in str(end)

    def test_with_every_signal_blocked(self, desk):
        place = desk("""
            import signal
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            def f():
                while True: pass
        """)
        assert ended(place, budget=Budget(0.3, 60)).status is Status.TIMED_OUT

    def test_by_wall_time(self, desk):
        end = ended(desk("import time\ndef f(): time.sleep(1000)"), budget=Budget(20, 0.5))
        assert end.status is Status.TIMED_OUT and "did not answer within 0.5 seconds" in str(end)

    def test_a_slow_drip_has_one_deadline(self, desk):
        place = desk("""
            import os, struct, time
            def f():
                for byte in b"agw1" + struct.pack("<IQ", 100, 100) + b" " * 1000:
                    os.write(3, bytes([byte])); time.sleep(0.05)
        """)
        assert ended(place, budget=Budget(20, 1.0)).status is Status.TIMED_OUT

    def test_by_the_cpu_time_of_all_its_calls(self, zygote):
        place = Desk(zygote, ["def f():\n    while True: pass"], Order(Limits(submission_cpu=0.5)))
        end = ended(place, budget=Budget(30, 120))
        assert end.status is Status.TIMED_OUT and "than a submission may" in str(end)
        assert 0.5 <= place.worker.end().cpu < 10

    @pytest.mark.parametrize(
        "hog",
        ["torch.ones(1 << 40)", "[torch.ones(1 << 22) for _ in range(999)]", "bytearray(1 << 32)", "range(10**9)"],
    )
    def test_by_memory(self, desk, hog):
        place = desk(f"import torch\ndef f(): return len(list({hog}))", limits=SMALL)
        with pytest.raises((WorkerEnded, StudentRaised)) as caught:
            place.student().f()
        assert caught.value.status is Status.OUT_OF_MEMORY
        assert place.worker.end().peak < 2**30

    def test_an_answer_too_large_to_send(self, desk):
        end = ended(desk("import torch\ndef f(): return torch.ones(1 << 20)", limits=SMALL))
        assert end.status is Status.CRASHED and "4194304 bytes" in str(end)

    @pytest.mark.parametrize(
        ("crash", "words"),
        [
            ("import os; os._exit(0)", "exit status 0"), ("import os; os._exit(3)", "exit status 3"),
            ("import ctypes; ctypes.string_at(8)", "SIGSEGV"), ("import os; os.abort()", "SIGABRT"),
        ],
    )  # fmt: skip
    def test_by_its_own_hand(self, desk, crash, words):
        end = ended(desk(f"def f(): {crash}"))
        assert end.status is Status.CRASHED and words in str(end)

    def test_in_a_cell(self, zygote):
        worker = zygote.fork(Order(Limits()))
        with pytest.raises(WorkerEnded, match="exit status 4"):
            list(worker.run_cells([Cell(1, "import os; os._exit(4)")], ENOUGH))

    def test_leaving_a_call_is_an_exception_and_no_end(self, desk):
        place = desk("import sys\ndef f(): sys.exit(0)\ndef g(): return 1").student()
        with pytest.raises(StudentRaised, match="SystemExit"):
            place.f()
        assert place.g() == 1

    def test_by_flooding_the_output(self, desk):
        for loop in ("print('x' * 9999)", "os.write(2, b'x' * 9999)"):
            end = ended(desk(f"import os\ndef f():\n    while True: {loop}", limits=SMALL))
            assert end.status is Status.REFUSED and "1 MB" in str(end)

    @pytest.mark.parametrize(
        "send",
        [
            "os.write(3, b'garbage' * 10)", "os.write(3, b'agw1' + b'\\xff' * 60)",
            "os.write(3, b'agw1' + struct.pack('<IQ', 100, 1 << 60))",
            "os.write(3, b'agw1' + struct.pack('<IQ', 3, 0) + b'[1]')",
            "os.write(3, b'agw1' + struct.pack('<IQ', 7, 0) + b'[1,[],[]]'[:7])",
            "os.write(3, b'agw1' + struct.pack('<IQ', 9, 0) + b'[1,[],[]]')",
        ],
    )  # fmt: skip
    def test_by_garbage_on_its_link(self, desk, send):
        place = desk(f"import os, struct, time\ndef f(): {send}; time.sleep(100)")
        assert ended(place).status is Status.CRASHED

    def test_by_closing_its_link(self, desk):
        end = ended(desk("import os, time\ndef f(): os.close(3); time.sleep(100)"))
        assert end.status is Status.CRASHED and "closed its connection" in str(end)
        assert ended(desk("import os\ndef f(): os.close(3)")).status is Status.CRASHED

    def test_an_answer_before_the_question_is_only_an_answer(self, desk):
        place = desk("""
            import os, struct
            def f():
                frame = b'[["d",["value","forged"],["changed",["l"]]],[],[]]'
                os.write(3, b"agw1" + struct.pack("<IQ", len(frame), 0) + frame)
                return "honest"
        """)
        assert place.student().f() == "forged"

    def test_twice_is_once(self, desk):
        place = desk("x = 1")
        assert place.worker.end() == place.worker.end()
        assert place.worker.end().cpu > 0 and place.worker.end().peak > 2**20
        with pytest.raises((WorkerEnded, OSError, ValueError)):
            place.call("x")

    def test_leaves_no_process_and_no_file(self, zygote, desk):
        place = desk("""
            import os, threading, time
            open("left.txt", "w").write("x")
            os.makedirs("a/b/c")
            try:
                child = os.fork()
                if child == 0: time.sleep(1000)
            except OSError:
                child = None
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
            threading.Thread(target=time.sleep, args=(1000,)).start()
            def f(): return os.getcwd(), threading.active_count(), child
        """)
        folder, threads, child = place.student().f()
        assert threads == 3
        assert child is None or zygote.profile.level is Isolation.NONE
        place.worker.end()
        assert gone(place.pid) and (child is None or gone(child))
        assert not Path(folder).exists() and not list(zygote.scratch.glob("w*"))
        assert not desk(f"import os\ndef f(): return os.path.exists({folder!r})").student().f()

    def test_a_thread_that_goes_on_is_counted_and_ended(self, desk):
        place = desk("""
            import threading
            def burn():
                while True: pass
            def f(): threading.Thread(target=burn, daemon=True).start(); return 1
        """)
        assert place.call("f")["value"] == 1
        before, end = place.worker.cpu(), time.monotonic() + 30
        while place.worker.cpu() < before + 0.1 and time.monotonic() < end:
            time.sleep(0.02)
        assert place.worker.cpu() >= before + 0.1
        place.worker.end()
        assert gone(place.pid)


class TestTwoSubmissions:
    SOURCE = """
        import os, random, numpy, torch
        drawn = [random.random(), numpy.random.rand(), torch.rand(1).item()]
        here = os.listdir(".")
        open("note", "w").write("secret")
        def f(): return drawn
        def g(): return here
    """

    def test_share_no_file(self, desk):
        one, other = desk(self.SOURCE), desk(self.SOURCE, slot=1)
        assert one.student().g() == other.student().g() == []
        one.worker.end()
        assert desk(self.SOURCE).student().g() == []

    def test_share_random_numbers_only_with_the_seed(self, desk):
        one, same, other = (desk(self.SOURCE, seed=seed).student().f() for seed in (1, 1, 2))
        assert one == same
        assert not set(one) & set(other)

    def test_share_no_names_and_no_modules(self, desk):
        one = desk("import sys, torch, types\ntorch.ones = 3\nsys.modules['math'] = None\nx = 1")
        other = desk("import math, torch\ndef f(): return 'x' in globals(), torch.ones(1), math.pi").student()
        one.worker.end()
        assert other.f()[0] is False

    def test_live_side_by_side(self, desk):
        places = [desk(f"def f(): return {n}", slot=n) for n in range(4)]
        students = [place.student() for place in places]
        places[1].worker.end()
        assert [students[n].f() for n in (0, 2, 3)] == [0, 2, 3]

    def test_know_nothing_of_who_asks(self, desk):
        place = desk("""
            import os, sys
            def f():
                names = sorted(name for name in sys.modules if name.startswith("autograder"))
                return dict(os.environ), names, sorted(map(int, os.listdir("/proc/self/fd")))
        """)
        environment, modules, descriptors = place.student().f()
        assert not {"VIRTUAL_ENV", "PYTHONPATH", "SSH_AUTH_SOCK"} & set(environment)
        assert not {"autograder.judge", "autograder.course", "autograder.sandbox.student"} & set(modules)
        assert set(descriptors) - {0, 1, 2, 3} <= {max(descriptors)}


@pytest.fixture(scope="module")
def strict():
    """A zygote that refuses what TestRefusals lists, and names that do not exist."""
    calls = (*TestRefusals.CALLS, *TestRefusals.NOWHERE)
    zygote = Zygote(isolation.choose("best"), Refused(calls, (*TestRefusals.OPERATORS, "no::such", "x")))
    zygote.await_ready()
    yield zygote
    zygote.close()


class TestRefusals:
    CALLS = ("torch.nn.functional.softmax", "torch.softmax", "torch.Tensor.softmax", "torch.nn.MultiheadAttention")
    OPERATORS = ("aten::softmax.int", "aten::_softmax", "aten::scaled_dot_product_attention", "aten::no_such_thing")
    NOWHERE = ("torch.nothing", "no_such_package.f", "torch.nn.Linear.nothing", "nothing", "torch.", "")

    @pytest.fixture
    def desk(self, strict):
        yield from desks(strict)

    @pytest.mark.parametrize(
        "use",
        [
            "F.softmax(x, -1)", "getattr(F, 'soft' + 'max')(x, -1)", "torch.softmax(x, -1)", "x.softmax(-1)",
            "torch.nn.Softmax(-1)(x)", "torch.ops.aten.softmax(x, -1)", "torch.special.softmax(x, -1)",
            "torch.ops.aten._softmax.default(x, -1, False)", "eval('torch.soft' + 'max')(x, -1)",
            "F.scaled_dot_product_attention(x, x, x)", "torch._C._nn.scaled_dot_product_attention(x, x, x)",
            "nn.MultiheadAttention(4, 2)", "Sub(4, 2)", "alias(x, -1)",
            "torch.ops.aten.scaled_dot_product_attention(x, x, x)", "nn.TransformerEncoderLayer(4, 2)",
        ],
    )  # fmt: skip
    def test_what_is_forbidden_is_refused_under_any_name(self, desk, use):
        source = f"""
            import torch
            from torch import nn
            from torch.nn import functional as F
            from torch.nn.functional import softmax as alias
            class Sub(nn.MultiheadAttention): pass
            def f(x): return {use}
        """
        student = desk(source).student()
        for x in (torch.ones(1, 3, 4), torch.ones(1, 3, 4, requires_grad=True)):
            with pytest.raises(StudentRaised) as caught:
                student.f(x)
            assert caught.value.status is Status.REFUSED
            assert "not allowed in this assignment" in str(caught.value)

    def test_a_mention_is_no_use(self, desk):
        source = """
            import torch
            import torch.nn.functional as F
            text = "F.softmax(x, -1), torch.nn.MultiheadAttention"
            kept = F.softmax, torch.softmax, torch.nn.MultiheadAttention
            def f(x):
                # F.softmax
                e = (x - x.amax(-1, keepdim=True)).exp()
                return e / e.sum(-1, keepdim=True)
        """
        place = desk(source)
        x = torch.randn(2, 3, requires_grad=True)
        assert place.errors == []
        torch.testing.assert_close(place.student().f(x), x.softmax(-1))


GRADER = """
    import sys
    from autograder.records import Cell, Limits
    from autograder.sandbox import isolation
    from autograder.sandbox.spawn import Budget, Order, Zygote
    from tests.sandbox.conftest import worker_pid
    zygote = Zygote(isolation.choose("best"))
    zygote.await_ready()
    worker = zygote.fork(Order(Limits()))
    idle = zygote.fork(Order(Limits(), slot=1))
    print(zygote.process.pid, worker_pid(worker), worker_pid(idle), flush=True)
    for event in worker.run_cells([Cell(1, "while True: pass")], Budget(600, 600)):
        print(event, flush=True)
"""


class TestDeaths:
    def test_of_the_grader_leave_no_process(self):
        root = str(Path(__file__).parents[2])
        grader = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(GRADER)], stdout=subprocess.PIPE, cwd=root, text=True
        )
        try:
            pids = [int(word) for word in grader.stdout.readline().split()]
            assert grader.stdout.readline() == "1\n"
            assert not any(gone(pid, 0.05) for pid in pids)
        finally:
            grader.kill()
            grader.wait()
            grader.stdout.close()
        assert len(pids) == 3
        assert all(gone(pid) for pid in pids)

    def test_of_the_zygote_take_the_workers_along(self):
        zygote = Zygote(isolation.choose("best"))
        try:
            zygote.await_ready()
            busy = Desk(zygote, ["import time\ndef f(): time.sleep(1000)"], Order(Limits()))
            idle = Desk(zygote, ["def f(): return 1"], Order(Limits(), slot=1))
            os.kill(zygote.process.pid, signal.SIGKILL)
            with pytest.raises(ZygoteDied):
                busy.call("f")
            assert gone(busy.pid) and gone(idle.pid)
            with pytest.raises(ZygoteDied):
                idle.call("f")
            start = time.monotonic()
            with pytest.raises(ZygoteDied, match="is gone"):
                zygote.fork(Order(Limits()))
            assert time.monotonic() - start < 30
        finally:
            zygote.close()
        assert not zygote.scratch.exists()

    def test_of_a_zygote_that_is_closed(self):
        second = Zygote(isolation.Profile(Isolation.NONE))
        second.close()
        second.close()
        assert second.process.returncode is not None and not second.scratch.exists()
        with pytest.raises(ZygoteDied):
            second.fork(Order(Limits()))

    def test_of_a_zygote_that_never_started(self, monkeypatch):
        monkeypatch.setattr("autograder.sandbox.spawn.ENTRY", "raise SystemExit('out of order')")
        zygote = Zygote(isolation.Profile(Isolation.NONE))
        with pytest.raises(ZygoteDied, match=r"out of order.*doctor"):
            zygote.await_ready()
        assert not zygote.scratch.exists()


def test_descriptors_are_given_back(zygote):
    def count():
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for _ in range(5):
        place = Desk(zygote, ["def f(): return 1"], Order(Limits()))
        place.call("f")
        place.worker.end()
    assert count() == before
