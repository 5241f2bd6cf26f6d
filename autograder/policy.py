"""What a late hand-in costs, from its own time stamp and never from a clock: the same today and at every regrade."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from autograder.records import Extension, Grade, Late, Outcome, Policy, Share

DAY = timedelta(days=1)
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
FROM_FILES = "file"


def settle(policy: Policy | None, grade: Grade, extension: Extension | None = None) -> Grade:
    """The grade with what its lateness costs taken from its score; `late` says how much, and why.

    A grade that is pending, or was settled before, stays as it is. Nothing is taken where no time stamp is known.
    """
    if policy is None or grade.late is not None or grade.score is None or grade.max_score is None:
        return grade
    late = _late(policy, grade, extension or Extension())
    return replace(grade, score=round(late.raw_score - late.penalty, 4), late=late)


def unsettled(grade: Grade, why: str) -> Grade:
    """The grade with nothing taken from it, because of `why`."""
    if grade.score is None:
        return grade
    return replace(grade, late=Late(grade.score, 0.0, 0, "", f"{why} Nothing was taken away."))


def moment(text: str) -> datetime | None:
    """A time stamp as grades keep it (ISO 8601 with an offset), or None where it is not one that can be believed."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        return None
    try:
        return found if EARLIEST < found < LATEST else None
    except OverflowError:
        return None


def deadline(policy: Policy, extension: Extension) -> datetime:
    """When this student's work is due. An extension never shortens."""
    return max(policy.due, _extended(policy, extension), key=_instant)


def last_moment(policy: Policy, extension: Extension) -> datetime | None:
    """When nothing more is accepted; an extension moves it as far as the deadline."""
    if policy.closes is None:
        return None
    if extension.days and extension.until is None:
        return after(policy, policy.closes, extension.days)
    return policy.closes + (_instant(deadline(policy, extension)) - _instant(policy.due))


def days_late(policy: Policy, due: datetime, at: datetime) -> int:
    """How many days have begun since `due`: 0 at that very moment and within the grace, 1 just after."""
    if _instant(at) <= _instant(due) + timedelta(seconds=policy.grace):
        return 0
    days = max(0, (_instant(at) - _instant(due)) // DAY - 1)
    while _instant(after(policy, due, days)) < _instant(at):
        days += 1
    return days


def after(policy: Policy, start: datetime, days: int) -> datetime:
    """The same time of day `days` later, in the policy's zone; where the clocks change, the later of two readings."""
    zone = _zone(policy)
    wall = start.astimezone(zone).replace(tzinfo=None) + days * DAY
    return max((wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1)), key=_instant)


def penalty(policy: Policy, days: int, grade: Grade) -> float:
    """Points that so many days cost, never more than were earned."""
    score, most = grade.score or 0.0, grade.max_score or 0.0
    counted = max(0, days - policy.late_days)
    cost = counted * _points(policy.per_day, most)
    limit = score if policy.cap is None else min(score, _points(policy.cap, most))
    return round(max(0.0, min(cost, limit)), 4)


def _late(policy: Policy, grade: Grade, extension: Extension) -> Late:
    due = deadline(policy, extension)
    raw = grade.score or 0.0
    at = None if grade.clock == FROM_FILES and not policy.file_times else moment(grade.handed_in)
    if at is None:
        return Late(raw, 0.0, 0, due.isoformat(), _unknown(grade))
    days = days_late(policy, due, at)
    closes = last_moment(policy, extension)
    said = f"Handed in {_shown(policy, at)}, due {_shown(policy, due)}"
    if closes is not None and _instant(at) > _instant(closes):
        closed = f"{said}: {_count(days, 'day')} late. Nothing was accepted after {_shown(policy, closes)}."
        return Late(raw, round(max(0.0, raw), 4), days, due.isoformat(), closed)
    if days == 0:
        return Late(raw, 0.0, 0, due.isoformat(), f"{said}: on time.")
    free = f"; {_count(min(days, policy.late_days), 'day')} free" if policy.late_days else ""
    taken = penalty(policy, days, grade)
    cost = f"{_count(taken, 'point')} taken away." if taken else "Nothing was taken away."
    return Late(raw, taken, days, due.isoformat(), f"{said}: {_count(days, 'day')} late{free}. {cost}")


def _unknown(grade: Grade) -> str:
    if grade.marked_late:
        return "It is marked as late where it was handed in, but not how late. Nothing was taken away."
    if grade.status is Outcome.UNREADABLE:
        return "Nothing was taken away for lateness."
    return "No time stamp is known for this submission, so it can't be late. Nothing was taken away."


def _extended(policy: Policy, extension: Extension) -> datetime:
    until = extension.until
    if until is None:
        return after(policy, policy.due, extension.days) if extension.days else policy.due
    if isinstance(until, datetime):
        return until
    return _on(policy, until)


def _on(policy: Policy, day: date) -> datetime:
    due = policy.due.astimezone(_zone(policy))
    return after(policy, policy.due, (day - due.date()).days)


def _zone(policy: Policy) -> tzinfo:
    return ZoneInfo(policy.zone) if policy.zone else policy.due.tzinfo or UTC


def _instant(when: datetime) -> datetime:
    """Two times of one zone are compared by their clocks, not by what lies between them, unless both are in UTC."""
    return when.astimezone(UTC)


def _points(share: Share, most: float) -> float:
    return most * share.amount / 100 if share.percent else share.amount


def _shown(policy: Policy, when: datetime) -> str:
    return when.astimezone(_zone(policy)).isoformat(" ", "seconds")


def _count(number: float, thing: str) -> str:
    return f"{number:g} {thing}" if number == 1 else f"{number:g} {thing}s"
