"""Every error this package raises on purpose, sorted by who must act on it."""


class AutograderError(Exception):
    """Something went wrong that a person can put right; the text says what was found, expected and to be done."""


class StudentError(AutograderError):
    """The student must act: the submission can't be read, or lacks what the assignment asks for."""


class InstructorError(AutograderError):
    """The instructor must act: the course, an assignment or a command is not as it should be."""


class OperatorError(AutograderError):
    """The operator must act: the machine, its isolation or its disk does not allow what was asked."""


class UnreadableSubmission(StudentError):
    """A file that can't be graded, because no code can be read from it."""


class BrokenAssignment(InstructorError):
    """An assignment folder that is incomplete or contradicts itself."""


class BrokenBank(InstructorError):
    """A quiz whose file can't be read, or whose answers could not be marked."""


class GradebookError(OperatorError):
    """The gradebook can't be opened or written."""


class IsolationUnavailable(OperatorError):
    """The isolation that was asked for can't be had on this machine."""


class WireError(AutograderError):
    """Bytes from a worker that are not a well-formed frame. Always the worker's fault, never believed."""
