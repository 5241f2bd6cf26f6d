"""judge: one pytest session, many submissions, and how each case ended."""

from types import SimpleNamespace

import pytest
import torch

from autograder.errors import BrokenAssignment, WireError
from autograder.judge import Bench, hold_session
from autograder.records import Check, Status
from autograder.sandbox.spawn import WorkerEnded, ZygoteDied
from autograder.sandbox.stage import Raised
from autograder.sandbox.student import MissingName, _as_exception

HEAD = "import pytest\nimport torch\n\n"


def check(body, name="test_it", marks="@pytest.mark.points(1)", arguments="student"):
    """One hidden check as text."""
    lines = "\n    ".join(body.strip("\n").splitlines())
    return f'{marks}\ndef {name}({arguments}):\n    """Title of {name}.\n\n    More."""\n    {lines}\n\n\n'


def bench(student=None, seed=7, reference=None):
    return Bench(student, reference, torch.device("cpu"), seed, [], lambda mistake: None)


def hold(folder, text, serve):
    """Hold a session over a test file of this text; answers what `serve` answered."""
    path = folder / "test_hidden.py"
    path.write_text(HEAD + text, "utf-8")
    answers = []
    hold_session(path, lambda judge: answers.append(serve(judge)))
    return answers[0]


def judged(folder, text, *benches):
    """What is found of `test_it` on each bench, in one session."""
    found = hold(folder, text, lambda judge: [judge.run("test_it", each) for each in benches or [bench()]])
    return found if len(benches) > 1 else found[0]


def raising(error):
    def call(*_):
        raise error

    return SimpleNamespace(call=call)


def student_error(kind, *bases, message=""):
    return _as_exception(Raised(kind, (kind, *bases, "Exception", "BaseException", "object"), message, ""))


def test_one_session_judges_many(tmp_path):
    text = check("assert student.answer == 42, f'got {student.answer}'")
    answers = [42, 41] * 50
    found = judged(tmp_path, text, *(bench(SimpleNamespace(answer=answer)) for answer in answers))
    assert [finding.status for finding in found] == [Status.PASSED, Status.FAILED] * 50
    assert (
        found[0].message == ""
        and "got 41" in found[1].message
        and "test_hidden.py:9: AssertionError" in found[1].message
    )


def test_options_meant_for_other_tests_are_not_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-v --no-such-option -k nothing")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    assert judged(tmp_path, check("assert True")).status is Status.PASSED


def test_says_what_each_check_is_worth(tmp_path):
    text = check("pass", "test_one", "@pytest.mark.points(2.5)\n@pytest.mark.alone\n@pytest.mark.cpu(30)")
    text += check(
        "pass",
        "test_two",
        '@pytest.mark.points(1)\n@pytest.mark.last\n@pytest.mark.parametrize("size", [1, 2])',
        "size",
    )
    assert hold(tmp_path, text, lambda judge: judge.checks) == (
        Check("test_one", "Title of test_one.", 2.5, alone=True, cpu=30.0),
        Check("test_two", "Title of test_two.", 1.0, last=True),
    )


def test_cases_share_a_check_and_the_first_that_fails_is_named(tmp_path):
    marks = '@pytest.mark.points(3)\n@pytest.mark.parametrize("size", [1, 2, 3], ids=["one", "two", "three"])'
    text = check("student.seen.append(size)\nassert size < student.limit", marks=marks, arguments="student, size")
    few, all_ = (SimpleNamespace(seen=[], limit=limit) for limit in (2, 4))
    found = judged(tmp_path, text, bench(few), bench(all_))
    assert [finding.status for finding in found] == [Status.FAILED, Status.PASSED]
    assert "[two]" in found[0].message
    assert few.seen == [1, 2] and all_.seen == [1, 2, 3]


def test_the_same_seed_draws_the_same_numbers(tmp_path):
    body = (
        "import random, numpy\nstudent.seen.append((torch.rand(1).item(), random.random(), numpy.random.rand(), size))"
    )
    marks = '@pytest.mark.points(1)\n@pytest.mark.parametrize("size", [1, 2])'
    text = check(body, marks=marks, arguments="student, size")
    students = [SimpleNamespace(seen=[]) for _ in range(3)]
    judged(tmp_path, text, *(bench(student, seed) for student, seed in zip(students, (5, 5, 2**62), strict=True)))
    first, second, other = (student.seen for student in students)
    assert first == second
    assert first[0][:3] != first[1][:3]
    assert not {number for case in first for number in case[:3]} & {number for case in other for number in case[:3]}


def test_an_authors_own_fixtures_and_helpers_work(tmp_path):
    text = (
        "@pytest.fixture(scope='module')\ndef once():\n    return []\n\n\n"
        "@pytest.fixture\ndef doubled(student, reference, device, changed_arguments):\n"
        "    yield 2 * student.answer\n    student.closed += 1\n\n\n"
    ) + check("once.append(1)\nassert doubled == 84 and len(once) < 10", arguments="doubled, once")
    student = SimpleNamespace(answer=42, closed=0)
    found = judged(tmp_path, text, bench(student), bench(student))
    assert [finding.status for finding in found] == [Status.PASSED, Status.PASSED]
    assert student.closed == 2


def test_a_fixture_of_ours_may_be_redefined(tmp_path):
    text = "@pytest.fixture\ndef student(student):\n    return 2 * student.answer\n\n\n" + check("assert student == 84")
    assert judged(tmp_path, text, bench(SimpleNamespace(answer=42))).status is Status.PASSED


def test_each_kind_of_end_has_its_status(tmp_path):
    errors = {
        "raised": student_error("ValueError"),
        "out_of_memory": student_error("MemoryError"),
        "refused": student_error("RuntimeError", message="autograder: not allowed in this assignment: torch.mm"),
        "timed_out": WorkerEnded(Status.TIMED_OUT, "took too long"),
        "crashed": WorkerEnded(Status.CRASHED, "crashed"),
        "failed": MissingName("scale"),
    }
    found = judged(tmp_path, check("student.call()"), *(bench(raising(error)) for error in errors.values()))
    assert [str(finding.status) for finding in found] == list(errors)
    assert all(finding.error is error for finding, error in zip(found, errors.values(), strict=True))
    assert judged(tmp_path, check("student.call()"), bench(raising(WireError("odd")))).status is Status.CRASHED


@pytest.mark.parametrize("kind", ["NameError", "ImportError", "OSError", "MemoryError", "AssertionError", "Skipped"])
def test_what_a_student_raises_is_never_our_fault(tmp_path, kind):
    finding = judged(tmp_path, check("student.call()"), bench(raising(student_error(kind))))
    assert finding.status in (Status.RAISED, Status.OUT_OF_MEMORY)


def test_a_students_error_is_the_builtin_one_to_a_test(tmp_path):
    text = check("with pytest.raises(ValueError):\n    student.call()")
    kinds = (student_error("ValueError"), student_error("TooLong", "ValueError"), student_error("TypeError"))
    found = judged(tmp_path, text, *(bench(raising(error)) for error in kinds))
    assert [str(finding.status) for finding in found] == ["passed", "passed", "raised"]
    silent = judged(tmp_path, text, bench(SimpleNamespace(call=lambda: None)))
    assert silent.status is Status.FAILED and "DID NOT RAISE" in silent.message


@pytest.mark.parametrize(
    "body",
    [
        "pytest.skip('no GPU')",
        "pytest.xfail('known')",
        "pytest.importorskip('no_such_module')",
        "undefined_name",
        "import no_such_module",
        "open('/no/such/file')",
        "raise MemoryError",
    ],
)
def test_a_fault_of_the_test_itself_is_ours(tmp_path, body):
    finding = judged(tmp_path, check(body))
    assert finding.status is Status.INTERNAL
    assert "test_hidden.py:" in finding.message


@pytest.mark.parametrize("mark", ["@pytest.mark.skip(reason='later')", "@pytest.mark.skipif(True, reason='later')"])
def test_a_skipped_check_does_not_pass(tmp_path, mark):
    finding = judged(tmp_path, check("pass", marks=f"@pytest.mark.points(1)\n{mark}"))
    assert finding.status is Status.INTERNAL and "later" in finding.message


def test_an_expected_failure_is_a_failure(tmp_path):
    finding = judged(tmp_path, check("assert 0", marks="@pytest.mark.points(1)\n@pytest.mark.xfail"))
    assert finding.status is Status.FAILED


def test_an_error_in_a_fixture_counts_like_one_in_the_test(tmp_path):
    text = "@pytest.fixture\ndef layer(student):\n    return student.call()\n\n\n" + check("pass", arguments="layer")
    finding = judged(tmp_path, text, bench(raising(student_error("TypeError"))))
    assert finding.status is Status.RAISED


def test_judging_goes_on_after_a_broken_case(tmp_path):
    text = check("assert student.good") + check("pass", "test_other")
    good, bad = (bench(SimpleNamespace(good=good)) for good in (True, False))

    def serve(judge):
        return [judge.run(name, each).status for each in (bad, good, bad) for name in ("test_it", "test_other")]

    assert hold(tmp_path, text, serve) == ["failed", "passed", "passed", "passed", "failed", "passed"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('def test_it():\n    """Title."""\n', "needs @pytest.mark.points"),
        ("@pytest.mark.points(1)\ndef test_it():\n    pass\n", "needs @pytest.mark.points"),
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("def broken(:\n", "SyntaxError"),
        ("VALUE = 1\n", "no test in it"),
        ("pytest.skip('all of it', allow_module_level=True)\n", "no test in it"),
        (check("pass", marks="@pytest.mark.points(1)\n@pytest.mark.parametrize('size', [1])"), "size"),
    ],
)
def test_tests_that_cant_be_judged_are_the_instructors_to_mend(tmp_path, text, reason):
    with pytest.raises(BrokenAssignment, match=reason):
        hold(tmp_path, text, lambda judge: pytest.fail("never reached"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZygoteDied("gone")])
def test_what_is_no_verdict_goes_out(tmp_path, error):
    text = check("student.call()") + check("pass", "test_other")
    with pytest.raises(type(error)):
        judged(tmp_path, text, bench(raising(error)))


def test_what_serving_raises_goes_out(tmp_path):
    def serve(judge):
        raise LookupError("the pool is gone")

    with pytest.raises(LookupError, match="the pool is gone"):
        hold(tmp_path, check("pass"), serve)


def test_nothing_is_written_beside_the_tests(tmp_path):
    judged(tmp_path, check("pass"))
    assert [path.name for path in tmp_path.iterdir()] == ["test_hidden.py"]
