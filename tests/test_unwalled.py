"""unwalled: in the process that ran the code, the same verdicts as behind the wall."""

import subprocess
import sys
import time

import classroom
import pytest
import toycourse

from autograder import build, course, notebook, unwalled
from autograder.engines import Job, LocalPool
from autograder.errors import UnreadableSubmission
from autograder.records import Status
from autograder.sandbox import isolation

AFFINE = "return product + self.bias"


def run(entry, assignment):
    """The names that the entry's cells define, as a kernel would have them, and the submission."""
    submission = notebook.extract(entry)
    names = {"__name__": "__main__"}
    for cell in submission.cells:
        if not cell.skip:
            exec(compile(cell.source, f"cell {cell.number}", "exec"), names)
    return names, submission


def here(root, name, entry):
    names, submission = run(entry, course.load(root, name))
    own = dict(names)
    found = unwalled.judged(root, name, names, submission)
    assert names == own, "what was lent was not taken back"
    return {check: str(finding.status) for check, finding in found.items()}


@pytest.mark.parametrize("name", ["toy", "steps"])
def test_the_verdicts_are_those_of_the_sandbox(tmp_path, name):
    root = toycourse.make(tmp_path, name)
    assignment = course.load(root, name)
    texts = {"solution": course.source(assignment)}
    texts |= {mistake.id: course.mutant(assignment, mistake) for mistake in assignment.mistakes}
    texts["stub"] = build.build(assignment)[f"assignments/{name}/{name}.py"].decode()
    entries = classroom.hand_in(tmp_path / "works", texts)
    profile = isolation.choose("best", private=[assignment.folder])
    with LocalPool(Job(assignment, course.secret(root), profile)) as pool:
        walled = {grade.submission: classroom.statuses(grade) for grade in pool.grade(entries)}
    assert {entry.id: here(root, name, entry) for entry in entries} == walled


def test_a_loop_without_end_costs_its_check_only(tmp_path):
    root = classroom.quick(tmp_path)
    toycourse.edit(root, "assignment.toml", "submission_cpu = 2.5", "submission_cpu = 30")
    (entry,) = classroom.hand_in(tmp_path / "works", {"ada": classroom.scale("while True: pass")})
    began = time.process_time()
    found = here(root, "toy", entry)
    assert {status for check, status in found.items() if "scale" in check} == {"timed_out"}
    assert {status for check, status in found.items() if "affine" in check} == {"passed"}
    assert time.process_time() - began < 20


def test_what_sleeps_is_interrupted_too(tmp_path):
    root = classroom.quick(tmp_path)
    toycourse.edit(root, "assignment.toml", "check_wall = 5", "check_wall = 0.5")
    (entry,) = classroom.hand_in(tmp_path / "works", {"ada": classroom.scale("import time; time.sleep(60)")})
    assert here(root, "toy", entry)["test_scale_keeps_the_dtype"] == "timed_out"


def test_an_answer_that_cannot_travel_is_none_here_either(tmp_path):
    root = toycourse.make(tmp_path)
    work = classroom.scale("return (x * factor).to_sparse()")
    (entry,) = classroom.hand_in(tmp_path / "works", {"ada": work})
    walled = classroom.statuses(classroom.grade_once(root, tmp_path / "again", {"ada": work})["ada"])
    assert here(root, "toy", entry) == walled


def test_what_is_forbidden_is_not_looked_for(tmp_path):
    root = toycourse.make(tmp_path)
    before = "product = x @ self.weight.transpose(0, 1)  # (..., out_features)"
    work = classroom.solution((before, "product = nn.functional.linear(x, self.weight)"))
    (entry,) = classroom.hand_in(tmp_path / "works", {"ada": work})
    assert set(here(root, "toy", entry).values()) == {"passed"}
    walled = classroom.grade_once(root, tmp_path / "again", {"ada": work})["ada"]
    assert set(classroom.lost(walled).values()) == {"refused"}


def test_in_an_archive_all_is_judged_at_the_first_question(tmp_path):
    """As a test file does it: from the package that lies beside the course and the notebook."""
    files = tmp_path / "submission"
    toycourse.make(tmp_path)
    (tmp_path / "course").rename(files.with_name("kept"))
    files.mkdir()
    (files / "autograder").symlink_to(toycourse.COURSES.parents[1] / "autograder")
    (files.with_name("kept")).rename(files / "course")
    course.secret(files / "course")
    (files / "__init__.py").touch()
    (files / "toy.py").write_text(classroom.scale("return x + factor"), "utf-8")
    code = f"""
import sys
sys.path.insert(0, {str(files)!r})
from pathlib import Path
from autograder import unwalled
unwalled.__file__ = {str(files / "autograder" / "unwalled.py")!r}
names = {{"__name__": "__main__"}}
exec(Path({str(files / "toy.py")!r}).read_text(), names)
unwalled.hold("test_scale_keeps_the_dtype", "toy", names)
names.clear()
try:
    unwalled.hold("test_scale_multiplies_each_number", "toy", names)
except AssertionError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=files)
    assert done.stdout.splitlines()[-1:] == [str(Status.FAILED)], done.stderr


def test_without_a_notebook_it_says_so(tmp_path):
    with pytest.raises(UnreadableSubmission, match="There is no notebook in"):
        unwalled._handed_in(tmp_path)


@pytest.mark.parametrize(("known", "work"), [(True, "return product"), (False, "return product - self.bias")])
def test_a_known_mistake_is_not_judged_check_by_check(tmp_path, monkeypatch, known, work):
    root = toycourse.make(tmp_path)
    monkeypatch.setattr(unwalled.Here, "fork", counted := Counted(unwalled.Here.fork))
    (entry,) = classroom.hand_in(tmp_path / "works", {"ada": classroom.solution((AFFINE, work))})
    found = here(root, "toy", entry)
    lost = [check for check, status in found.items() if status != "passed"]
    assert len(lost) == 2
    one_for_all, one_of_its_own, together = 1, 1, 1
    assert counted.calls == one_for_all + one_of_its_own + together + (0 if known else len(lost))


class Counted:
    """A method, and how often it was called."""

    def __init__(self, method):
        self.method, self.calls = method, 0

    def __get__(self, owner, kind=None):
        def call(*args):
            self.calls += 1
            return self.method(owner, *args)

        return call
