"""engines: many at once, in any order, with judges and zygotes that die; and what is left when it ends."""

import os
import random
import signal
import tempfile
import time
from contextlib import suppress

import classroom
import psutil
import pytest
from classroom import SCALE, solution

from autograder import course, engines
from autograder.engines import LocalPool
from autograder.errors import BrokenAssignment, OperatorError
from autograder.records import Isolation, Outcome

WORKS = {
    "full": solution(),
    "adds": solution((SCALE, "return x + factor")),
    "no bias": solution(("return product + self.bias", "return product")),
    "random": solution((SCALE, "return x * factor + torch.rand(())")),
    "unforeseen": solution((SCALE, "return x.flip(-1) * factor if x.dim() else x")),
    "crash": solution((SCALE, "import os\n    os.abort()")),
    "huge": solution((SCALE, "return torch.ones(1 << 22)")),
    "cell crashes": solution(before="import os\nos.abort()"),
    "polluted": solution((SCALE, "torch.set_grad_enabled(False)\n    return x * factor")),
    "prints": solution(after="print('random:', torch.rand(2))"),
    "no notebook": b"GIF89a",
}
LOOP = solution((SCALE, "while factor == 2.0: pass\n    return x * factor"))
SLOW = {f"student {number}": solution(before="import time\ntime.sleep(0.3)") for number in range(6)}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where this test's temporary files go, so that what is left of them can be seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "torch"))  # torch's own, made when it first compiles.
    return folder


@pytest.fixture(scope="module")
def grades(pool, tmp_path_factory):
    """The class as two judges grade it."""
    folder = tmp_path_factory.mktemp("class")
    return {
        name: classroom.timeless(grade)
        for name, grade in classroom.grade(pool, folder, {**WORKS, "loop": LOOP}).items()
    }


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_number_of_workers_and_the_order_change_no_grade(quick_course, grades, tmp_path, workers):
    with LocalPool(classroom.job(quick_course, workers=workers)) as pool:
        for turn in range(2):
            entries = classroom.hand_in(tmp_path, WORKS if turn else {**WORKS, "loop": LOOP})
            random.Random(10 * workers + turn).shuffle(entries)
            found = {grade.submission: classroom.timeless(grade) for grade in pool.grade(entries)}
            assert len(found) == len(entries)
            for name, grade in found.items():
                assert grade == grades[name], name


def test_the_class_is_graded_as_it_should_be(grades):
    scores = {name: grade.score for name, grade in grades.items()}
    assert scores["full"] == scores["cell crashes"] == scores["prints"] == 10
    assert scores["adds"] == 8 and scores["no bias"] == 6 and scores["no notebook"] == 0


def test_a_judge_that_is_killed_costs_nobody_anything(quick_course, temporary, tmp_path):
    with LocalPool(classroom.job(quick_course)) as pool:
        entries = classroom.hand_in(tmp_path / "works", SLOW)
        found = []
        for number, grade in enumerate(pool.grade(entries)):
            found.append(grade)
            if number in (0, 2):
                os.kill(pool.hands[0].process, signal.SIGKILL)
    assert sorted(grade.submission for grade in found) == sorted(SLOW)
    assert {(grade.status, grade.score) for grade in found} == {(Outcome.GRADED, 10)}
    assert list(temporary.iterdir()) == []


def test_an_idle_judge_that_is_killed_is_replaced(quick_course, tmp_path):
    with LocalPool(classroom.job(quick_course, workers=3)) as pool:
        os.kill(pool.hands[-1].process, signal.SIGKILL)
        time.sleep(0.1)
        (grade,) = pool.grade(classroom.hand_in(tmp_path, {"full": solution()}))
        assert grade.score == 10
        assert classroom.grade(pool, tmp_path, {"full": solution()})["full"].score == 10


def test_what_ends_judges_again_and_again_is_our_fault(tmp_path):
    root = classroom.quick(tmp_path)
    deadly = "import os\n    if float(student.scale(torch.ones(()), 1.0)) == 7: os.kill(os.getpid(), 9)\n    "
    student = "student.scale(torch.randn(4, device=device), 3.0)"
    classroom.toycourse.edit(root, "test_hidden.py", student, deadly + student)
    works = {name: solution() for name in "abcd"}
    works["deadly"] = solution((SCALE, "return 7 * x"))
    grades = classroom.grade_once(root, tmp_path / "works", works, workers=1)
    assert (grades["deadly"].status, grades["deadly"].score) == (Outcome.INTERNAL, None)
    assert "no fault of yours" in grades["deadly"].notes[0] and "trusted process 3 times" in grades["deadly"].detail
    assert [grades[name].score for name in "abcd"] == [10] * 4


def test_a_zygote_that_is_killed_costs_nobody_anything(quick_course, temporary, tmp_path):
    before = set(classroom.descendants())
    with LocalPool(classroom.job(quick_course)) as pool:
        found = []
        for grade in pool.grade(classroom.hand_in(tmp_path / "works", SLOW)):
            if not found:
                for process in (
                    psutil.Process(pool.zygote.process.pid),
                    *classroom.descendants(pool.zygote.process.pid),
                ):
                    with suppress(psutil.NoSuchProcess):  # It may have ended since it was listed.
                        process.kill()
            found.append(grade)
        ours = set(classroom.descendants()) - before
    assert sorted(grade.submission for grade in found) == sorted(SLOW)
    assert {(grade.status, grade.score) for grade in found} == {(Outcome.GRADED, 10)}
    assert classroom.running(ours) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("level", [Isolation.NAMESPACES, Isolation.SELF])
def test_nothing_is_left_when_a_pool_closes_in_the_middle(quick_course, temporary, tmp_path, level):
    profile = classroom.isolation.choose("best")
    try:
        profile = classroom.isolation.choose("best", only=level)
    except OperatorError as error:
        pytest.skip(str(error))
    before = set(classroom.descendants())
    with LocalPool(classroom.job(quick_course, profile=profile)) as pool:
        works = {name: solution(before="while True: pass") for name in "abcd"}
        grades = pool.grade(classroom.hand_in(tmp_path / "works", {"full": solution(), **works}))
        assert next(grades).submission == "full"
        time.sleep(0.2)
        ours = set(classroom.descendants()) - before
        assert len(ours) >= 3
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert classroom.running(ours) == []
    assert list(temporary.iterdir()) == []


def test_no_worker_outlives_its_submission(pool, tmp_path):
    classroom.grade(pool, tmp_path, {"full": solution()})
    before = set(classroom.descendants())
    fork = "import os, time\nif os.fork() == 0:\n    time.sleep(1000)\n"
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
    detached = "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
    works = {"fork": solution(before=fork), "thread": solution(before=thread), "detached": solution(before=detached)}
    grades = classroom.grade(pool, tmp_path, works)
    assert [grade.score for grade in grades.values()] == [10] * 3
    assert classroom.running(set(classroom.descendants()) - before) == []


def test_tests_that_cant_be_collected_are_the_instructors_to_mend(tmp_path):
    root = classroom.quick(tmp_path)
    classroom.toycourse.edit(root, "test_hidden.py", "import pytest\n", "import pytest\nimport no_such_module\n")
    pool = LocalPool(classroom.job(root, workers=1))
    with pytest.raises(BrokenAssignment, match="No module named 'no_such_module'"), pool:
        list(pool.grade(classroom.hand_in(tmp_path / "works", {"full": solution()})))


def test_a_solution_that_does_not_run_is_the_instructors_to_mend(tmp_path):
    root = classroom.quick(tmp_path)
    classroom.toycourse.edit(root, "solution.py", "from torch import nn\n", "from torch import nn\n\n1 / 0\n")
    before = set(classroom.descendants())
    pool = LocalPool(classroom.job(root, workers=1))
    with pytest.raises(BrokenAssignment, match="division by zero"), pool:
        pass
    assert classroom.running(set(classroom.descendants()) - before) == []


def test_an_entry_from_outside_of_the_course_is_graded_as_any_other(pool, tmp_path):
    assert engines.AHEAD >= 1 and course.names(pool.job.assignment.folder.parents[1]) == ["toy"]
    grades = classroom.grade(pool, tmp_path / "ü" / "=1+1", {"שלום": solution(), "=1+1": solution()})
    assert {grade.score for grade in grades.values()} == {10}
