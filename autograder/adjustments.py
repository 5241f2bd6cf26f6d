"""What a person decides: questions graded by hand, and the last word on a check, applied to what was recorded.

Nothing recorded is ever changed by it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from autograder.records import Adjusted, Adjustment, ByHand, CheckResult, Grade, Outcome, Status
from autograder.text import line, visible


def with_questions(grade: Grade, questions: Iterable[ByHand]) -> Grade:
    """The grade with these questions still to be graded by hand, after what tests have judged."""
    judged = tuple(check for check in grade.checks if check.status is not Status.WAITING)
    waiting = tuple(CheckResult(each.id, each.title, 0.0, each.points, Status.WAITING) for each in questions)
    return replace(grade, checks=judged + waiting)


def apply(grade: Grade, words: Sequence[Adjustment]) -> Grade:
    """The grade with the last word on each check, and with the scores that follow from it.

    words: all that were said of this submission, oldest first. A check that is gone leaves its word without effect.
    A grade that was pending is settled once every check that was pending has been decided.
    """
    last = standing(words)
    if not any(check.name in last for check in grade.checks):
        return grade
    checks = tuple(
        _adjusted(check, *last[check.name], grade.digest) if check.name in last else check for check in grade.checks
    )
    if any(check.status is Status.INTERNAL and check.adjusted is None for check in checks):
        return replace(grade, checks=checks)
    counted = [check for check in checks if check.status is not Status.WAITING]
    return replace(
        grade,
        status=Outcome.GRADED if grade.status is Outcome.INTERNAL else grade.status,
        score=sum(check.points for check in counted),
        max_score=sum(check.max_points for check in counted),
        checks=checks,
    )


def to_review(grade: Grade, words: Sequence[Adjustment]) -> list[str]:
    """Sentences on words that were said of something else than what is there now. grade: with the words applied."""
    said = [
        f"{check.name}: adjusted to {check.points:g} ({check.adjusted.reason}) when the code, or what the check is "
        "worth, was another. It still counts."
        for check in grade.checks
        if check.adjusted is not None and check.adjusted.review
    ]
    names = {check.name for check in grade.checks}
    return said + [
        f"{check}: adjusted to {points:g} ({word.reason}), and there is no such check any more. It counts for nothing."
        for check, (points, word) in standing(words).items()
        if check not in names
    ]


def standing(words: Sequence[Adjustment]) -> dict[str, tuple[float, Adjustment]]:
    """By check: the points that it was given last, and the word that gave them. What was taken back is left out."""
    last = {word.check: word for word in words}
    return {check: (word.points, word) for check, word in last.items() if word.points is not None}


def sentence(check: CheckResult) -> str:
    """What a student reads where an instructor has decided the points of a check; empty where none has."""
    adjusted = check.adjusted
    if adjusted is None:
        return ""
    who = line(adjusted.by, 80) or "Your instructor"
    instead = "" if adjusted.was is None else f", where the check gave {_points(adjusted.was)}"
    gave = f"{who} gave {_points(check.points)} of {_points(check.max_points)}{instead}: {line(adjusted.reason, 400)}"
    return f"{gave}\n\n{visible(adjusted.comment)}".rstrip()


def _points(points: float) -> str:
    return f"{round(points, 4):.15g}"


def _adjusted(check: CheckResult, points: float, word: Adjustment, digest: str) -> CheckResult:
    by_hand = check.status is Status.WAITING
    adjusted = Adjusted(
        was=None if by_hand else check.points,
        reason=word.reason,
        by=word.by,
        comment=word.comment,
        review=(word.digest, word.max_points) != (digest, check.max_points),
    )
    graded = Status.PASSED if points >= check.max_points else Status.FAILED
    return replace(check, points=points, status=graded if by_hand else check.status, adjusted=adjusted)
