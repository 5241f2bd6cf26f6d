"""policy: what lateness costs, from a submission's own time stamp, wherever and whenever it is asked."""

import os
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder import policy
from autograder.ledger import from_json, to_json
from autograder.records import Extension, Grade, Late, Outcome, Policy, Share

DUE = datetime.fromisoformat("2026-03-12T23:59:00+01:00")
TENTH = Share(10, percent=True)
PLAIN = Policy(DUE, per_day=TENTH)
BERLIN = "Europe/Berlin"
MICROSECOND = timedelta(microseconds=1)


def work(at, score=16.0, clock="gradescope", **more):
    stamp = at.isoformat() if isinstance(at, datetime) else at
    known = {"status": Outcome.GRADED, "max_score": 20.0, "isolation": "self", "device": "cpu", "seconds": 1.0}
    return Grade(submission="ada", student="ada", assignment="toy", score=score, handed_in=stamp, clock=clock, **{**known, **more})  # fmt: skip  # noqa: E501


def settled(rules, at, extension=None, **more):
    """(days, penalty, final score)"""
    grade = policy.settle(rules, work(at, **more), extension)
    return grade.late.days, grade.late.penalty, grade.score


@pytest.mark.parametrize(
    ("after", "days"),
    [
        (timedelta(days=-400), 0),
        (-MICROSECOND, 0),
        (timedelta(0), 0),
        (MICROSECOND, 1),
        (timedelta(hours=23, minutes=59), 1),
        (timedelta(days=1), 1),
        (timedelta(days=1) + MICROSECOND, 2),
        (timedelta(days=2), 2),
        (timedelta(days=365), 365),
        (timedelta(days=365) + MICROSECOND, 366),
    ],
)
def test_a_day_is_late_once_it_has_begun(after, days):
    assert policy.days_late(PLAIN, DUE, DUE + after) == days


@given(st.integers(0, 10**9), st.integers(-14 * 60, 14 * 60))
def test_days_are_counted_as_by_division_and_in_no_zone_differently(seconds, minutes):
    at = (DUE + timedelta(seconds=seconds)).astimezone(timezone(timedelta(minutes=minutes)))
    assert policy.days_late(PLAIN, DUE, at) == -(-seconds // 86_400)
    assert policy.days_late(PLAIN, DUE.astimezone(UTC), at) == -(-seconds // 86_400)


def test_the_same_moment_in_any_zone_costs_the_same():
    at = DUE + timedelta(hours=30)
    stamps = [at, at.astimezone(UTC), at.astimezone(timezone(timedelta(hours=-11))), at.isoformat().replace("T", " ")]
    assert {settled(PLAIN, stamp) for stamp in stamps} == {(2, 4.0, 12.0)}


def test_it_depends_on_no_clock_and_no_zone_of_this_machine(monkeypatch):
    grade = work(DUE + timedelta(hours=1))
    found = set()
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        monkeypatch.setitem(os.environ, "TZ", zone)
        time.tzset()
        found.add(policy.settle(PLAIN, grade))
        found.add(policy.settle(replace(PLAIN, zone=BERLIN), grade))
    monkeypatch.undo()
    time.tzset()
    assert len(found) == 1


def test_the_grace_is_not_late_but_after_it_the_day_has_begun_at_the_deadline():
    rules = replace(PLAIN, grace=600.0)
    assert settled(rules, DUE + timedelta(minutes=10))[0] == 0
    assert settled(rules, DUE + timedelta(minutes=10) + MICROSECOND)[0] == 1
    assert settled(rules, DUE + timedelta(days=1))[0] == 1
    assert settled(rules, DUE + timedelta(days=1) + MICROSECOND)[0] == 2


def test_late_days_are_free_and_the_next_is_the_first_that_costs():
    rules = replace(PLAIN, late_days=2)
    two, three = DUE + timedelta(days=2), DUE + timedelta(days=2, seconds=1)
    assert settled(rules, two) == (2, 0.0, 16.0)
    assert settled(rules, three) == (3, 2.0, 14.0)
    assert "2 days late; 2 days free. Nothing was taken away." in policy.settle(rules, work(two)).late.says
    assert "3 days late; 2 days free. 2 points taken away." in policy.settle(rules, work(three)).late.says


@pytest.mark.parametrize(
    ("per_day", "cap", "days", "score", "penalty"),
    [
        (TENTH, None, 1, 16.0, 2.0),
        (TENTH, None, 3, 16.0, 6.0),
        (TENTH, None, 9, 16.0, 16.0),
        (TENTH, None, 9, 0.0, 0.0),
        (TENTH, Share(50, percent=True), 9, 16.0, 10.0),
        (TENTH, Share(3), 9, 16.0, 3.0),
        (TENTH, Share(50), 9, 16.0, 16.0),
        (Share(1.5), None, 2, 16.0, 3.0),
        (Share(1.5), Share(10, percent=True), 2, 16.0, 2.0),
        (Share(100, percent=True), None, 1, 16.0, 16.0),
        (Share(0.0), None, 5, 16.0, 0.0),
        (Share(1 / 3), None, 1, 16.0, 0.3333),
        (Share(0.1), None, 3, 16.0, 0.3),
        (Share(7, percent=True), None, 3, 17.85, 4.2),
    ],
)
def test_what_is_taken(per_day, cap, days, score, penalty):
    rules = Policy(DUE, per_day=per_day, cap=cap)
    found = policy.settle(rules, work(DUE + timedelta(days=days), score))
    assert found.late == replace(found.late, raw_score=score, penalty=penalty, days=days)
    assert found.score == round(score - penalty, 4) >= 0


@given(
    st.integers(0, 10**7), st.floats(0, 20), st.floats(0.01, 100), st.one_of(st.none(), st.floats(0.01, 100)),
    st.integers(0, 9), st.booleans(),
)  # fmt: skip
def test_nothing_below_zero_nothing_above_what_was_earned_and_later_never_costs_less(
    seconds, score, amount, cap, free, percent
):
    limit = None if cap is None else Share(cap, percent)
    rules = Policy(DUE, late_days=free, per_day=Share(amount, percent), cap=limit)
    now, later = (settled(rules, DUE + timedelta(seconds=s), score=score) for s in (seconds, seconds + 50_000))
    assert 0 <= now[1] <= score + 1e-4 and -1e-4 <= now[2] <= score + 1e-4
    assert later[1] >= now[1]


def test_after_it_closes_nothing_is_left_and_at_that_moment_it_is():
    rules = replace(PLAIN, closes=DUE + timedelta(days=3), cap=Share(1))
    assert settled(rules, rules.closes) == (3, 1.0, 15.0)
    assert settled(rules, rules.closes + MICROSECOND) == (4, 16.0, 0.0)
    says = policy.settle(rules, work(rules.closes + MICROSECOND)).late.says
    assert says.endswith("4 days late. Nothing was accepted after 2026-03-15 23:59:00+01:00.")


@pytest.mark.parametrize(
    ("extension", "due"),
    [
        (Extension(), DUE),
        (Extension(days=3), DUE + timedelta(days=3)),
        (Extension(until=date(2026, 3, 15)), DUE + timedelta(days=3)),
        (Extension(until=DUE + timedelta(hours=5)), DUE + timedelta(hours=5)),
        (Extension(until=date(2026, 3, 1)), DUE),
        (Extension(until=DUE - timedelta(days=9)), DUE),
    ],
)
def test_an_extension_moves_the_deadline_and_never_back(extension, due):
    rules = replace(PLAIN, closes=DUE + timedelta(days=2))
    assert policy.deadline(rules, extension) == due
    assert policy.last_moment(rules, extension) == rules.closes + (due - DUE)
    assert settled(rules, due, extension)[0] == 0
    assert settled(rules, due + MICROSECOND, extension)[0] == 1
    assert settled(rules, due + timedelta(days=2) + MICROSECOND, extension)[2] == 0.0
    assert policy.settle(rules, work(due), extension).late.due == due.isoformat()


def test_a_day_of_the_extension_is_read_in_the_deadlines_own_zone():
    midnight = datetime.fromisoformat("2026-03-12T00:30:00+05:30")
    assert policy.deadline(Policy(midnight), Extension(until=date(2026, 3, 14))) == midnight + timedelta(days=2)


@pytest.mark.parametrize(
    ("due", "days", "hours"),
    [
        ("2026-03-27T23:59:00+01:00", 1, 24),
        ("2026-03-28T23:59:00+01:00", 1, 23),
        ("2026-03-28T02:30:00+01:00", 1, 24),
        ("2026-10-24T23:59:00+02:00", 1, 25),
        ("2026-10-24T02:30:00+02:00", 1, 25),
        ("2026-10-25T02:30:00+02:00", 1, 25),
        ("2026-10-25T02:30:00+01:00", 1, 24),
        ("2026-10-20T23:59:00+02:00", 7, 7 * 24 + 1),
    ],
)
def test_a_day_with_a_zone_ends_at_the_same_time_of_day_though_the_clocks_change(due, days, hours):
    start = datetime.fromisoformat(due)
    rules = Policy(start, zone=BERLIN, per_day=TENTH)
    end = start + timedelta(hours=hours)
    assert policy.after(rules, start, days).astimezone(UTC) == end.astimezone(UTC)
    assert policy.days_late(rules, start, end) == days
    assert policy.days_late(rules, start, end + MICROSECOND) == days + 1
    assert policy.days_late(rules, start, end.astimezone(UTC)) == days
    extended = policy.deadline(rules, Extension(days=days)).astimezone(UTC)
    assert extended == end.astimezone(UTC)
    assert policy.deadline(replace(rules, zone=""), Extension(days=days)) == start + timedelta(days=days)


def test_the_hour_that_comes_twice_and_the_one_that_never_comes_go_the_students_way():
    autumn = Policy(datetime.fromisoformat("2026-10-24T02:30:00+02:00"), zone=BERLIN)
    assert policy.after(autumn, autumn.due, 1).astimezone(UTC).isoformat() == "2026-10-25T01:30:00+00:00"
    spring = Policy(datetime.fromisoformat("2026-03-28T02:30:00+01:00"), zone=BERLIN)
    assert policy.after(spring, spring.due, 1).astimezone(UTC).isoformat() == "2026-03-29T01:30:00+00:00"


def test_closing_moves_by_days_of_the_zone_too():
    rules = Policy(
        datetime.fromisoformat("2026-10-20T23:59:00+02:00"),
        zone=BERLIN,
        closes=datetime.fromisoformat("2026-10-22T23:59:00+02:00"),
    )
    moved = policy.last_moment(rules, Extension(days=7))
    assert moved.astimezone(UTC) == datetime.fromisoformat("2026-10-29T23:59:00+01:00")
    assert policy.last_moment(rules, Extension(until=rules.due + timedelta(hours=3))) == rules.closes + timedelta(
        hours=3
    )
    assert policy.last_moment(replace(rules, closes=None), Extension(days=7)) is None


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "yesterday",
        "2026-03-14",
        "2026-03-14T10:00:00",
        "1970-01-01T00:00:00+00:00",
        "2999-01-01T00:00:00+00:00",
        "0001-01-01T00:00:00+05:00",
    ],
)
def test_without_a_time_stamp_it_says_so_and_takes_nothing(stamp):
    grade = policy.settle(PLAIN, work(stamp))
    assert (grade.score, grade.late.penalty, grade.late.days) == (16.0, 0.0, 0)
    assert grade.late.says.startswith("No time stamp is known") and "Nothing was taken away" in grade.late.says


def test_marked_late_without_a_time_takes_nothing_and_says_so():
    late = policy.settle(PLAIN, work("", clock="canvas", marked_late=True)).late
    assert (late.penalty, late.days) == (0.0, 0)
    assert "marked as late where it was handed in, but not how late" in late.says
    assert "Nothing was taken" in policy.settle(PLAIN, work("", status=Outcome.UNREADABLE, score=0.0)).late.says


def test_a_files_own_time_counts_unless_the_policy_says_no():
    late = work(DUE + timedelta(days=1), clock="file")
    assert policy.settle(PLAIN, late).score == 14.0
    assert policy.settle(replace(PLAIN, file_times=False), late).score == 16.0
    assert policy.settle(replace(PLAIN, file_times=False), work(DUE + timedelta(days=1))).score == 14.0


def test_on_time_is_said_with_both_moments_in_the_zone_of_the_policy():
    at = datetime.fromisoformat("2026-03-12T12:00:00.25+00:00")
    assert policy.settle(PLAIN, work(at)).late.says == (
        "Handed in 2026-03-12 13:00:00+01:00, due 2026-03-12 23:59:00+01:00: on time."
    )
    late = policy.settle(replace(PLAIN, zone=BERLIN), work("2026-04-01T10:00:00Z")).late
    assert late.says.startswith("Handed in 2026-04-01 12:00:00+02:00, due 2026-03-12 23:59:00+01:00: 20 days late.")


def test_what_is_pending_or_settled_or_has_no_policy_stays_as_it_is():
    grade = work(DUE + timedelta(days=1))
    pending = replace(grade, score=None, max_score=None, status=Outcome.INTERNAL)
    assert policy.settle(PLAIN, pending) is pending
    assert policy.settle(None, grade) is grade
    once = policy.settle(PLAIN, grade)
    assert policy.settle(PLAIN, once) is once
    assert policy.unsettled(pending, "x") is pending
    assert policy.unsettled(grade, "Two people have that name.").late == Late(
        16.0, 0.0, 0, "", "Two people have that name. Nothing was taken away."
    )


def test_a_settled_grade_survives_the_ledger_and_an_old_one_has_no_stamp():
    grade = work(DUE + timedelta(days=1), people=("sid=7",), marked_late=True)
    for each in (grade, policy.settle(PLAIN, grade), work("")):
        assert from_json(to_json(each)) == each
    text = to_json(work("", clock=""))
    assert "handed_in" not in text and "people" not in text
