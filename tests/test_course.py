"""course: what an assignment folder must hold, and what is said when it does not."""

import linecache
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import toycourse

from autograder import course
from autograder.errors import BrokenAssignment, InstructorError, OperatorError
from autograder.records import Policy, Share


@pytest.fixture
def root(tmp_path):
    return toycourse.make(tmp_path)


def test_the_course_is_the_nearest_folder_with_solutions(root):
    assert course.find(root) == root
    assert course.find(root / "solutions" / "toy" / "solution.py") == root
    assert course.find(root / "not" / "yet" / "there") == root


def test_no_course_says_what_to_do(tmp_path):
    with pytest.raises(InstructorError, match=r"No course found.*Go to the course's folder, or name it with --course"):
        course.find(tmp_path)


def test_an_assignment_is_read_whole(root):
    toy = course.load(root, "toy")
    assert (toy.title, toy.points, toy.minutes, toy.difficulty) == ("Scale and shift", 10, 10, "gentle")
    assert toy.names == ("scale", "Affine")
    assert toy.forbidden == ("torch.nn.functional.linear",) and toy.operators == ("aten::addmm",)
    assert (toy.limits.check_cpu, toy.limits.memory, toy.limits.check_wall) == (5, 2 * 2**30, 60)
    assert tuple(mistake.id for mistake in toy.mistakes) == toycourse.MISTAKES
    assert toy.mistakes[0].fails == ("test_scale_multiplies_each_number",)
    assert len(toy.mistakes[3].edits) == 2
    assert list(course.variants(toy)) == ["product", "transposed"]


def test_assignments_are_listed(root):
    (root / "solutions" / "a0_empty").mkdir()
    (root / "solutions" / ".hidden").mkdir()
    (root / "solutions" / "__pycache__").mkdir()
    assert course.names(root) == ["a0_empty", "toy"]


@pytest.mark.parametrize("name", ["tyo", "../toy", "toy/variants", ""])
def test_an_unknown_assignment_is_told_from_the_known(root, name):
    with pytest.raises(InstructorError, match=r"no assignment .*Found there: toy\."):
        course.load(root, name)


TOML = "assignment.toml"
WRONG = {
    "missing key": (TOML, "minutes = 10\n", "", "minutes: found nothing, expected a whole number above 0"),
    "unknown key": (TOML, "minutes = 10", "minutes = 10\nminuets = 3", "minuets: found an unknown key, expected one"),
    "wrong type": (TOML, "minutes = 10", 'minutes = "10"', "minutes: found '10', expected a whole number above 0"),
    "a truth is no number": (TOML, "points = 10", "points = true", "points: found True, expected a number above 0"),
    "infinite": (TOML, "points = 10", "points = inf", "points: found inf"),
    "other sum": (TOML, "points = 10", "points = 11", "points: found 11, expected the sum in test_hidden.py, 10"),
    "difficulty": (TOML, '"gentle"', '"easy"', "difficulty: found 'easy', expected one of gentle, moderate, demanding"),
    "when to show": (TOML, "minutes = 10", 'minutes = 10\nhidden_checks = "later"', "found 'later', expected one of"),
    "empty title": (TOML, '"Scale and shift"', '" "', "title: found ' ', expected a text that is not empty"),
    "no list": (TOML, '["scale", "Affine"]', '"scale"', "names: found 'scale', expected a list of texts"),
    "twice": (TOML, '["scale", "Affine"]', '["scale", "scale"]', "names: found .*each once"),
    "not defined": (TOML, '["scale", "Affine"]', '["scales"]', "names: found 'scales', expected names that solution."),
    "bad size": (TOML, '"2 GiB"', '"2 gigs"', r"\[limits\]: memory: found '2 gigs', expected a size .*'2 GiB'"),
    "zero size": (TOML, '"2 GiB"', "0", r"\[limits\]: memory: found 0, expected a size"),
    "unknown limit": (TOML, "check_cpu = 5", "cpu = 5", r"\[limits\]: cpu: found an unknown key, expected one of che"),
    "bad limit": (TOML, "check_cpu = 5", "check_cpu = -5", r"check_cpu: found -5, expected a number above 0"),
    "limits no table": (TOML, "[limits]", "[[limits]]", r"limits: found .*expected a table \[limits\]"),
    "forbidden key": (TOML, "calls =", "names =", r"\[forbidden\]: names: found an unknown key, expected one of calls"),
    "forbidden call": (TOML, "torch.nn.functional.linear", "linear", "calls: found 'linear', expected dotted names"),
    "operator": (TOML, "aten::addmm", "addmm", "operators: found 'addmm', expected operators such as 'aten::bmm'"),
    "no TOML": (TOML, "points = 10", "points = ", r"assignment.toml: not valid TOML: .*line 2"),
    "bad id": (TOML, '"in-place"', '"In place"', "id: found 'In place', expected a name in lower case with hyphens"),
    "same id": (TOML, '"in-place"', '"no-bias"', "id: found 'no-bias' a second time"),
    "no says": (TOML, '"The bias is never added to the product."', '""', "'no-bias': says: found ''"),
    "no find": (TOML, 'find = "return product + self.bias"\n', "", "'no-bias': find: found nothing"),
    "find is absent": (TOML, '"return product + self.bias"\n', '"return zzz"\n', "find: found 'return zzz' 0 times"),
    "find is ambiguous": (TOML, '"return product + self.bias"\n', '"return"\n', r"find: found 'return' \d+ times in"),
    "no change": (TOML, '"return product"', '"return product + self.bias"', "replace: found the same text as in find"),
    "broken mutant": (TOML, '"return product"', '"return ("', "replace: found a solution that is not Python"),
    "unknown check": (TOML, '["test_scale_multiplies_each_number"]', '["test_x"]', "fails: found 'test_x', expected"),
    "fails nothing": (TOML, '["test_scale_multiplies_each_number"]', "[]", r"fails: found \[\], expected a list of t"),
    "edits and find": (TOML, "edits = [", 'find = "x"\nedits = [', "edits: found both edits and find/replace"),
    "edit key": (TOML, '{ find = "return x * factor",', '{ fnid = "r",', r"\[\[edits\]\] 1: fnid: found an unknown k"),
    "overlap": (TOML, '{ find = "return product + self.bias"', '{ find = "x * factor\\n"', "edits: found two that ov"),
    "syntax": ("solution.py", "import torch\n", "import torch torch\n", "toy/solution.py, line 7: invalid syntax"),
    "no points": ("test_hidden.py", "@pytest.mark.points(1)\n@pytest.mark.alone", "@pytest.mark.alone", "found no po"),
    "odd points": ("test_hidden.py", "points(1)\n@pytest.mark.alone", "points(ONE)\n@pytest.mark.alone", "a plain nu"),
    "no docstring": ("test_hidden.py", '    """Gradients flow through the scaling."""\n', "", "line 40: .*no docs"),
    "same check": ("test_hidden.py", "def test_scale_keeps_the_dtype", "def test_scale_can_be_differentiated", "twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_place(root, case):
    file, before, after, said = WRONG[case]
    toycourse.edit(root, file, before, after)
    with pytest.raises(BrokenAssignment, match=said) as caught:
        course.load(root, "toy")
    assert f"toy/{file}" in str(caught.value)


@pytest.mark.parametrize("file", ["assignment.toml", "solution.py", "test_hidden.py"])
def test_a_missing_file_is_named(root, file):
    (root / "solutions" / "toy" / file).unlink()
    with pytest.raises(BrokenAssignment, match=f"toy/{file}: found no such file"):
        course.load(root, "toy")


def test_a_file_in_another_encoding_is_named(root):
    (root / "solutions" / "toy" / "solution.py").write_bytes("# Kürzung".encode("latin-1"))
    with pytest.raises(BrokenAssignment, match="not UTF-8"):
        course.load(root, "toy")


@pytest.mark.parametrize("file", ["solution.py", "test_hidden.py", "assignment.toml"])
def test_the_version_tells_every_change(root, file):
    before = course.load(root, "toy").version
    assert before == course.load(root, "toy").version and len(before) == 16
    path = root / "solutions" / "toy" / file
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    assert course.load(root, "toy").version != before


def test_the_reference_is_fresh_each_time_and_has_its_name(root):
    toy = course.load(root, "toy")
    first, second = course.reference(toy), course.reference(toy)
    assert first is not second and first.__name__ == "toy" and "toy" not in sys.modules
    assert "return x * factor" in "".join(linecache.getlines(first.__file__))


def test_a_module_that_was_there_before_stays(root, monkeypatch):
    toy = course.load(root, "toy")
    monkeypatch.setitem(sys.modules, "toy", sys)
    course.reference(toy)
    assert sys.modules["toy"] is sys


def test_mutants_differ_by_their_edits_and_show_their_lines(root):
    toy = course.load(root, "toy")
    texts = {mistake.id: course.mutant(toy, mistake) for mistake in toy.mistakes}
    assert texts["single-precision"].count(".float()") == 2
    assert "return x + factor" in texts["adds-instead"] and "return x * factor" not in texts["adds-instead"]
    modules = {id: course.load_source(toy.name, text) for id, text in texts.items()}
    assert modules["adds-instead"].scale(3, 2) == 5
    with pytest.raises(AttributeError) as caught:
        modules["in-place"].scale(3, 2)
    assert "return x.mul_(factor)" in "".join(traceback.format_exception(caught.value))


def test_dataclasses_work_in_a_loaded_module():
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    text += "@dataclass\nclass A:\n    b: ClassVar = 1\n"
    assert course.load_source("fresh", text).A


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nx.y", "line 2: AttributeError"),
        ("x = 1\n\n(", "line 3: SyntaxError"),
        ("import os\nnope()", "line 2: Name"),
    ],
)
def test_source_that_does_not_run_is_named_with_its_line(text, said):
    with pytest.raises(BrokenAssignment, match=said):
        course.load_source("toy", text)


def test_the_secret_is_made_once_and_kept(root):
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: course.secret(root), range(32)))
    assert len(secrets) == 1 and len(secrets.pop()) == 32
    assert (root / "solutions" / ".secret").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (root / "solutions").iterdir()) == [".secret", "toy"]


@pytest.mark.parametrize("text", ["", "abc", "no hex digits", "ab" * 31, "ä"])
def test_a_damaged_secret_is_never_replaced(root, text):
    (root / "solutions" / ".secret").write_text(text)
    with pytest.raises(OperatorError, match="damaged: expected 64 hex digits"):
        course.secret(root)
    assert (root / "solutions" / ".secret").read_text() == text


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root may write")
def test_a_read_only_course_says_what_to_do(tmp_path):
    (tmp_path / "solutions").symlink_to("/proc/self")
    with pytest.raises(OperatorError, match=r"can't be read or made .*make .* writable once"):
        course.secret(tmp_path)


def test_seeds_are_repeatable_and_independent():
    calls = [(b"1" * 32, "digest", "check"), (b"2" * 32, "digest", "check"), (b"1" * 32, "digestc", "heck")]
    seeds = [seed(*call) for call in calls for seed in (course.input_seed, course.worker_seed)]
    assert len(set(seeds)) == 6 and all(0 <= seed < 2**63 for seed in seeds)
    assert course.input_seed(*calls[0]) == seeds[0]


POLICY = """
[policy]
due = 2026-03-12T23:59:00+01:00
zone = "Europe/Berlin"
grace_minutes = 10
late_days = 2
penalty_per_day = "10 %"
cap = 5
closes = 2026-03-20T23:59:00+01:00
file_times = false
"""


def with_policy(root, text):
    with (root / "solutions" / "toy" / TOML).open("a") as file:
        file.write(text)
    return course.load(root, "toy").policy


def test_a_policy_is_read_whole_and_may_be_left_out(root):
    assert course.load(root, "toy").policy is None
    policy = with_policy(root, POLICY)
    assert (policy.due.isoformat(), policy.zone, policy.grace) == ("2026-03-12T23:59:00+01:00", "Europe/Berlin", 600)
    assert (policy.late_days, policy.per_day, policy.cap) == (2, Share(10, percent=True), Share(5))
    assert policy.closes.isoformat() == "2026-03-20T23:59:00+01:00" and policy.file_times is False


def test_a_policy_may_say_only_when_work_is_due(root):
    assert with_policy(root, "\n[policy]\ndue = 2026-03-12 22:59:00Z\n") == Policy(
        datetime.fromisoformat("2026-03-12T22:59:00+00:00")
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("due = 2026-03-12T23:59:00+01:00\n", "", "due: found nothing, expected a date and time with an offset"),
        ("due = 2026-03-12T23:59:00+01:00", "due = 2026-03-12T23:59:00", "23:59:00 without an offset, expected"),
        ("due = 2026-03-12T23:59:00+01:00", "due = 2026-03-12", r"due: found datetime.date\(2026, 3, 12\)"),
        ("due = 2026-03-12T23:59:00+01:00", 'due = "2026-03-12T23:59:00+01:00"', "not in quotes, such as 2026-03-12T"),
        (
            "59:00+01:00\nzone",
            "59:00+02:00\nzone",
            r"expected the offset that Europe/Berlin has on that day, as in ",
        ),
        ("Europe/Berlin", "Europe/Brelin", "zone: found 'Europe/Brelin', expected a time zone's name"),
        ("Europe/Berlin", "../../etc/passwd", "expected a time zone's name"),
        ("grace_minutes = 10", "grace_minutes = -1", "grace_minutes: found -1, expected a number above 0"),
        ("late_days = 2", "late_days = 1.5", "late_days: found 1.5, expected a whole number above 0"),
        ('"10 %"', '"10"', "penalty_per_day: found '10', expected points above 0, or a share of the assignment's"),
        ('"10 %"', '"110 %"', "penalty_per_day: found '110 %'"),
        ("cap = 5", "cap = 0", "cap: found 0, expected points above 0"),
        ("closes = 2026-03-20", "closes = 2026-03-02", "closes: found 2026-03-02 .*expected a moment after `due`"),
        ("file_times = false", "file_times = 0", "file_times: found 0, expected true or false"),
        ("file_times", "files_times", "files_times: found an unknown key, expected one of due, zone, grace_minutes"),
    ],
)
def test_what_is_wrong_in_a_policy_is_named(root, before, after, said):
    assert POLICY.count(before) == 1
    with pytest.raises(BrokenAssignment, match=rf"assignment.toml: \[policy\].*{said}"):
        with_policy(root, POLICY.replace(before, after))
