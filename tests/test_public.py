"""public: the public tests in real workers, on whatever was handed in."""

import classroom
import pytest
import toycourse

from autograder import course, notebook, public
from autograder.errors import BrokenAssignment
from autograder.public import Open
from autograder.sandbox import isolation
from autograder.sandbox.spawn import Zygote

TITLES = (
    "Doubling 1, 2, 3 gives 2, 4, 6.",
    "The result has the shape of the input.",
    "Three features become two.",
)


@pytest.fixture(scope="module")
def toy(quick_course):
    return course.load(quick_course, "toy")


@pytest.fixture(scope="module")
def zygote():
    zygote = Zygote(isolation.choose("best"))
    zygote.await_ready()
    yield zygote
    zygote.close()


@pytest.fixture
def run(toy, zygote, tmp_path):
    def run(work, seconds=30.0):
        (entry,) = classroom.hand_in(tmp_path / "class", {"ada": work})
        found = public.results(toy, notebook.extract(entry), zygote, seconds)
        assert tuple(test.title for test in found) == TITLES
        return found

    return run


def test_what_is_right_passes_and_what_is_wrong_is_told(run):
    assert run(classroom.solution()) == tuple(Open(title, True) for title in TITLES)
    first, *others = run(classroom.scale("return x + factor"))
    assert first == Open(TITLES[0], False, "expected [2, 4, 6], got [3.0, 4.0, 5.0]")
    assert all(test.passed for test in others)


def test_what_is_missing_raises_or_is_not_yet_written_fails_alone(run):
    assert run(classroom.scale('raise NotImplementedError("scale")'))[0].message == "Not yet written: scale"
    assert run(classroom.scale("return x.numpie()"))[0].message.startswith("AttributeError: 'Tensor' object has no")
    first, second, third = run(classroom.solution(("def scale(", "def scaled(")))
    assert "NameError: name 'scale' is not defined" in first.message and not second.passed and third.passed


@pytest.mark.parametrize("cell", ["1 / 0", "import sys; sys.exit()", "def f(:"])
def test_a_cell_that_fails_costs_no_test(run, cell):
    assert all(test.passed for test in run(classroom.solution(before=cell)))


def test_what_ends_the_worker_ends_the_tests_and_is_told(run):
    first, second, third = run(classroom.scale("while True: pass"))
    assert "1.5 seconds of CPU time" in first.message or "within 5 seconds" in first.message  # on a busy machine
    assert (second.message, third.message) == (public.NOT_REACHED, public.NOT_REACHED)
    (first, _, _) = run(classroom.scale("import os; os.abort()"))
    assert first.message.startswith("Your code crashed") and not first.passed


def test_time_for_all_of_it_is_kept(run):
    first, second, _ = run(classroom.scale("import time; time.sleep(60)"), seconds=2.0)
    assert first.message.startswith("Your code did not answer within") and second.message == public.NOT_REACHED


@pytest.mark.parametrize(
    "body",
    [
        "class E(Exception):\n    def __str__(self): return '<b>' * 10**6\nraise E",
        "class E(AssertionError):\n    def __str__(self): raise E\nraise E",
        "raise type('x' * 10**5, (Exception,), {})",
        "globals()['test_scale_keeps_the_shape'] = 7\nreturn x * factor",
        "return type('T', (torch.Tensor,), {'tolist': lambda self: self.tolist()})(x)",
    ],
    ids=range(5),
)
def test_hostile_answers_are_only_answers(run, body):
    for test in run(classroom.scale(body)):
        assert len(test.message) < 10_000


def test_broken_tests_are_the_instructors(tmp_path):
    root = toycourse.make(tmp_path)
    toycourse.edit(root, "solution.py", "def test_scale_doubles():", "def test_scale_doubles(:")
    with pytest.raises(BrokenAssignment, match=r"solution\.py"):
        public.tests(course.load(root, "toy"))
