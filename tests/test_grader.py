"""grader: one submission, one grade, whatever is in it."""

import json

import classroom
import pytest
import torch
import toycourse
from classroom import CHECKS, SCALE, lost, scale, solution, statuses, told

from autograder import course, reports
from autograder.records import Entry, Isolation, Outcome
from autograder.sandbox import isolation

SCALES = [name for name in CHECKS if "scale" in name]
AFFINES = [name for name in CHECKS if "affine" in name]
HOSTILE = "import ctypes, gc, os, signal, sys, threading, time\n"
IN_ONE = "if factor == 2.0:\n    {}\nreturn x * factor"
FLOOD = "for _ in range(2000): print('x' * 1000)"


def in_one(action):
    """A submission that does something in a single check, `test_scale_keeps_the_dtype`."""
    return scale(IN_ONE.format(action), before=HOSTILE)


WORKS = {
    "full": solution(),
    "partial": solution((SCALE, "return x + factor")),
    "no scale": solution(after="del scale"),
    "no class": solution(after="del Affine"),
    "syntax": solution(before="def scratch(:\n    return"),
    "raises": solution(before="import torch\n\ntorch.ones(2) @ torch.ones(3)"),
    "exits": solution(after="import sys\nsys.exit('done')"),
    "magics": solution(before="%matplotlib inline\n!ls\ninput = 3"),
    "prints": solution(after="print('all is well')"),
    "nothing": "# nothing here\n",
    "cell crashes": solution(before="import ctypes\nctypes.string_at(0)"),
    "cell leaves": solution(before="import os\nos._exit(0)"),
    "cell hangs": solution(before="while True:\n    pass"),
    "cell hogs": solution(before="import torch\nkept = []\nwhile True:\n    kept.append(torch.empty(64, 1024, 1024))"),
    "cell floods": solution(before=FLOOD),
    "crash": in_one("ctypes.string_at(0)"),
    "abort": in_one("os.abort()"),
    "leave": in_one("os._exit(0)"),
    "kill": in_one("os.kill(os.getpid(), signal.SIGKILL)"),
    "loop": in_one("while True: pass"),
    "sleep": in_one("time.sleep(100)"),
    "hog": in_one("torch.ones(1 << 40)"),
    "flood": in_one(FLOOD),
    "huge": in_one("return torch.zeros(1 << 22)"),
    "garbage": in_one("os.write(3, b'garbage' * 100)"),
    "closing": in_one("os.closerange(3, 100)"),
    "system exit": in_one("sys.exit(0)"),
    "interrupt": in_one("raise KeyboardInterrupt"),
    "generator exit": in_one("raise GeneratorExit"),
    "recursion": in_one("return scale(x, factor)"),
    "polluted": solution(
        (SCALE, "CALLS.append(1)\n    return x * factor"),
        ("return product + self.bias", "return product if CALLS else product + self.bias"),
        before="CALLS = []",
    ),
    "grad off": solution((SCALE, "torch.set_grad_enabled(False)\n    return x * factor")),
    "slow everywhere": scale("while True: pass"),
    "three cells hang": "# %%\nwhile True: pass\n\n# %%\nwhile True: pass\n\n# %%\nwhile True: pass\n" + solution(),
}


@pytest.fixture(scope="module")
def grades(pool, tmp_path_factory):
    return classroom.grade(pool, tmp_path_factory.mktemp("works"), WORKS)


@pytest.mark.parametrize("name", ["full", "raises", "exits", "magics", "prints", "syntax"])
def test_full_marks(grades, name):
    grade = grades[name]
    assert (grade.status, grade.score, grade.max_score) == (Outcome.GRADED, 10, 10)
    assert lost(grade) == {}
    assert grade.device == "cpu" and grade.isolation in list(Isolation)
    assert len(grade.digest) == 64 and grade.version and 0 < grade.cpu_seconds < 5 and grade.seconds > 0


def test_checks_come_in_the_order_of_the_file_with_what_they_are_worth(grades):
    for grade in grades.values():
        assert {check.name: check.max_points for check in grade.checks} == CHECKS
        assert list(statuses(grade)) == list(CHECKS)
        assert grade.score == sum(check.points for check in grade.checks)
        assert all(check.points == (check.max_points if check.status == "passed" else 0) for check in grade.checks)


def test_partial_marks(grades):
    assert grades["partial"].score == 8
    assert lost(grades["partial"]) == {"test_scale_multiplies_each_number": "failed"}


def test_a_missing_name_costs_its_checks_only_and_is_said(grades):
    assert lost(grades["no scale"]) == dict.fromkeys(SCALES, "failed")
    assert lost(grades["no class"]) == dict.fromkeys(AFFINES, "failed")
    for check in grades["no scale"].checks:
        assert ("defines no `scale`" in check.feedback) == (check.name in SCALES)


def test_an_empty_submission_earns_nothing(grades):
    assert grades["nothing"].status is Outcome.UNREADABLE or grades["nothing"].score == 0


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("syntax", "Code cell 1 raised SyntaxError, line 1."),
        ("raises", "Code cell 1 raised RuntimeError, line 3."),
        ("cell crashes", "Code cell 1 crashed its process (SIGSEGV)."),
        ("cell leaves", "Code cell 1 ended its own process (exit status 0)."),
        ("cell hangs", "Code cell 1 used more than 1 seconds of CPU time."),
        ("cell hogs", "Code cell 1 raised "),
        ("cell floods", "Code cell 1 printed more than 1 MB of output."),
    ],
)
def test_a_bad_cell_is_named_and_the_others_count(grades, name, note):
    grade = grades[name]
    assert grade.score == 10, (lost(grade), grade.notes)
    assert any(said.startswith(note) for said in grade.notes), grade.notes
    assert grade.notes[-1] == "The other cells were run all the same, in order."


def test_a_submission_without_trouble_has_no_notes(grades):
    assert grades["full"].notes == () and grades["prints"].notes == ()
    assert "all is well" in grades["prints"].detail


ENDS = {
    "crash": ("crashed", "crashed its process (SIGSEGV)"),
    "abort": ("crashed", "crashed its process (SIGABRT)"),
    "leave": ("crashed", "ended its own process"),
    "kill": (None, ""),
    "loop": ("timed_out", "used more than 1.5 seconds of CPU time"),
    "sleep": ("timed_out", "did not answer within 5 seconds"),
    "hog": ("out_of_memory", "memory"),
    "flood": ("refused", "printed more than 1 MB"),
    "huge": ("crashed", "sent an answer that can't be read"),
    "garbage": ("crashed", "sent an answer that can't be read"),
    "closing": ("crashed", ""),
    "system exit": ("raised", "`sys.exit(0)`"),
    "interrupt": ("crashed", "ended its own process"),
    "generator exit": ("raised", "raised an error in code cell"),
    "recursion": ("raised", "raised RecursionError in code cell"),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_goes_wrong_in_one_check_costs_that_check_only(grades, name):
    status, words = ENDS[name]
    found = lost(grades[name])
    assert list(found) == ["test_scale_keeps_the_dtype"], (found, grades[name].notes)
    assert status in (None, found["test_scale_keeps_the_dtype"])
    assert words in told(grades[name])
    assert grades[name].score == 9


def test_a_check_that_another_one_spoiled_is_judged_alone_and_passes(grades):
    assert lost(grades["polluted"]) == {}


def test_lasting_state_costs_only_what_it_breaks_alone(grades):
    assert set(lost(grades["grad off"])) == {"test_scale_can_be_differentiated"}


def test_a_timeout_is_not_repeated(grades):
    assert 1.5 <= grades["loop"].cpu_seconds < 2 * 1.5


def test_a_submission_has_a_limit_of_its_own(grades):
    grade = grades["slow everywhere"]
    assert statuses(grade)["test_scale_multiplies_each_number"] == "timed_out"
    assert set(lost(grade)) >= set(SCALES) and set(lost(grade).values()) == {"timed_out"}
    assert grade.cpu_seconds < 4
    assert "used all the CPU time that a submission may use" in told(grade)


def test_cells_that_use_up_everything_end_the_matter(grades):
    grade = grades["three cells hang"]
    assert grade.score == 0 and grade.status is Outcome.GRADED
    assert grade.cpu_seconds < 5
    assert "Code cell 1 used more than 1 seconds" in grade.notes[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "not"),
        (b'{"cells": [', ""),
        (b"[1, 2, 3]", ""),
    ],
)
def test_a_file_that_is_no_notebook_has_a_clear_row(pool, tmp_path, content, words):
    grade = classroom.grade(pool, tmp_path, {"odd": content})["odd"]
    assert (grade.status, grade.score, grade.max_score) == (Outcome.UNREADABLE, 0, 10)
    assert set(statuses(grade).values()) == {"failed"} and list(statuses(grade)) == list(CHECKS)
    assert len(grade.notes) == 1 and words in grade.notes[0] and len(grade.notes[0]) > 20


def test_a_problem_of_intake_is_the_note(pool, tmp_path):
    entry = Entry("bad", "bad", tmp_path / "gone.ipynb", "the archive holds `../gone.ipynb`, which leaves its folder.")
    (grade,) = pool.grade([entry])
    assert grade.status is Outcome.UNREADABLE and "leaves its folder" in grade.notes[0]


LEAK = "LE' 'AK' + '_'.join(f'{v:.4f}'.replace('-', 'm') for v in x.detach().flatten().tolist()) + '"
LEAKS = {
    "text": f"raise ValueError('{LEAK}')",
    "class": f"raise type('{LEAK}', (ValueError,), {{}})()",
    "no builtin": f"raise type('{LEAK}', (Exception,), {{}})('{LEAK}')",
    "not written": f"raise NotImplementedError('{LEAK}')",
    "print": f"print('{LEAK}')\nprint('{LEAK}', file=sys.stderr)\nreturn x",
    "object": f"return type('{LEAK}', (), {{}})()",
    "callable": f"return type('{LEAK}', (), {{'__call__': lambda self: 0}})()",
    "module": f"return type('{LEAK}', (torch.nn.Module,), {{}})()",
    "tensor": f"return torch.zeros(3).as_subclass(type('{LEAK}', (torch.Tensor,), {{}}))",
    "dict": f"return {{'{LEAK}': x}}",
    "string": f"return '{LEAK}'",
    "refusal": f"raise RuntimeError('autograder: not allowed in this assignment: {LEAK}')",
    "memory": f"raise MemoryError('{LEAK}')",
    "unsendable": f'raise TypeError("the result can\'t be read: {LEAK.replace(chr(39), chr(34))}")',
    "place": "exec(compile('\\n' * 31414 + 'raise ValueError', '<cell 926>', 'exec'))",
    "size": "import struct\nos.write(3, b'agw1' + struct.pack('<IQ', 10, 31415926535))\nos._exit(0)",
    "fatal": f"print('{LEAK}')\nos.abort()",
    "base": f"raise type('{LEAK}', (BaseException,), {{}})('{LEAK}')",
    "warning": f"import warnings\nwarnings.warn('{LEAK}')\nraise ValueError",
    "name": f"f = lambda: 1 / 0\nf.__name__ = f.__qualname__ = '{LEAK}'\nf()",
}


@pytest.fixture(scope="module")
def leaks(pool, tmp_path_factory):
    works = {name: scale(body, before=HOSTILE) for name, body in LEAKS.items()}
    return classroom.grade(pool, tmp_path_factory.mktemp("leaks"), works)


@pytest.mark.parametrize("name", LEAKS)
def test_hidden_inputs_never_reach_a_student(leaks, quick_course, tmp_path, name):
    grade = leaks[name]
    assert grade.status is Outcome.GRADED and statuses(grade)["test_scale_multiplies_each_number"] != "passed"
    reports.write(tmp_path, course.load(quick_course, "toy"), [grade], {grade.submission})
    written = "".join(path.read_text("utf-8") for path in (tmp_path / "results").iterdir())
    assert json.loads(written)["submission"] == name
    for text in (told(grade), written):
        assert "LEAK" not in text and "31415" not in text and "926" not in text.replace(grade.digest, "")


def test_the_instructor_sees_what_a_student_does_not(leaks, quick_course):
    grade = leaks["text"]
    detail = next(check.detail for check in grade.checks if check.name == "test_scale_leaves_its_argument_alone")
    secret = course.secret(quick_course)
    torch.manual_seed(course.input_seed(secret, grade.digest, "test_scale_leaves_its_argument_alone:1"))
    numbers = "_".join(f"{value:.4f}".replace("-", "m") for value in torch.randn(4).tolist())
    assert f"LEAK{numbers}" in detail
    assert "LEAK" in leaks["print"].detail


ATTACKS = {
    "always equal": "return Equal()",
    "agreeable tensor": "return (x * 0).as_subclass(Agreeable)",
    "agreeable instance": "return Agreeable(x * 0)",
    "not a number": "return x * float('nan')",
    "infinite": "return x * float('inf')",
    "leaving": "os._exit(0)",
    "verdict": """print('{"score": 10, "max_score": 10, "status": "passed"}', flush=True)
print('test_hidden.py ....... [100%]', flush=True)
os._exit(0)""",
    "patched": "return x * 0",
    "skip": "import pytest\npytest.skip('done')",
    "xfail": "import pytest\npytest.xfail('done')",
    "exit": "import pytest\npytest.exit('done', 0)",
    "passed": "raise type('Passed', (BaseException,), {})()",
    "assertion": "raise AssertionError",
    "skipped by name": "raise type('Skipped', (Exception,), {})()",
    "emptied": "x.zero_()\nreturn torch.zeros_like(x)",
    "resized": "x.resize_(0) if not x.requires_grad else None\nreturn x.new_zeros(0)",
    "later": """out = torch.zeros_like(x)
threading.Thread(target=lambda: (time.sleep(0.01), out.copy_(x * factor)), daemon=True).start()
return out""",
    "expanded": "return torch.zeros(1)",
    "a list": "return [x, factor]",
    "itself": "return scale",
    "forged frame": """from autograder.sandbox import wire
for buffer in wire.pack({'verdict': 'passed'}): os.write(3, buffer)
return x * 0""",
    "forged list": "import json\nos.write(3, json.dumps([1] * 10).encode())\nreturn x * 0",
}
BEFORE = """import os, sys, threading, time, builtins, torch
from unittest import mock

class Equal:
    def __eq__(self, other): return True
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self

class Agreeable(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func.__name__ in ('equal', 'allclose', 'eq', 'isclose', '__eq__'): return True
        return super().__torch_function__(func, types, args, kwargs or {})
    def __eq__(self, other): return True
"""
PATCH = """
import torch.testing
torch.testing.assert_close = torch.allclose = torch.equal = lambda *a, **k: True
torch.Tensor.__eq__ = torch.Tensor.allclose = torch.Tensor.equal = lambda *a, **k: True
torch.randn = torch.rand = torch.zeros
builtins.all = builtins.any = builtins.isinstance = lambda *a: True
"""


@pytest.fixture(scope="module")
def attacks(pool, tmp_path_factory):
    works = {name: scale(body, before=BEFORE + PATCH * (name == "patched")) for name, body in ATTACKS.items()}
    return classroom.grade(pool, tmp_path_factory.mktemp("attacks"), works)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_earns_no_point(attacks, name):
    grade = attacks[name]
    assert grade.status is Outcome.GRADED
    found = lost(grade)
    assert "test_scale_multiplies_each_number" in found
    assert not set(found.values()) & {"passed", "internal"}
    if name not in ("patched", "forged frame", "forged list"):
        assert not set(found) & set(AFFINES)
    if name in ("emptied", "resized"):
        assert "test_scale_leaves_its_argument_alone" in found


def test_nothing_worth_stealing_is_in_the_worker(pool, tmp_path):
    spy = """
for thing in gc.get_objects():
    try:
        named = getattr(thing, '__name__', '')
        keys = list(thing) if type(thing) is dict else []
        if str(named).startswith('test_scale_multiplies') or 'reference' in keys and 'device' in keys:
            print('FOUND', named)
        if isinstance(thing, torch.Tensor) and thing.shape == x.shape and factor == -1.5 and thing is not x:
            if torch.equal(thing.double(), (x * factor).double()): print('FOUND a tensor')
    except Exception: pass
frame = sys._getframe()
while frame is not None:
    if {'reference', 'judge', 'expected', 'bench'} & set(frame.f_locals): print('FOUND', frame.f_code)
    frame = frame.f_back
for name in sys.modules:
    if name in ('autograder.judge', 'autograder.grader', 'autograder.course', 'pytest', 'toy', 'test_hidden'):
        print('FOUND', name)
if any('toy' in value or 'solutions' in value for value in os.environ.values()): print('FOUND', os.environ)
if any('test_hidden' in word or 'solutions' in word for word in sys.argv): print('FOUND', sys.argv)
print('searched')
return x * factor
"""
    grade = classroom.grade(pool, tmp_path, {"spy": scale(spy, before=HOSTILE)})["spy"]
    assert "searched" in grade.detail and "FOUND" not in grade.detail
    assert "Traceback" not in grade.detail


@pytest.mark.parametrize("level", [Isolation.NAMESPACES, Isolation.UID, Isolation.SELF])
def test_course_files_cant_be_read(quick_course, tmp_path, level):
    assignment = course.load(quick_course, "toy")
    try:
        profile = isolation.choose("require", only=level, private=[assignment.folder])
    except Exception as error:
        pytest.skip(str(error))
    folder = assignment.folder
    files = [str(folder / "test_hidden.py"), str(folder / "solution.py"), str(quick_course / "solutions" / ".secret")]
    here = str(tmp_path / "works" / "other.py")
    thief = f"""
import os
for path in {[*files, here]!r}:
    try:
        print('READ', open(path).read())
    except OSError as error:
        print('refused', type(error).__name__)
try:
    print('READ', os.listdir({str(folder)!r}))
except OSError:
    print('refused')
try:
    print('READ', open('/proc/%d/environ' % os.getppid()).read())
except OSError:
    print('refused')
"""
    works = {"thief": solution(before=thief), "other": solution()}
    grades = classroom.grade_once(quick_course, tmp_path / "works", works, profile=profile, workers=1)
    assert grades["thief"].score == 10 and grades["thief"].isolation == level.value
    assert "READ" not in grades["thief"].detail and grades["thief"].detail.count("refused") == 6


@pytest.mark.parametrize("last", [False, True])
def test_a_last_check_is_judged_after_the_others_in_the_same_process(tmp_path, last):
    root = classroom.quick(tmp_path)
    if last:
        keeps = "@pytest.mark.points(1)\ndef test_scale_keeps_the_dtype"
        toycourse.edit(root, "test_hidden.py", keeps, keeps.replace("\n", "\n@pytest.mark.last\n"))
    notes = """
global seen
seen = seen or (x.dtype is torch.float64 and x.shape == (3,))
print("noted " if seen else "new ")
return x * factor
"""
    grade = classroom.grade_once(root, tmp_path / "works", {"work": scale(notes, before="seen = False")})["work"]
    assert grade.score == 10 and grade.detail.count("new ") >= 1
    assert (grade.detail.count("noted ") == 1) is last


def test_every_check_alone_finds_the_same(quick_course, grades, tmp_path):
    works = {name: WORKS[name] for name in ("full", "partial", "no class", "crash", "polluted")}
    alone = classroom.grade_once(quick_course, tmp_path, works, every_alone=True)
    for name, grade in alone.items():
        assert classroom.timeless(grade).checks == classroom.timeless(grades[name]).checks


def test_some_checks_only(quick_course, tmp_path):
    only = frozenset({"test_scale_keeps_the_dtype", "test_affine_agrees_with_the_reference"})
    works = {"full": solution(), "partial": solution(("return product + self.bias", "return product"))}
    grades = classroom.grade_once(quick_course, tmp_path, works, only=only)
    assert [(grade.score, grade.max_score) for grade in (grades["full"], grades["partial"])] == [(3, 3), (1, 3)]


def test_a_broken_check_leaves_the_score_pending(tmp_path):
    root = classroom.quick(tmp_path)
    classroom.toycourse.edit(root, "test_hidden.py", "assert changed_arguments == []", "assert undefined_name == []")
    grade = classroom.grade_once(root, tmp_path / "works", {"full": solution()}, workers=1)["full"]
    assert (grade.status, grade.score, grade.max_score) == (Outcome.INTERNAL, None, None)
    assert lost(grade) == {"test_scale_leaves_its_argument_alone": "internal"}
    broken = next(check for check in grade.checks if check.status == "internal")
    assert "NameError" in broken.detail and "through no fault of yours" in broken.feedback


UNLUCKY = """

@pytest.mark.points(1)
def test_scale_with_bad_luck(student, device):
    \"\"\"Scales a number.\"\"\"
    assert student.scale(torch.ones((), device=device), 2.0) == (3 if torch.rand(()) < LUCK else 2)
"""


@pytest.mark.parametrize(("luck", "expected"), [(0.15, {"passed"}), (2, {"internal"})], ids=["sometimes", "always"])
def test_inputs_on_which_the_solution_fails_cost_nothing(tmp_path, luck, expected):
    """They are drawn again; where the solution always fails, the check is ours to mend and the score is pending."""
    root = toycourse.make(tmp_path)
    toycourse.edit(root, "assignment.toml", "points = 10", "points = 11")
    tests = root / "solutions" / "toy" / "test_hidden.py"
    tests.write_text(tests.read_text() + UNLUCKY.replace("LUCK", str(luck)))
    works = {f"student{number}": solution(after=f"number = {number}") for number in range(24 if luck < 1 else 2)}
    grades = classroom.grade_once(root, tmp_path / "class", works).values()
    assert {statuses(grade)["test_scale_with_bad_luck"] for grade in grades} == expected
    assert {grade.score for grade in grades} == ({11} if luck < 1 else {None})
