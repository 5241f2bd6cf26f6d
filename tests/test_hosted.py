"""hosted: one submission in the folders of a hosted service."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import classroom
import hosting
import pytest
import toycourse

from autograder import bundle, course, hosted

pytest.importorskip("otter")

USER = 60790
METADATA = {
    "id": 123456,
    "created_at": "2026-03-12T14:22:32.365935-07:00",
    "assignment": {"title": "Scale", "total_points": "10.0"},
    "users": [{"email": "ada@x.org", "id": 1234, "name": "Ada Lovelace", "sid": "0042"}],
    "previous_submissions": [],
}
POLICY = '\n[policy]\ndue = 2026-03-11T23:59:00-07:00\npenalty_per_day = "10 %"\n'


def pack(folder, *edits):
    root = classroom.quick(folder)
    for edit in edits:
        toycourse.edit(root, *edit)
    made = bundle.make(course.load(root, "toy"))
    path = folder / "autograder.zip"
    path.write_bytes(made["dist/toy/autograder.zip"])
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("archive"))


def test_points_feedback_and_who_it_was(archive, tmp_path):
    work = classroom.scale("return x + factor")
    program = hosting.lay_out(archive, tmp_path / "home", {"toy.py": work}, METADATA)
    done = hosting.run(program)
    assert done.returncode == 0, done.stdout
    shown = hosting.results(tmp_path / "home")
    assert shown["score"] == 8 and shown["extra_data"]["submission"] == "submission_123456"
    assert hosting.points(shown) == {**classroom.CHECKS, "test_scale_multiplies_each_number": 0}
    here = classroom.grade_once(classroom.quick(tmp_path), tmp_path / "works", {"toy": work})["toy"]
    assert hosting.points(shown) == {check.name: check.points for check in here.checks}
    (lost,) = [test for test in hosting.hidden(shown) if test["status"] == "failed"]
    assert lost["output"] == "<p><code>scale</code> adds the factor to each number instead of multiplying by it.</p>"
    assert done.stdout.startswith("isolation: ")
    public = {test["name"]: test for test in shown["tests"] if test["tags"] == ["public"]}
    assert [test["status"] for test in public.values()] == ["failed", "passed", "passed"]
    assert public["Doubling 1, 2, 3 gives 2, 4, 6."]["output"] == "<p>expected [2, 4, 6], got [3.0, 4.0, 5.0]</p>"
    assert {test["visibility"] for test in shown["tests"]} == {"visible"} and "score" not in public.popitem()[1]


def test_lateness_is_counted_from_the_time_stamp(tmp_path):
    path = tmp_path / "course" / "solutions" / "toy" / "assignment.toml"
    limits = "check_cpu = 1.5\n"
    archive = pack(tmp_path, ("assignment.toml", "[forbidden]", POLICY.lstrip() + "\n[forbidden]"))
    assert limits in path.read_text()
    hosting.run(hosting.lay_out(archive, tmp_path / "home", {"toy.py": classroom.solution()}, METADATA))
    shown = hosting.results(tmp_path / "home")
    assert (shown["score"], shown["extra_data"]["penalty"], shown["extra_data"]["days_late"]) == (9, 1, 1)


def test_hidden_checks_are_shown_when_the_assignment_says(tmp_path):
    archive = pack(tmp_path, ("assignment.toml", "minutes = 10", 'minutes = 10\nhidden_checks = "after_published"'))
    hosting.run(hosting.lay_out(archive, tmp_path / "home", {"toy.py": classroom.solution()}))
    shown = hosting.results(tmp_path / "home")
    assert {test["visibility"] for test in hosting.hidden(shown)} == {"after_published"}
    assert {test["visibility"] for test in shown["tests"] if test["tags"] == ["public"]} == {"visible"}


def test_a_notebook_of_the_right_name_is_graded_of_several(archive, tmp_path):
    works = {"scratch.py": "x = 1\n", "toy_final.py": classroom.solution(), "other.py": "y = 1\n"}
    hosting.run(hosting.lay_out(archive, tmp_path / "home", works))
    shown = hosting.results(tmp_path / "home")
    assert shown["score"] == 10 and "toy_final.py was graded" in shown["output"]


def test_a_submission_can_read_nothing_of_the_archive(archive, tmp_path):
    home = tmp_path / "home"
    body = f"""
import os
places = [{str(home)!r}, "..", "/autograder", "/proc/self/cwd/.."]
for place in places:
    for folder, _, names in os.walk(place):
        for name in names:
            if name in ("test_hidden.py", "solution.py", ".secret", "results.json"):
                try:
                    open(os.path.join(folder, name)).read()
                    return None
                except OSError:
                    pass
for name in ("source/files/course/solutions/toy/test_hidden.py", "source/tests/test_scale_keeps_the_dtype.py"):
    try:
        open({str(home)!r} + "/" + name).read()
        return None
    except OSError:
        pass
try:
    open({str(home / "results" / "results.json")!r}, "w").write("{{}}")
    return None
except OSError:
    pass
return x * factor"""
    done = hosting.run(hosting.lay_out(archive, home, {"toy.py": classroom.scale(body)}))
    assert hosting.results(home)["score"] == 10, done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_an_ordinary_user_can_run_it(archive):
    home = Path(tempfile.mkdtemp(prefix="autograder-hosted-"))
    try:
        program = hosting.lay_out(archive, home / "service", {"toy.py": classroom.solution()})
        for path in (home, *home.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)
        done = hosting.run_as(program, USER)
        assert hosting.results(home / "service").get("score") == 10, done.stdout + done.stderr
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.slow
def test_in_the_environment_that_setup_makes(archive, tmp_path):
    """Installs torch into an empty environment, from wherever pip takes it."""
    home = tmp_path / "home"
    program = hosting.lay_out(archive, home, {"toy.py": classroom.solution()}, METADATA)
    (home / "venv").unlink()
    made = subprocess.run(
        ["bash", home / "source" / "setup.sh"], capture_output=True, text=True, timeout=1800, check=False
    )
    assert made.returncode == 0, made.stderr[-3000:]
    done = hosting.run(program, env={"PATH": os.environ["PATH"]})
    assert hosting.results(home)["score"] == 10, done.stdout


def test_when_the_time_is_up_what_was_found_stands(archive, tmp_path):
    home = tmp_path / "home"
    slow = "product = x @ self.weight.transpose(0, 1)  # (..., out_features)"
    work = classroom.solution((slow, "import time; time.sleep(30)\n        product = x"))
    hosting.lay_out(archive, home, {"toy.py": work})
    command = [sys.executable, "-B", "-m", "autograder.hosted", str(home), str(time.time() + 300)]
    with subprocess.Popen(command, cwd=home / "source" / "files") as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if (home / "results" / "results.json").exists() and len(judged(home)) == 4:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
    shown = hosting.results(home)
    assert shown["score"] == 5 and shown["output"] == "<p>Grading was cut short: 4 of 7 checks were judged.</p>"
    assert [test["output"] for test in hosting.hidden(shown)[4:]] == [f"<p>{hosted.UNFINISHED}</p>"] * 3


def judged(home):
    return [test for test in hosting.hidden(hosting.results(home)) if test["status"] == "passed"]


@pytest.mark.slow
def test_little_time_is_shared_out_and_all_is_written(archive, tmp_path):
    """What is left of the service's time bounds the submission, so that the end is reached before the end."""
    home = tmp_path / "home"
    work = classroom.scale("import time; time.sleep(30)")
    hosting.lay_out(archive, home, {"toy.py": work})
    command = [sys.executable, "-B", "-m", "autograder.hosted", str(home), str(time.time() + 14)]
    done = subprocess.run(command, cwd=home / "source" / "files", capture_output=True, text=True, timeout=60)
    shown = hosting.results(home)
    assert done.returncode == 0 and "cut short" not in shown["output"], shown
    assert {test["extra_data"]["status"] for test in hosting.hidden(shown)[:4]} == {"timed_out"}


def test_what_can_not_be_graded_has_no_score(archive, tmp_path):
    done = hosting.run(hosting.lay_out(archive, tmp_path / "home", {}))
    assert done.returncode == 1 and "could not be graded: " in done.stdout
    assert hosting.results(tmp_path / "home") == {"output": hosted.OURS, "stdout_visibility": "hidden"}


def test_an_unreadable_file_is_the_students(archive, tmp_path):
    done = hosting.run(hosting.lay_out(archive, tmp_path / "home", {"toy.ipynb": "{"}))
    shown = hosting.results(tmp_path / "home")
    assert done.returncode == 0 and shown["score"] == 0 and "toy.ipynb" in shown["output"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"id": [], "users": 3, "created_at": 7}', '{"users": [1, {"name": 2}]}']
)
def test_metadata_are_not_needed(tmp_path, text):
    (tmp_path / "metadata.json").write_text(text)
    assert hosted._metadata(tmp_path / "metadata.json") == hosted._About()


def test_metadata_are_read(tmp_path):
    (tmp_path / "metadata.json").write_text(json.dumps(METADATA))
    about = hosted._metadata(tmp_path / "metadata.json")
    assert about.people == ({"name": "Ada Lovelace", "number": "0042", "email": "ada@x.org"},)
    assert (about.id, about.created) == ("submission_123456", METADATA["created_at"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0::/own\n", "own/memory.max"),
        ("9:memory:/own\n1:name=systemd:/init\n0::/\n", "memory/own/memory.limit_in_bytes"),
        ("", "memory.max"),
    ],
)
def test_the_containers_memory_is_found(tmp_path, text, found):
    (tmp_path / "cgroup").write_text(text)
    assert hosted.CGROUPS / found in hosted._memory_files(tmp_path / "cgroup")
    assert hosted._memory() is None or hosted._memory() > 2**20


def test_no_time_is_said(tmp_path):
    with pytest.raises(Exception, match="no time is left"):
        hosted._limits(course.load(toycourse.make(tmp_path), "toy"), 0)


def test_an_archive_of_several_is_refused(tmp_path):
    toycourse.make(tmp_path)
    home = tmp_path / "home"
    shutil.copytree(tmp_path / "course", home / "source" / "files" / "course")
    shutil.copytree(toycourse.COURSES / "steps" / "solutions" / "steps", home / "source/files/course/solutions/steps")
    with pytest.raises(Exception, match="holds 2 assignments, expected one"):
        hosted.grade(hosted.Place(home, time.time() + 60))
