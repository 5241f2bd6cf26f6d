"""batch: a class into files; killed at any moment and run again, it ends as if nothing had happened."""

import csv
import json
import os
import random
import shutil
import signal
import tempfile
import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import classroom
import pytest
import toycourse
from classroom import SCALE, solution

from autograder import batch
from autograder.errors import AutograderError, InstructorError, OperatorError
from autograder.gradebook import Gradebook

WORKS = {
    "ada/toy": solution(before="import time\ntime.sleep(0.1)"),
    "alan/toy": solution((SCALE, "return x + factor")),
    "emmy/toy": solution(("return product + self.bias", "return product"), before="import time\ntime.sleep(0.15)"),
    "grace/toy": solution((SCALE, "import os\n    os.abort()")),
    "noor/toy": solution(after="del scale", before="import time\ntime.sleep(0.15)"),
    "wei/toy": solution((SCALE, "return x.flip(-1) * factor if x.dim() else x")),
    "yuki/toy": "def scratch(:\n",
}
KILLS = (20, pytest.param(200, marks=pytest.mark.slow))
AT_ONCE = 2
IN_A_ROW = 5


def hand_in(folder, works=WORKS):
    for name, work in works.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(work, "utf-8")
    return folder


class Log:
    """Watches a batch."""

    def __init__(self):
        self.starts, self.grades = [], []
        self.watcher = batch.Watcher(self.starts.append, self.grades.append)


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    return hand_in(tmp_path_factory.mktemp("batch") / "class")


@pytest.fixture
def request_(quick_course, handed_in, tmp_path):
    return batch.Request(quick_course, "toy", (handed_in,), tmp_path / "out", workers=2, isolation="best")


def run(request):
    log = Log()
    return batch.grade(request, log.watcher), log


def files(out):
    """What a run has written, without what a clock has measured."""
    found = {}
    for path in sorted(out.glob("results/*.json")):
        found[path.name] = {
            key: value for key, value in json.loads(path.read_text("utf-8")).items() if key != "seconds"
        }
    with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    return found, rows


@pytest.fixture(scope="module")
def undisturbed(quick_course, handed_in, tmp_path_factory):
    """What an undisturbed run writes, how long it takes, and where it has written."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    began = time.monotonic()
    graded, log = run(batch.Request(quick_course, "toy", (handed_in,), out, workers=2, isolation="best"))
    assert len(graded.grades) == len(log.grades) == len(WORKS)
    return files(out), time.monotonic() - began, out


def test_the_class_is_graded_and_written(undisturbed):
    (results, rows), _, _ = undisturbed
    scores = {row["submission"]: row["score"] for row in rows}
    assert scores == {
        "ada__toy": "10", "alan__toy": "8", "emmy__toy": "6", "grace__toy": "5", "noor__toy": "5", "wei__toy": "8",
        "yuki__toy": "0",
    }  # fmt: skip
    assert {name.removesuffix(".json") for name in results} == set(scores)


def test_what_is_known_is_not_graded_again(request_, undisturbed):
    shutil.copytree(undisturbed[2], request_.out)
    graded, log = run(request_)
    assert log.starts[0].known == len(graded.grades) == len(WORKS) and log.grades == []
    assert files(request_.out) == undisturbed[0]


def test_what_has_changed_is_graded_again(request_, tmp_path):
    folder = hand_in(tmp_path / "class", {name: solution() for name in ("ada/toy", "alan/toy")})
    request = replace(request_, paths=(folder,))
    run(request)
    hand_in(folder, {"alan/toy": solution((SCALE, "return x + factor"))})
    graded, log = run(request)
    assert [grade.submission for grade in log.grades] == ["alan__toy"]
    assert [grade.score for grade in graded.grades] == [10, 8]
    with Gradebook.open(request.out / "gradebook.sqlite") as book:
        assert [attempt.grade.score for attempt in book.attempts("toy", "alan__toy")] == [10, 8]


@pytest.mark.parametrize("kills", KILLS)
def test_killed_at_any_moment_and_run_again_it_ends_the_same(request_, undisturbed, tmp_path, monkeypatch, kills):
    expected, whole, _ = undisturbed
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # kill -9 leaves folders behind
    moments = random.Random(kills)
    requests = [replace(request_, out=tmp_path / f"out{number}") for number in range(kills // IN_A_ROW)]
    for first in range(0, len(requests), AT_ONCE):
        together = requests[first : first + AT_ONCE]
        for _ in range(IN_A_ROW):
            _kill_at([(moments.uniform(0.0, min(whole, 5.0)), request) for request in together])
        for request in together:
            known = set(_recorded(request.out))
            graded, log = run(request)
            assert log.starts[0].known == len(known) and len(log.grades) == len(WORKS) - len(known)
            assert files(request.out) == expected and len(graded.grades) == len(WORKS)


def mended(quick_course, folder):
    """The course with one hidden check changed: the scaling may now change what it was given."""
    root = shutil.copytree(quick_course, folder / "mended")
    toycourse.edit(root, "test_hidden.py", "assert changed_arguments == []", "assert changed_arguments != [0]")
    return root


def test_a_mended_check_alone_is_judged_again(quick_course, handed_in, request_, undisturbed, tmp_path):
    shutil.copytree(undisturbed[2], request_.out)
    request = replace(request_, course=mended(quick_course, tmp_path))
    graded, log = run(request)
    assert (log.starts[0].known, log.starts[0].partly) == (0, len(WORKS)) and len(log.grades) == len(WORKS)
    whole, _ = run(replace(request, out=tmp_path / "whole"))
    assert files(request.out) == files(tmp_path / "whole")
    taken = {grade.submission: len(grade.taken) for grade in graded.grades}
    assert taken["ada__toy"] == taken["alan__toy"] == taken["emmy__toy"] == 6
    assert [grade.submission for grade in graded.before] == sorted(taken) and whole.before == ()
    with Gradebook.open(request.out / "gradebook.sqlite") as book:
        assert len(book.versions("toy")) == 2 and len(book.attempts("toy")) == 2 * len(WORKS)
        assert book.latest("toy") == list(graded.grades)
        assert book.roll("toy").counts == dict.fromkeys(sorted(taken), True)
    again, log = run(request)
    assert log.starts[0].known == len(WORKS) and log.grades == [] and again.before == ()


@pytest.mark.slow
def test_killed_while_it_regrades_it_ends_the_same(quick_course, request_, undisturbed, tmp_path, monkeypatch):
    _, whole, out = undisturbed
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shutil.copytree(out, request_.out)
    request = replace(request_, course=mended(quick_course, tmp_path))
    moments = random.Random(3)
    for _ in range(4):
        _kill_at([(moments.uniform(0.0, min(whole, 5.0)), request)])
    graded, log = run(request)
    assert log.starts[0].known + len(log.grades) == len(WORKS)
    run(replace(request, out=tmp_path / "whole"))
    assert files(request.out) == files(tmp_path / "whole")
    with Gradebook.open(request.out / "gradebook.sqlite") as book:
        versions = [attempt.grade.version for attempt in book.attempts("toy")]
        assert {versions.count(version) for version in book.versions("toy")} == {len(WORKS)}
        assert book.latest("toy") == list(graded.grades)


def test_what_has_changed_back_is_the_last_attempt_again(request_, tmp_path):
    folder = hand_in(tmp_path / "class", {"alan/toy": solution()})
    request = replace(request_, paths=(folder,))
    for work, known in ((solution(), 0), (solution((SCALE, "return x + factor")), 0), (solution(), 1)):
        hand_in(folder, {"alan/toy": work})
        graded, log = run(request)
        assert log.starts[0].known == known
    with Gradebook.open(request.out / "gradebook.sqlite") as book:
        assert [attempt.grade.score for attempt in book.attempts("toy")] == [10, 8, 10]
        assert [grade.score for grade in book.latest("toy")] == [grade.score for grade in graded.grades] == [10]


def test_what_does_not_say_what_it_rests_on_is_judged_whole(quick_course, request_, tmp_path):
    folder = hand_in(tmp_path / "class", {"alan/toy": solution()})
    request = replace(request_, paths=(folder,))
    graded, _ = run(request)
    with Gradebook.open(request.out / "gradebook.sqlite") as book:
        book.record(graded.grades[0], datetime.now(UTC))  # as an older version of ours would have
    graded, log = run(replace(request, course=mended(quick_course, tmp_path)))
    assert (log.starts[0].known, log.starts[0].partly, graded.grades[0].taken) == (0, 0, ())
    assert len(graded.before) == 1


def _kill_at(moments):
    """Grade in other processes, and kill -9 the group of each at its moment. Nothing of it goes on running."""
    began, below = time.monotonic(), set()
    children = [(moment, _start(request)) for moment, request in moments]
    for moment, child in sorted(children):
        while time.monotonic() - began < moment and not _ended(child):
            below |= set(classroom.descendants(child))
            time.sleep(0.02)
        if not _ended(child):
            below |= set(classroom.descendants(child))
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert classroom.running(below) == []


def _start(request):
    child = os.fork()
    if child:
        os.setpgid(child, child)
        return child
    try:
        run(request)
    finally:
        os._exit(0)


def _ended(child):
    """Whether it has ended; it stays there to be asked again."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _recorded(out):
    if not (out / "gradebook.sqlite").exists():
        return []
    with Gradebook.open(out / "gradebook.sqlite") as book:
        return [attempt.grade.submission for attempt in book.attempts("toy")]


def test_what_cant_be_graded_has_a_clear_row_and_stops_nobody(request_, tmp_path):
    folder = hand_in(tmp_path / "class", {"ada/toy": solution(), "alan/toy": solution((SCALE, "return x + factor"))})
    outputs = {"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000}
    cell = {"cell_type": "code", "metadata": {}, "source": solution(), "outputs": [outputs], "execution_count": 1}
    (folder / "big.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    (folder / "picture.ipynb").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (folder / "empty.ipynb").touch()
    (folder / "עדה.py").write_text(solution(), "utf-8")
    (folder / "=1+1.py").write_text(solution(), "utf-8")
    with zipfile.ZipFile(folder / "slip.zip", "w") as archive:
        archive.writestr("../../escaped.py", solution())
        archive.writestr("inside.py", solution())
    graded, _ = run(replace(request_, paths=(folder,)))
    rows = {row["submission"]: row for row in files(request_.out)[1]}
    assert {grade.status.value for grade in graded.grades} == {"graded", "unreadable"}
    assert not any(row["student"].startswith("=") for row in rows.values())
    for name, score in {"ada__toy": "10", "alan__toy": "8", "big": "10", "עדה": "10", "=1+1": "10"}.items():
        name = next(each for each in rows if each.endswith(name.removeprefix("=")))
        assert (rows[name]["status"], rows[name]["score"]) == ("graded", score), name
    for name in ("picture", "empty"):
        assert (rows[name]["status"], rows[name]["score"], rows[name]["max_score"]) == ("unreadable", "0", "10"), name
    inside = [row for name, row in rows.items() if "inside" in name]
    assert [row["score"] for row in inside] == ["10"]
    assert not list(tmp_path.glob("**/escaped.py")) and any("escaped" in name for name in rows)
    with (request_.out / "grades.csv").open(encoding="utf-8") as file:
        columns = "submission,student,assignment,score,max_score,status,isolation,device,seconds\n"
        assert file.readline() == columns
    assert len(list(request_.out.glob("results/*.json"))) == len(rows)
    run(replace(request_, paths=(folder,)))
    (folder / "picture.ipynb").write_bytes(b"%PDF-1.7" + bytes(64))
    run(replace(request_, paths=(folder,)))
    with Gradebook.open(request_.out / "gradebook.sqlite") as book:
        tries = {name: len(book.attempts("toy", name)) for name in ("ada__toy", "empty", "picture")}
    assert tries == {"ada__toy": 1, "empty": 1, "picture": 2}, "what stands is not recorded again"


def test_of_two_files_of_one_student_the_later_counts(request_, tmp_path):
    folder = hand_in(tmp_path / "class", {"ada/first": solution(), "ada/second": solution(after="del scale")})
    os.utime(folder / "ada" / "first.py", (1, 1))
    graded, _ = run(replace(request_, paths=(folder,)))
    assert len(graded.grades) == 2 and graded.counting == {"ada__second"}


def test_refuses_with_a_helpful_sentence(request_, tmp_path):
    (tmp_path / "file").touch()
    for wrong, kind, words in (
        ({"assignment": "toi"}, InstructorError, "Found there: toy"),
        ({"paths": (tmp_path / "nowhere",)}, InstructorError, "does not exist"),
        ({"out": tmp_path / "file" / "out"}, OperatorError, "nothing can be written"),
        ({"gradebook": tmp_path / "no" / "book.sqlite"}, OperatorError, "can't be opened"),
    ):
        with pytest.raises(kind, match=words) as caught:
            run(replace(request_, **wrong))
        assert isinstance(caught.value, AutograderError) and len(str(caught.value)) > 40


def test_a_report_that_cant_be_written_loses_no_grade(request_, handed_in):
    Path(request_.out, "results").parent.mkdir()
    Path(request_.out, "results").touch()
    with pytest.raises(OperatorError, match="Every grade is in the gradebook"):
        run(request_)
    assert len(_recorded(request_.out)) == len(WORKS)
    Path(request_.out, "results").unlink()
    _, log = run(request_)
    assert log.starts[0].known == len(WORKS)
