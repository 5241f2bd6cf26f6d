"""What a student is told of a check that did not pass. Trusted words only: nothing that her code printed or said.

The texts of exceptions are left out, because a submission could carry hidden inputs in them; the type, and her own line
as she handed it in, are enough to find the place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autograder import text
from autograder.diagnosis import Explanation
from autograder.errors import WireError
from autograder.judge import Finding
from autograder.records import Cell, Status, Submission
from autograder.sandbox.spawn import WorkerEnded
from autograder.sandbox.stage import FORBIDDEN, Raised
from autograder.sandbox.student import KNOWN_ERRORS, MissingName, StudentRaised

LINE_END = re.compile(r"\r\n|\r|\n")  # the only ones that Python counts
PLACE = re.compile(r"line (\d{1,6}) of <cell (\d{1,6})>")
KNOWN_NAMES = {error.__name__ for error in KNOWN_ERRORS}
UNREADABLE = "Your code's process sent an answer that can't be read."


@dataclass(frozen=True, slots=True)
class Known:
    """What may be named to her.

    works: titles of passed checks, those that tell her most first.  forbidden: what the assignment refuses.
    """

    works: Sequence[str] = ()
    forbidden: Sequence[str] = ()


def compose(submission: Submission, finding: Finding, explanation: Explanation | None, known: Known) -> str:
    """The paragraph under a lost check. explanation: what the diagnosis found."""
    says = _cause(submission, finding, known)
    if explanation is not None and finding.status in (Status.FAILED, Status.RAISED):
        says = f"{explanation.says} {says}" if finding.status is Status.RAISED else explanation.says
    if not says:
        says = "The result is not what the assignment asks for, and it matches none of the usual mistakes."
        if known.works:
            says += f" What does hold: {_list(known.works[:3])}."
        says += " Work the formula through by hand on a tiny example, and compare step by step."
    return says


def _cause(submission: Submission, finding: Finding, known: Known) -> str:
    error = finding.error
    if isinstance(error, StudentRaised):
        return _raised(submission, error, known)
    if isinstance(error, MissingName):
        return (
            f"Your submission defines no `{error.args[0]}`. Check that its cell is there, that the name is spelled "
            "as in the assignment, and that the cell runs without an error."
        )
    if isinstance(error, WireError) or isinstance(getattr(error, "__cause__", None), WireError):
        return UNREADABLE
    if isinstance(error, WorkerEnded):
        return f"Your code {error}."
    if finding.status is Status.INTERNAL:
        return "This check could not be carried out, through no fault of yours. It costs you nothing."
    return ""


def _raised(submission: Submission, error: StudentRaised, known: Known) -> str:
    raised = error.raised
    where = _place(submission.cells, raised)
    if error.status is Status.REFUSED:
        name = raised.message.removeprefix(FORBIDDEN)
        shown = f"`{name}`" if name in known.forbidden else "a function that is not allowed"
        return f"This assignment asks you to write this yourself: {shown} may not be called{where}."
    if error.status is Status.OUT_OF_MEMORY:
        return f"Your code asked for more memory than it may use{where}."
    if "NotImplementedError" in raised.bases:
        return f"This part is not written yet{where}."
    if raised.type == "TypeError" and raised.message.startswith("the result can't be read"):
        return "Your code returned something that is not an ordinary tensor or number."
    kind = raised.type if raised.type in KNOWN_NAMES else "an error"
    return f"Your code raised {kind}{where}."


def _place(cells: Sequence[Cell], raised: Raised) -> str:
    """Cell, line and the line itself, as handed in. The worker may lie: a line that is not there is not named."""
    found = PLACE.findall(raised.where)
    if not found:
        return ""
    line, number = (int(digits) for digits in found[-1])
    source = LINE_END.split(next((cell.source for cell in cells if cell.number == number), ""))
    if not 0 < line <= len(source):
        return ""
    return f" in code cell {number}, line {line}: `{_quoted(source[line - 1])}`"


def _quoted(code: str) -> str:
    """A line of hers between backquotes: what hides or reorders other characters is spelled out, and it ends there."""
    return text.line(code, 120).replace("`", "'")


def _list(titles: Sequence[str]) -> str:
    return "; ".join(title.rstrip(".") for title in titles)
