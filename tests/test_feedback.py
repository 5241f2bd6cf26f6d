"""feedback: the paragraph under a lost check, in trusted words only."""

import pytest

from autograder.diagnosis import Explanation
from autograder.errors import WireError
from autograder.feedback import UNREADABLE, Known, compose
from autograder.judge import Finding
from autograder.records import Cell, Status, Submission
from autograder.sandbox.spawn import WorkerEnded
from autograder.sandbox.stage import Raised
from autograder.sandbox.student import MissingName, _as_exception

CELLS = (Cell(1, "import torch\n"), Cell(2, "def scale(x, factor):\n    return x / None\n"))
SUBMISSION = Submission("ada", "ada", CELLS, "0" * 64)
KNOWN = Known(("Keeps the dtype.", "Right without a mask.", "Any shape.", "A fourth."), ("torch.mm", "aten::bmm"))
HERE = "scale, line 2 of <cell 2>: return x / None"


def raised(kind, message="", where=HERE, bases=()):
    error = _as_exception(Raised(kind, (kind, *bases, "Exception", "object"), message, where))
    return Finding(error.status, "for the instructor", error)


def ended(status, text):
    return Finding(status, "for the instructor", WorkerEnded(status, text))


def said(finding, explanation=None, known=KNOWN):
    return compose(SUBMISSION, finding, explanation, known)


def test_an_exception_is_placed_in_her_own_code():
    assert said(raised("TypeError", "3.14")) == (
        "Your code raised TypeError in code cell 2, line 2: `return x / None`."
    )


@pytest.mark.parametrize(
    "where", ["", "f, line 7 of <cell 2>: x", "f, line 0 of <cell 2>: x", "f, line 31415 of <cell 926>: x", "gibberish"]
)
def test_a_place_that_is_not_in_her_code_is_not_named(where):
    assert said(raised("TypeError", where=where)) == "Your code raised TypeError."


def test_the_last_of_several_places_counts():
    where = f"outer, line 1 of <cell 2>: x\n{HERE}"
    assert "line 2: `return x / None`" in said(raised("TypeError", where=where))


def test_only_names_of_builtin_errors_are_told():
    assert said(raised("Leak31415", where="")) == "Your code raised an error."


def test_what_is_not_written_yet_is_said_kindly():
    finding = raised("NotImplementedError", "scale", where="")
    assert said(finding) == "This part is not written yet."
    assert said(raised("Later", bases=("NotImplementedError",), where="")) == "This part is not written yet."


def test_a_refused_name_is_told_only_if_the_assignment_refuses_it():
    message = "autograder: not allowed in this assignment: "
    told = said(raised("RuntimeError", message + "aten::bmm", where=""))
    assert told == "This assignment asks you to write this yourself: `aten::bmm` may not be called."
    told = said(raised("RuntimeError", message + "3.1415:2.7182", where=""))
    assert told == "This assignment asks you to write this yourself: a function that is not allowed may not be called."


def test_memory_a_missing_name_and_the_end_of_a_worker():
    assert said(raised("MemoryError", where="")) == "Your code asked for more memory than it may use."
    assert "defines no `scale`" in said(Finding(Status.FAILED, "", MissingName("scale")))
    told = said(ended(Status.TIMED_OUT, "used more than 5 seconds of CPU time"))
    assert told == "Your code used more than 5 seconds of CPU time."


def test_nothing_of_a_malformed_answer_is_told():
    cause = WireError("a payload of 31415926535 bytes")
    error = WorkerEnded(Status.CRASHED, f"sent something malformed ({cause})")
    error.__cause__ = cause
    for stopped in (cause, error):
        assert said(Finding(Status.CRASHED, "", stopped)) == UNREADABLE


def test_a_result_that_cant_travel():
    told = said(raised("TypeError", "the result can't be read: a value of type Leak31415", where=""))
    assert told == "Your code returned something that is not an ordinary tensor or number."


def test_an_internal_fault_costs_nothing():
    assert "through no fault of yours" in said(Finding(Status.INTERNAL, "", NameError("torhc")))


def test_the_misconception_comes_first():
    explained = Explanation("no-scale", "The scores are not scaled.")
    assert said(Finding(Status.FAILED, "", AssertionError("1 != 2")), explained) == "The scores are not scaled."
    told = said(raised("TypeError"), explained)
    assert told.startswith("The scores are not scaled. Your code raised TypeError in code cell 2")
    crashed = ended(Status.CRASHED, "crashed its process (SIGSEGV)")
    assert said(crashed, explained) == "Your code crashed its process (SIGSEGV)."


def test_without_an_explanation_it_says_what_holds():
    finding = Finding(Status.FAILED, "", AssertionError("31415"))
    told = said(finding)
    assert "matches none of the usual mistakes" in told and "31415" not in told
    assert "What does hold: Keeps the dtype; Right without a mask; Any shape." in told and "fourth" not in told
    assert "What does hold" not in said(finding, known=Known())
