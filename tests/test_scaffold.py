"""scaffold: a new assignment is complete at once, and made whole or not at all."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
import toycourse
from click.testing import CliRunner

from autograder import build, course, scaffold
from autograder.cli import main
from autograder.errors import InstructorError, OperatorError
from autograder.verify import Manner, verify

REPOSITORY = Path(__file__).parents[1]
READY_MADE = "torch.nn.functional.cosine_similarity(query.unsqueeze(-2), key.unsqueeze(-3), dim=-1)"
PROVEN = [
    ("mistake", "no-lengths"),
    ("mistake", "one-length-for-all"),
    ("solution", "solution"),
    ("stub", "stub"),
    ("variant", "one"),
]


@pytest.fixture
def root(tmp_path):
    """A course in which nothing has been written yet."""
    (tmp_path / "solutions").mkdir()
    return tmp_path


def autograder(*words):
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.stdout


def everything(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_new_assignment_is_proven_built_and_graded(root):
    said = autograder("new", "a2_angles", "--course", root)
    assert all(f"solutions/a2_angles/{file}\n" in said for file in scaffold.FILES)
    assert "`autograder verify --watch a2_angles`" in said
    proofs = list(verify(root, "a2_angles", Manner()))
    assert sorted((proof.kind, proof.name) for proof in proofs) == PROVEN
    assert [proof.problem for proof in proofs if proof.problem] == []

    autograder("build", "a2_angles", "--course", root)
    notebook = (root / "assignments" / "a2_angles" / "a2_angles.ipynb").read_text("utf-8")
    todo = 'raise NotImplementedError(\\"similarity\\")'
    assert notebook.count(todo) == 1
    works = {
        "ada": "return torch.nn.functional.normalize(query, dim=-1) @ torch.nn.functional.normalize(key, dim=-1).mT",
        "alan": "return query @ key.mT",
        "grace": f"return {READY_MADE}",
        "kurt": todo,
    }
    for student, line in works.items():
        (root / "class" / student).mkdir(parents=True)
        (root / "class" / student / "a2_angles.ipynb").write_text(notebook.replace(todo, line), "utf-8")
    out = root / "out"
    autograder("grade", "a2_angles", root / "class", "--out", out, "--isolation", "best", "--course", root)
    results = [json.loads((out / "results" / f"{student}__a2_angles.json").read_text("utf-8")) for student in works]
    assert [(result["score"], result["max_score"]) for result in results] == [(3, 3), (0, 3), (0, 3), (0, 3)]
    checks = [{(check["status"], check["misconception"]) for check in result["checks"]} for result in results]
    assert checks[:3] == [{("passed", None)}, {("failed", "no-lengths")}, {("refused", None)}]


def test_a_new_assignment_stands_beside_others(tmp_path):
    root = toycourse.make(tmp_path)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    scaffold.new(root, "angles")
    assert course.names(root) == ["angles", "toy"]
    assert {path: path.read_bytes() for path in before} == before
    assert [proof.problem for proof in verify(root, "angles", Manner())] == [""] * len(PROVEN)


def test_the_files_are_named_after_it_and_tidy(root):
    paths = scaffold.new(root, "a12_many_angles")
    assert [str(path.relative_to(root / "solutions" / "a12_many_angles")) for path in paths] == list(scaffold.FILES)
    texts = [path.read_text("utf-8") for path in paths]
    assert not [word for text in texts for word in ("NAME", "TITLE") if word in text]
    assert course.load(root, "a12_many_angles").title == "Many angles"
    assert "# # Many angles\n" in texts[1] and "autograder build a12_many_angles\n" in texts[1]
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--config", REPOSITORY / "pyproject.toml", root / "solutions"]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_what_is_for_the_instructor_reaches_no_student(root):
    scaffold.new(root, "angles")
    files = build.build(course.load(root, "angles"))
    for text in (content.decode() for content in files.values()):
        assert "similarity" in text or "cosine" in text
        assert not [word for word in ("nstructor", "products", "SOLUTION", "--watch") if word in text]


def test_public_tests_tell_the_stub_from_the_solution(root, monkeypatch):
    scaffold.new(root, "angles")
    angles = course.load(root, "angles")
    files = {Path(path).name: content.decode() for path, content in build.build(angles).items()}
    unfinished = pytest.raises(NotImplementedError, match="similarity")
    for text, ends in ((files["angles.py"], unfinished), (course.source(angles), nullcontext())):
        monkeypatch.setitem(sys.modules, "angles", course.load_source("angles", text))
        public = course.load_source("test_public", files["test_public.py"])
        with ends:
            public.test_three_directions()


@pytest.mark.parametrize(
    ("name", "reason", "better"),
    [
        ("A4-Heads", "expected 1 to 60 lower-case letters, digits", "a4_heads"),
        ("../angles", "expected 1 to 60 lower-case letters, digits", "angles"),
        (".angles", "expected 1 to 60 lower-case letters, digits", "angles"),
        ("4th", "expected 1 to 60 lower-case letters, digits", "my_4th_exercise"),
        ("angles\n", "expected 1 to 60 lower-case letters, digits", "angles"),
        ("", "expected 1 to 60 lower-case letters, digits", "my_exercise"),
        ("a" * 61, "expected 1 to 60 lower-case letters, digits", "my_exercise"),
        ("lambda", "found a keyword of Python", "my_lambda_exercise"),
        ("json", "found a module of Python's own, which a student's json.py would hide", "my_json_exercise"),
        ("torch", "found a module of the installed package torch, which", "my_torch_exercise"),
        ("autograder", "found a module of the installed package attention-autograder", "my_autograder_exercise"),
        ("test_public", "which takes test_public.py for its own", "my_test_public_exercise"),
        ("angles_test", "which takes angles_test.py for its own", "my_angles_test_exercise"),
        ("conftest", "which takes conftest.py for its own", "my_conftest_exercise"),
        ("aux", "found a device of Windows", "my_aux_exercise"),
    ],
)
def test_a_name_that_would_clash_is_refused_with_a_better_one(root, name, reason, better):
    with pytest.raises(InstructorError) as caught:
        scaffold.new(root, name)
    assert str(caught.value).startswith(f"{name!r} can't name an assignment: ")
    assert reason in str(caught.value) and str(caught.value).endswith(f"such as {better!r}.")
    assert everything(root) == ["solutions"]
    scaffold.new(root, better)


@pytest.mark.parametrize("place", ["solutions/angles", "assignments/angles"])
@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_is_never_touched(root, place, kind):
    (root / place).parent.mkdir(exist_ok=True)
    make = {"folder": Path.mkdir, "file": Path.touch, "dangling link": lambda path: path.symlink_to("nowhere")}
    make[kind](root / place)
    before = everything(root)
    with pytest.raises(InstructorError, match=f"There is {root / place} already, and nothing was changed: take ano"):
        scaffold.new(root, "angles")
    assert everything(root) == before


def test_of_many_at_once_one_makes_it_and_the_others_are_told(root):
    def attempt(_):
        try:
            return len(scaffold.new(root, "angles"))
        except InstructorError as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        ends = list(threads.map(attempt, range(8)))
    assert sorted(map(str, ends))[0] == "4" and ends.count(4) == 1
    assert all("already" in end for end in ends if end != 4)
    assert course.load(root, "angles") and everything(root / "solutions") == sorted(
        ["angles", "angles/variants", *(f"angles/{file}" for file in scaffold.FILES)]
    )


def test_a_full_disk_leaves_nothing(root, monkeypatch):
    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scaffold.os, "rename", full)
    with pytest.raises(OperatorError, match=r"can't be made \(No space left on device\), and nothing of it was"):
        scaffold.new(root, "angles")
    assert everything(root) == ["solutions"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root may write")
def test_a_read_only_course_says_so(tmp_path):
    (tmp_path / "solutions").symlink_to("/proc/self")
    with pytest.raises(OperatorError, match=r"angles can't be made .*solutions can be written to and has room"):
        scaffold.new(tmp_path, "angles")
