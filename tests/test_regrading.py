"""regrading: what a change can touch is judged again, nothing else is, and the grade is the same as from the start."""

import random
import shutil
from dataclasses import replace

import classroom
import pytest
import toycourse
from classroom import AFFINE, SCALE, scale, solution

from autograder import batch, course, regrading
from autograder.gradebook import Gradebook
from autograder.records import CheckResult, Grade, Limits, Outcome, Status

SECRET = bytes(32)
HIDDEN, TOML = "test_hidden.py", "assignment.toml"
ALONE = "test_scale_leaves_its_argument_alone"
DTYPE = "test_scale_keeps_the_dtype"
REFERENCE = "test_affine_agrees_with_the_reference"


@pytest.fixture
def root(tmp_path):
    return toycourse.make(tmp_path)


def basis(root):
    return regrading.basis(course.load(root, "toy"), SECRET)


def changed(before, after):
    """What differs between two bases: fields, and the checks by name."""
    fields = {name for name in before.__slots__ if name != "checks" and getattr(before, name) != getattr(after, name)}
    return fields | {name for name, digest in after.checks if dict(before.checks)[name] != digest}


OWN = "student.scale(torch.randn(4, device=device), 3.0)"
CHANGES = {
    "a check's body": (HIDDEN, OWN, OWN.replace("4", "5"), {ALONE}),
    "a check's title": (HIDDEN, '"""Returns the dtype', '"""Keeps the dtype', {DTYPE}),
    "a check's points": (
        HIDDEN,
        "@pytest.mark.points(1)\ndef test_scale_keeps",
        "@pytest.mark.points(1.0)\ndef test_scale_keeps",
        {DTYPE},
    ),
    "a comment": (HIDDEN, f"    {OWN}", f"    # in place?\n\n    {OWN}  # four", set()),
    "a helper": (HIDDEN, "torch.randn(3, 5)", "torch.rand(3, 5)", {"shared"}),
    "an import": (HIDDEN, "import pytest\n", "import math\n\nimport pytest\n", {"shared"}),
    "a constant": (HIDDEN, "def pair(", "SIZE = 3\n\n\ndef pair(", {"shared"}),
    "a check that another calls": (HIDDEN, OWN, f"test_scale_keeps_the_dtype(student, device)\n    {OWN}", None),
    "a global": (HIDDEN, f"    {OWN}", f"    global seen\n    seen = {OWN}", {"shared", ALONE}),
    "a lent step": (
        HIDDEN,
        "@pytest.mark.points(1)\n@pytest.mark.alone",
        '@pytest.mark.points(1)\n@pytest.mark.stand_in("scale")\n@pytest.mark.alone',
        {"leaning", "test_affine_refuses_another_width"},
    ),
    "the solution": ("solution.py", "x: (...)   factor", "x: (...)  factor", {"shared"}),
    "a limit": (TOML, "check_cpu = 5", "check_cpu = 6", {"shared"}),
    "a name": (TOML, '["scale", "Affine"]', '["Affine", "scale"]', {"shared"}),
    "what is forbidden": (TOML, '["aten::addmm"]', '["aten::mm"]', {"shared"}),
    "a title": (TOML, '"Scale and shift"', '"Scale"', set()),
    "a sentence": (TOML, "The bias is never added", "Your bias is never added", {"mistakes"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_touches_what_rests_on_it(root, what):
    file, before, after, touched = CHANGES[what]
    old = basis(root)
    toycourse.edit(root, file, before, after)
    found = changed(old, basis(root))
    assert found == touched if touched is not None else "shared" in found
    assert bool(regrading.differences(old, basis(root))) == bool(found - {"leaning"})


def test_an_order_a_file_and_a_named_mistake_are_shared_by_all(root):
    old = basis(root)
    assert basis(root) == old
    toycourse.edit(root, HIDDEN, f"    {OWN}", f'    "no-bias"\n    {OWN}')
    assert changed(old, basis(root)) == {"shared", ALONE}
    (root / "solutions" / "toy" / "corpus.txt").write_text("once\n")
    with_file = basis(root)
    (root / "solutions" / "toy" / "corpus.txt").write_text("twice\n")
    (root / "solutions" / "toy" / "variants" / "third.py").write_text("x = 1\n")
    assert changed(with_file, basis(root)) == {"shared"}
    path = root / "solutions" / "toy" / HIDDEN
    text = path.read_text("utf-8")
    first, second = (text.index(f"@pytest.mark.points(1)\ndef {name}") for name in (DTYPE, ALONE))
    third = text.index("@pytest.mark.points(1)\n@pytest.mark.cpu")
    path.write_text(text[:first] + text[second:third] + text[first:second] + text[third:], "utf-8")
    assert "shared" in changed(with_file, basis(root))


def test_the_secret_is_told_from_another_and_not_told(root):
    toy = course.load(root, "toy")
    one, other = regrading.basis(toy, SECRET), regrading.basis(toy, b"1" * 32)
    assert changed(one, other) == {"secret"} and SECRET.hex()[:8] not in repr(one)
    assert regrading.differences(one, other) == [f"the course's secret ({one.secret} then, {other.secret} now)"]
    assert "torch (2 then," in regrading.differences(replace(one, torch="2"), one)[0]


NAMES = ("test_a", "test_b", "test_c")
THEN = regrading.Basis("s", tuple((name, "1") for name in NAMES), ("test_c",), "m", "k", "h", "2", "3", "0")


def grade(*statuses, **more):
    checks = tuple(
        CheckResult(name, name, 2.0 * (status == "passed"), 2.0, Status(status))
        for name, status in zip(NAMES, statuses, strict=False)
    )
    known = {"cpu_seconds": 1.0, "digest": "d", "checks": checks, "notes": ("old",)} | more
    return Grade("ada", "ada", "toy", Outcome.GRADED, 4.0, 6.0, "self", "cpu", 1.0, **known)


def now(*names, **more):
    checks = tuple((name, "2" if name in names else "1") for name in NAMES)
    return replace(THEN, checks=checks, **more)


def judged(old, basis, then=THEN):
    part = regrading.part(old, then, basis)
    return None if part is None else set(part.judged)


def test_only_what_has_changed_is_judged_again():
    passed, lost = grade("passed", "passed", "passed"), grade("passed", "failed", "passed")
    assert judged(passed, now()) == judged(lost, now()) == judged(passed, now(mistakes="n")) == set()
    assert judged(passed, now("test_a")) == judged(lost, now("test_a")) == {"test_a"}
    assert regrading.part(lost, THEN, now("test_a")).held == {"test_c"}


def test_what_is_lost_is_explained_together():
    lost = grade("failed", "raised", "passed")
    both = {"test_a", "test_b", "test_c"}
    assert judged(lost, now("test_a")) == judged(lost, now(mistakes="n")) == both  # the third may be lent a step
    assert judged(grade("passed", "raised", "passed"), now("test_c")) == {"test_b", "test_c"}
    assert judged(lost, now("test_a"), replace(THEN, leaning=())) == both
    assert judged(lost, now("test_a", leaning=()), THEN) == {"test_a", "test_b"}


@pytest.mark.parametrize("key", ["shared", "secret", "seeds", "torch", "python", "autograder"])
def test_what_all_share_regrades_all(key):
    assert judged(grade("passed", "passed", "passed"), now(**{key: "other"})) is None


def test_what_cant_be_told_in_part_is_judged_whole():
    assert judged(grade("passed", "passed", "passed"), now(), then=None) is None
    assert judged(grade("timed_out", "passed", "passed"), now("test_b")) is None
    assert judged(grade("passed", "passed"), now("test_b")) is None
    assert judged(replace(grade("passed", "passed", "passed"), status=Outcome.INTERNAL), now("test_b")) is None
    waiting = CheckResult("essay", "Essay.", 0.0, 4.0, Status.WAITING)
    old = grade("passed", "passed", "passed")
    assert judged(replace(old, checks=(*old.checks, waiting)), now("test_b")) == {"test_b"}


def merged(old, fresh, *names, limits=Limits()):  # noqa: B008
    part = regrading.part(old, THEN, now(*names))
    return regrading.merged(old, part, fresh, limits)


def again(name, status, **more):
    fresh = grade(*("passed",) * 3, notes=("new",), **more)
    checks = tuple(replace(c, status=Status(status), points=2.0 * (status == "passed")) for c in fresh.checks)
    return replace(fresh, checks=tuple(check for check in checks if check.name == name), score=0.0, max_score=2.0)


def test_a_part_and_the_rest_make_a_whole():
    old = grade("passed", "failed", "passed")
    whole = merged(old, again("test_a", "passed"), "test_a")
    assert [check.status for check in whole.checks] == [check.status for check in old.checks]
    assert (whole.score, whole.max_score, whole.taken) == (4.0, 6.0, ("test_b", "test_c"))
    assert (whole.cpu_seconds, whole.seconds, whole.notes) == (2.0, 2.0, ("old",))
    assert merged(grade("passed", "passed", "passed"), again("test_a", "passed"), "test_a").notes == ("new",)
    pending = merged(old, again("test_a", "internal"), "test_a")
    assert (pending.status, pending.score, pending.max_score) == (Outcome.INTERNAL, None, None)


def test_nobody_loses_by_a_part_and_no_part_is_believed_too_far():
    old = grade("passed", "failed", "passed")
    for status in ("failed", "raised", "refused", "timed_out", "crashed", "out_of_memory"):
        assert merged(old, again("test_a", status), "test_a") is None
    assert merged(old, again("test_a", "passed", digest="other"), "test_a") is None
    assert merged(old, again("test_b", "passed"), "test_a") is None
    assert merged(old, again("test_a", "passed"), "test_a", limits=Limits(submission_cpu=1.5)) is None
    assert merged(old, again("test_a", "passed"), "test_a", limits=Limits(submission_wall=1.5)) is None


def test_another_title_is_told_wherever_the_old_one_was_named():
    new = again("test_a", "passed")
    new = replace(new, checks=(replace(new.checks[0], title="Other."),))
    assert merged(grade("passed", "failed", "passed"), new, "test_a") is None
    assert merged(grade("passed", "passed", "passed"), new, "test_a").checks[0].title == "Other."


def test_a_grade_that_stands_says_that_all_was_taken_over():
    old = grade("passed", "failed", "passed")
    assert regrading.taken_over(old, "v2") == replace(old, version="v2", taken=NAMES)


WORKS = {
    "right": solution(),
    "adds": solution((SCALE, "return x + factor")),
    "in_place": solution((SCALE, "return x.mul_(factor)")),
    "no_bias": solution((AFFINE, "return product")),
    "single": solution((SCALE, "return (x * factor).float()"), (AFFINE, "return (product + self.bias).float()")),
    "flips": scale("return x.flip(-1) * factor if x.dim() else x"),
    "raises": scale("if x.dtype == torch.float64:\n    raise KeyError(factor)\nreturn x * factor"),
    "aborts": scale("if x.dim() == 2:\n    import os\n    os.abort()\nreturn x * factor"),
    "missing": solution(after="del scale"),
    "unreadable": b"no notebook",
    "calls": solution((AFFINE, "return torch.nn.functional.linear(x, self.weight, self.bias)")),
    "stateful": scale("global calls\ncalls += 1\nreturn x * factor if calls > 2 else x + 1", before="calls = 0"),
    "lingers": scale("global calls\ncalls += 1\nreturn x * factor if calls < 4 else x + 1", before="calls = 0"),
    "broken": "def scratch(:\n",
}
MENDED = (
    (OWN, OWN.replace("4", "5")),
    ("assert changed_arguments == []", "assert not changed_arguments or True"),
    ("assert changed_arguments == []", "assert changed_arguments != []"),
    ("dtype == torch.float64", "dtype in (torch.float32, torch.float64)"),
    ("dtype == torch.float64", "dtype == torch.float16"),
    ("reference.scale(x, -1.5)", "reference.scale(x, -1.5), rtol=1e9, atol=1e9, check_dtype=False"),
    ("[(), (4,), (2, 3)]", "[(4,), (5,)]"),
    ("rtol=1e-5, atol=1e-5", "rtol=1e9, atol=1e9"),
    ('"""Returns the dtype', '"""Keeps the dtype'),
    ('"""Gradients reach the input and', '"""A gradient reaches the input and'),
    ("torch.randn(2, 4, device=device)", "torch.randn(2, 5, device=device)"),
)
NAMED = (
    ("The bias is never added", "Your bias is never added"),
    ('"The result is always float32', '"Your result is always float32'),
    ('id = "adds-instead"', 'id = "sums"'),
)


def test_a_part_regraded_equals_the_whole(quick_course, tmp_path):
    few = ("right", "adds", "no_bias", "raises", "aborts", "missing", "lingers", "broken")
    _prove(quick_course, tmp_path, {name: WORKS[name] for name in few}, rounds=2)


def test_a_new_title_reaches_what_is_said_of_another_check(quick_course, tmp_path):
    root = shutil.copytree(quick_course, tmp_path / "course")
    classroom.hand_in(tmp_path / "class", {"flips": WORKS["flips"]})
    request = batch.Request(root, "toy", (tmp_path / "class",), tmp_path / "out", workers=1, isolation="best")

    def said():
        return " ".join(check.feedback for check in run(request)[0].grades[0].checks)

    assert "What does hold: Returns the dtype that came in" in said()
    toycourse.edit(root, HIDDEN, '"""Returns the dtype', '"""Keeps the dtype')
    assert "What does hold: Keeps the dtype that came in" in said()


@pytest.mark.slow
def test_a_part_regraded_equals_the_whole_again_and_again(quick_course, tmp_path):
    _prove(quick_course, tmp_path, WORKS, rounds=25)


def _prove(quick_course, folder, works, rounds):
    """Change the course at random, over and over: regraded step by step, each class ends as graded from nothing."""
    root = folder / "course"
    shutil.copytree(quick_course, root)
    classroom.hand_in(folder / "class", works)
    chance = random.Random(5)
    request = batch.Request(root, "toy", (folder / "class",), folder / "out", workers=2, isolation="best")
    run(request)
    parts = 0
    for number in range(rounds):
        change(root, quick_course, chance)
        regraded, start = run(request)
        whole, _ = run(replace(request, out=folder / f"whole{number}"))
        parts += start.partly + start.known
        for one, other in zip(regraded.grades, whole.grades, strict=True):
            assert comparable(one) == comparable(other), one.submission
        with Gradebook.open(request.out / "gradebook.sqlite") as book:
            assert [comparable(each) for each in book.latest("toy")] == [comparable(each) for each in whole.grades]
        shutil.rmtree(folder / f"whole{number}")
    assert parts > rounds


def run(request):
    starts = []
    return batch.grade(request, batch.Watcher(starts.append, lambda _: None)), *starts


def change(root, original, chance):
    """The course as it was, but for one or two checks and perhaps what is said of a mistake."""
    for file in (HIDDEN, TOML):
        shutil.copy(original / "solutions" / "toy" / file, root / "solutions" / "toy" / file)
    chosen = dict(chance.sample(MENDED, chance.randint(0, 2)))
    for before, after in chosen.items():
        toycourse.edit(root, HIDDEN, before, after)
    if not chosen or chance.random() < 0.3:
        toycourse.edit(root, TOML, *chance.choice(NAMED))


def comparable(grade):
    """All but what a clock has measured, what has been printed, and how it came about."""
    checks = tuple(replace(check, detail="") for check in grade.checks)
    return replace(grade, seconds=0.0, cpu_seconds=0.0, detail="", taken=(), checks=checks)
