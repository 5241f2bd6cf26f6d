"""A class of the toy course: works written from its solution, handed in as files, and graded by real workers."""

import time
from contextlib import suppress
from dataclasses import replace

import psutil
import toycourse

from autograder import course
from autograder.engines import Job, LocalPool
from autograder.records import Entry
from autograder.sandbox import isolation

SOLUTION = toycourse.COURSES / "toy" / "solutions" / "toy" / "solution.py"
SCALE = "return x * factor"
AFFINE = "return product + self.bias"
CHECKS = {
    "test_scale_multiplies_each_number": 2,
    "test_scale_keeps_the_dtype": 1,
    "test_scale_leaves_its_argument_alone": 1,
    "test_scale_can_be_differentiated": 1,
    "test_affine_agrees_with_the_reference": 2,
    "test_affine_has_the_right_gradients": 2,
    "test_affine_refuses_another_width": 1,
}
LIMITS = """check_cpu = 1.5
check_wall = 5
cells_cpu = 1
submission_cpu = 2.5
reply = "4 MiB"
output = "1 MiB"
memory = "1 GiB\""""


def quick(folder):
    """The toy course with limits so small that a test can reach them."""
    root = toycourse.make(folder)
    toycourse.edit(root, "assignment.toml", 'check_cpu = 5\nmemory = "2 GiB"', LIMITS)
    toycourse.edit(root, "test_hidden.py", "@pytest.mark.cpu(5)\n", "@pytest.mark.cpu(1.25)\n")
    return root


def job(root, **changes):
    """What a pool is told, with the strongest isolation there is here."""
    assignment = course.load(root, "toy")
    profile = isolation.choose("best", private=[assignment.folder])
    return replace(Job(assignment, course.secret(root), profile, workers=2), **changes)


def solution(*edits, before="", after=""):
    """The text of the solution with (old, new) edits, and a code cell before and after it."""
    text = SOLUTION.read_text("utf-8")
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return f"# %%\n{before}\n\n{text}\n\n# %%\n{after}\n"


def scale(body, before=""):
    """The solution with other lines in the place of what `scale` does."""
    lines = body.strip("\n").replace("\n", "\n    ")
    return solution((SCALE, lines), before=before)


def hand_in(folder, works):
    """One file per student, by name; bytes are a notebook's."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, work in works.items():
        path = folder / (f"{name}.py" if isinstance(work, str) else f"{name}.ipynb")
        path.write_bytes(work.encode() if isinstance(work, str) else work)
        entries.append(Entry(name, name, path))
    return entries


def grade(pool, folder, works):
    """Grades by name."""
    return {grade.submission: grade for grade in pool.grade(hand_in(folder, works))}


def grade_once(root, folder, works, **changes):
    """Grades by name, from a pool that is used only once."""
    with LocalPool(job(root, **changes)) as pool:
        return grade(pool, folder, works)


def statuses(grade):
    """The status of each check, by name."""
    return {check.name: str(check.status) for check in grade.checks}


def lost(grade):
    """The checks that did not pass, with their status."""
    return {name: status for name, status in statuses(grade).items() if status != "passed"}


def told(grade):
    """Everything a student reads about a submission, as one text."""
    return "\n".join(
        [*grade.notes, *(f"{check.title} {check.feedback} {check.misconception}" for check in grade.checks)]
    )


def timeless(grade):
    """The grade without what a clock has measured."""
    return replace(grade, seconds=0.0, cpu_seconds=0.0)


def descendants(process=None):
    """Every process below this one, however deep."""
    return psutil.Process(process).children(recursive=True)


def running(processes, patience=5.0):
    """Which of the processes are still there, once they had time to end."""
    deadline = time.monotonic() + patience
    while (left := [each for each in processes if _runs(each)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _runs(process):
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
