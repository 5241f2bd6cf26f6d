"""Real files: nothing acknowledged is lost, nothing is doubled, and each way to fail says what to do."""

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder import gradebook
from autograder.errors import GradebookError, InstructorError
from autograder.gradebook import Gradebook, Origin, Roll
from autograder.ledger import from_json, to_json
from autograder.records import Adjusted, Adjustment, Basis, Cell, CheckResult, Grade, Outcome, Status

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CHECKS = (
    CheckResult("test_a", "Agrees.", 2.0, 2.0, Status.PASSED),
    CheckResult("test_b", "Masks.", 0.0, 3.0, Status.TIMED_OUT, "too slow", "no-mask", "trace\nback"),
)
GRADE = Grade(
    submission="alice__a",
    student="Alice",
    assignment="a1",
    status=Outcome.GRADED,
    score=2.0,
    max_score=5.0,
    isolation="self",
    device="cpu",
    seconds=0.1 + 0.2,
    checks=CHECKS,
    notes=("one", "two"),
    detail="\ud800 \0 é",
    digest="d1",
    version="v1",
    cpu_seconds=1 / 3,
)

BASIS = Basis("s", (("test_a", "a"), ("test_b", "b")), ("test_b",), "m", "k", "hmac", "2", "3.11", "0.1")
SCHEMA_1 = (
    "CREATE TABLE attempt (number INTEGER PRIMARY KEY AUTOINCREMENT, recorded TEXT NOT NULL, assignment TEXT NOT NULL,"
    " submission TEXT NOT NULL, student TEXT NOT NULL, digest TEXT NOT NULL, version TEXT NOT NULL,"
    " device TEXT NOT NULL, status TEXT NOT NULL, score REAL, max_score REAL, grade TEXT NOT NULL)",
    "CREATE INDEX attempt_of_submission ON attempt (assignment, submission, number)",
    f"PRAGMA application_id = {gradebook.OURS}",
    "PRAGMA user_version = 1",
)
GRADE_1 = """{"submission":"alice__a","student":"Alice","assignment":"a1","status":"graded","score":2.0,"max_score":5.0,
"isolation":"self","device":"cpu","seconds":0.30000000000000004,"checks":[{"name":"test_a","title":"Agrees.",
"points":2.0,"max_points":2.0,"status":"passed","feedback":"","misconception":null,"detail":""},{"name":"test_b",
"title":"Masks.","points":0.0,"max_points":3.0,"status":"timed_out","feedback":"too slow","misconception":"no-mask",
"detail":"trace\\nback"}],"notes":["one","two"],"detail":"","digest":"d1","version":"v1",
"cpu_seconds":0.3333333333333333}"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "grades.db"


texts = st.text(st.characters())
numbers = st.floats(allow_nan=False)
adjusted = st.none() | st.builds(Adjusted, st.none() | numbers, texts, texts, texts, st.booleans())
checks = st.builds(
    CheckResult, texts, texts, numbers, numbers, st.sampled_from(Status), texts, st.none() | texts, texts, adjusted
)
grades = st.builds(
    Grade,
    *(texts, texts, texts, st.sampled_from(Outcome), st.none() | numbers, st.none() | numbers, texts, texts, numbers),
    checks=st.lists(checks, max_size=3).map(tuple),
    notes=st.lists(texts, max_size=3).map(tuple),
    detail=texts,
    digest=texts,
    version=texts,
    cpu_seconds=numbers,
    taken=st.lists(texts, max_size=2).map(tuple),
    cells=st.lists(st.builds(Cell, st.integers(), texts, st.booleans()), max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(grade=grades)
def test_a_grade_survives_json_exactly(grade):
    assert from_json(to_json(grade)) == grade
    assert to_json(grade).isascii() and "\n" not in to_json(grade)


def test_every_field_is_carried_with_its_type():
    again = from_json(to_json(GRADE))
    assert again == GRADE and hash(again) == hash(GRADE)
    for field in fields(Grade):
        assert type(getattr(again, field.name)) is type(getattr(GRADE, field.name))
    assert type(again.checks[1].status) is Status
    assert math.isnan(from_json(to_json(replace(GRADE, seconds=math.nan))).seconds)


def test_later_fields_have_their_defaults():
    assert from_json(to_json(GRADE).replace(',"cpu_seconds":0.3333333333333333', "")).cpu_seconds == 0.0


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", to_json(GRADE).replace('"graded"', '"x"'), '{"checks":[3]}'])
def test_what_is_no_grade_is_refused(text):
    with pytest.raises(ValueError, match="not a grade"):
        from_json(text)


def test_every_attempt_is_kept_and_the_last_one_counts(path):
    second = replace(GRADE, score=5.0)
    other = replace(GRADE, submission="Bob", student="Bob")
    with Gradebook.open(path) as book:
        book.record(GRADE, NOW)
        book.record_all([second, other, replace(GRADE, assignment="a2")], NOW + timedelta(hours=1))
    with Gradebook.open(path) as book:
        assert book.latest("a1") == [other, second]
        assert [attempt.grade for attempt in book.attempts("a1", "alice__a")] == [GRADE, second]
        assert len(book.attempts("a1")) == 3 and book.attempts("a3") == []
        first, *_ = book.attempts("a1")
        assert first.number == 1 and first.recorded == NOW


def test_stamps_are_kept_in_utc(path):
    with Gradebook.open(path) as book:
        book.record(GRADE, NOW.astimezone(timezone(timedelta(hours=9))))
        assert book.attempts("a1")[0].recorded.isoformat() == "2026-03-01T12:00:00+00:00"


def test_what_is_known_is_the_last_that_came_to_an_end(path):
    pending = replace(GRADE, submission="pending", status=Outcome.INTERNAL, score=None, max_score=None)
    unreadable = replace(GRADE, submission="odd", status=Outcome.UNREADABLE, digest="")
    later, other = replace(GRADE, digest="d2"), replace(GRADE, version="v2")
    with Gradebook.open(path) as book:
        book.record_all([GRADE, pending, unreadable, later, other], NOW)
        book.record_all([replace(GRADE, device="cuda"), replace(GRADE, status=Outcome.INTERNAL, score=None)], NOW)
        known = book.known("a1", "cpu")
        assert book.numbers("a1") == {"alice__a": 7, "pending": 2, "odd": 3}
        assert book.versions("a1") == ["v2", "v1"] and book.versions("a2") == []
        assert [grade.submission for grade in book.latest("a1", "v2")] == ["alice__a"]
    assert {key: attempt.grade for key, attempt in known.items()} == {
        ("alice__a", "d1"): other,
        ("alice__a", "d2"): later,
        ("odd", ""): unreadable,
    }


def test_an_attempt_keeps_its_code_and_what_it_rests_on(path):
    cells = (Cell(1, "import torch\n"), Cell(2, "x = 'é'\n", skip=True))
    first, second = replace(GRADE, cells=cells), replace(GRADE, score=5.0)
    with Gradebook.open(path) as book:
        book.record(first, NOW, Origin(BASIS, ".py"))
        book.record(second, NOW, Origin(replace(BASIS, torch="3"), ".py"))
        book.record(GRADE, NOW)
    with Gradebook.open(path) as book:
        one, two, three = book.attempts("a1")
        assert (one.grade, one.basis, one.suffix) == (GRADE, BASIS, ".py")
        assert two.basis.torch == "3" and book.code(one) == book.code(two) == cells
        assert (three.basis, three.suffix, book.code(three)) == (None, "", ())
        book._connection.execute("""UPDATE basis SET content = '{"later": 1}'""")
        assert [attempt.basis for attempt in book.attempts("a1")] == [None] * 3


def test_every_word_is_kept_and_the_last_one_counts(path):
    word = Adjustment("a1", "alice__a", "test_b", 3.0, 3.0, "slow machine\ud800", "Emmy", "Well done.", "d1")
    with Gradebook.open(path) as book:
        book.record(GRADE, NOW)
        for each in (word, replace(word, points=1.5), replace(word, assignment="a2", points=0.0)):
            book.adjust(each, NOW)
    with Gradebook.open(path) as book:
        said = replace(word, reason="slow machine?")
        assert book.adjustments("a1") == {"alice__a": [said, replace(said, points=1.5)]}
        (grade,) = book.latest("a1")
        assert (grade.score, grade.checks[1].points) == (3.5, 1.5)
        assert book.attempts("a1")[0].grade == GRADE
        book.adjust(replace(word, points=None), NOW)
        assert book.latest("a1") == [GRADE] and len(book.adjustments("a1")["alice__a"]) == 3


def test_the_roll_is_of_the_last_run(path, tmp_path):
    with Gradebook.open(path) as book:
        assert book.roll("a1") is None
        book.call_the_roll("a1", Roll(tmp_path / "out", {"a": True, "b": False}))
        book.call_the_roll("a1", Roll(tmp_path / "other", {"b": True}))
        assert book.roll("a2") is None
        assert book.roll("a1").counts == {"b": True} and book.roll("a1").folder.resolve() == tmp_path / "other"


def test_the_gradebook_that_is_meant_is_found(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InstructorError, match=r"neither gradebook.sqlite nor report/gradebook.sqlite exists"):
        gradebook.find(None)
    with pytest.raises(InstructorError, match="nowhere is none and holds none"):
        gradebook.find(Path("nowhere"))
    (tmp_path / "report").mkdir()
    for place in (path, tmp_path / "report" / "gradebook.sqlite"):
        Gradebook.open(place).close()
    assert gradebook.find(path) == path
    assert gradebook.find(tmp_path / "report") == tmp_path / "report" / "gradebook.sqlite"
    assert gradebook.find(None) == Path("report/gradebook.sqlite")


def test_what_is_meant_is_told_from_what_there_is(path):
    with Gradebook.open(path) as book:
        with pytest.raises(InstructorError, match="it holds no grade yet"):
            book.meant(None)
        book.record_all([GRADE, *(replace(GRADE, submission=f"s{n:02}") for n in range(30))], NOW)
        assert book.meant(None) == book.meant("a1") == "a1"
        with pytest.raises(InstructorError, match=r"no grade of 'a2': it holds a1. Name one with --assignment"):
            book.meant("a2")
        book.record(replace(GRADE, assignment="a2"), NOW)
        with pytest.raises(InstructorError, match="not just one assignment: it holds a1, a2"):
            book.meant(None)
        book.known_submission("a1", "s00")
        with pytest.raises(InstructorError, match=r"no submission 'alice_a' of a1. Did you mean alice__a"):
            book.known_submission("a1", "alice_a")
        with pytest.raises(InstructorError, match=r"It holds alice__a, s00, .*, s08 and 21 more"):
            book.known_submission("a1", "xyz")


def test_a_gradebook_of_the_first_schema_is_opened_with_all_that_it_holds(path):
    old = sqlite3.connect(path, isolation_level=None)
    for statement in SCHEMA_1:
        old.execute(statement)
    columns = "recorded, assignment, submission, student, digest, version, device, status, score, max_score, grade"
    row = (NOW.isoformat(), "a1", "alice__a", "Alice", "d1", "v1", "cpu", "graded", 2.0, 5.0, GRADE_1)
    old.execute(f"INSERT INTO attempt ({columns}) VALUES ({', '.join('?' * 11)})", row)
    old.close()
    with Gradebook.open(path) as book:
        (attempt,) = book.attempts("a1")
        assert attempt.grade == replace(GRADE, detail="") and attempt.recorded == NOW
        assert (attempt.basis, attempt.suffix, book.code(attempt)) == (None, "", ())
        assert list(book.known("a1", "cpu")) == [("alice__a", "d1")] and book.roll("a1") is None
        book.adjust(Adjustment("a1", "alice__a", "test_b", 3.0, 3.0, "r"), NOW)
        book.record(replace(GRADE, version="v2"), NOW, Origin(BASIS, ".py"))
        assert book.latest("a1", "v1")[0].score == 5.0 and book.versions("a1") == ["v1", "v2"]


def test_all_or_none_is_recorded(path):
    with Gradebook.open(path) as book:
        with pytest.raises(TypeError):
            book.record_all([GRADE, None], NOW)
        assert book.attempts("a1") == []
        book.record_all([], NOW)
        book.record(GRADE, NOW)
        assert len(book.attempts("a1")) == 1


def test_commits_reach_the_disk(path):
    with Gradebook.open(path) as book:
        assert book._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert book._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


WRITER = """
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from autograder.gradebook import Gradebook
from autograder.ledger import from_json
grade = from_json(sys.argv[2])
start = int(sys.argv[3])
with Gradebook.open(Path(sys.argv[1])) as book:
    print("open", flush=True)
    for number in range(start, start + 100_000):
        grades = [replace(grade, submission=f"s{number}-{part}", digest=str(number)) for part in range(number % 3 + 1)]
        book.record_all(grades, datetime.now(UTC))
        print(number, flush=True)
"""


def test_nothing_is_lost_or_doubled_by_kill_9(path):
    random.seed(7)
    acknowledged, started = set(), 0
    for _ in range(20):
        command = [sys.executable, "-c", WRITER, str(path), to_json(GRADE), str(started)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "open\n"
        time.sleep(random.uniform(0, 0.1))
        writer.send_signal(signal.SIGKILL)
        printed = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        writer.wait()
        writer.stdout.close()
        acknowledged.update(int(line) for line in printed)
        started = max([started, *acknowledged]) + 10
    with Gradebook.open(path) as book:
        found = [attempt.grade for attempt in book.attempts("a1")]
        assert book._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    parts = {}
    for grade in found:
        parts.setdefault(int(grade.digest), []).append(grade.submission)
    assert len(acknowledged) > 20 and acknowledged <= parts.keys()
    assert len(parts) - len(acknowledged) <= 20
    for number, names in parts.items():
        assert names == [f"s{number}-{part}" for part in range(number % 3 + 1)]


def test_several_processes_take_turns(path):
    writers = []
    for start in (0, 1_000_000):
        program = WRITER.replace("100_000", "30")
        writers.append(
            subprocess.Popen([sys.executable, "-c", program, str(path), to_json(GRADE), str(start)], stdout=-3)
        )
    assert [writer.wait() for writer in writers] == [0, 0]
    with Gradebook.open(path) as book:
        assert len(book.attempts("a1")) == 120


def test_a_busy_gradebook_says_so(path):
    with Gradebook.open(path, patience=0.05) as book:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GradebookError, match=r"grades\.db is in use by another process\. Wait"):
            book.record(GRADE, NOW)
        other.execute("ROLLBACK")
        book.record(GRADE, NOW)
        other.close()


def test_what_is_no_gradebook_is_left_alone(path, tmp_path):
    path.write_text("submission,student\n" * 100)
    with pytest.raises(GradebookError, match="another kind of file"):
        Gradebook.open(path)
    assert path.read_text() == "submission,student\n" * 100
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(GradebookError, match="another program"):
        Gradebook.open(other)
    assert other.read_bytes() == before


def test_a_folder_that_is_missing_or_in_the_way(path, tmp_path):
    with pytest.raises(GradebookError, match="can't be opened: its folder must exist"):
        Gradebook.open(tmp_path / "no" / "grades.db")
    with pytest.raises(GradebookError, match="can't be opened"):
        Gradebook.open(tmp_path)


def test_a_full_disk_and_a_read_only_file_say_so(path):
    with Gradebook.open(path) as book:
        pages = book._connection.execute("PRAGMA page_count").fetchone()[0]
        book._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(GradebookError, match="disk is full"):
            book.record_all([replace(GRADE, detail="x" * 100_000)] * 3, NOW)
        book._connection.execute("PRAGMA max_page_count = 100000")
        assert book.attempts("a1") == []
        book._connection.execute("PRAGMA query_only = 1")
        with pytest.raises(GradebookError, match="read-only"):
            book.record(GRADE, NOW)


def test_a_read_only_folder_says_so():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        with pytest.raises(GradebookError, match="writable"):
            Gradebook.open(folder / "grades.sqlite")
    finally:
        os.seteuid(user)
        folder.rmdir()


def test_a_damaged_file_says_so(path):
    with Gradebook.open(path) as book:
        book.record_all([replace(GRADE, submission=f"s{n}", detail="x" * 3000) for n in range(50)], NOW)
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(GradebookError, match="is damaged"), Gradebook.open(path) as book:
        book.attempts("a1")


def test_older_files_are_migrated_and_newer_ones_refused(path, monkeypatch):
    with Gradebook.open(path) as book:
        book.record(GRADE, NOW)
    more = (*gradebook.MIGRATIONS, ("CREATE TABLE note (text TEXT)", "INSERT INTO note VALUES ('new')"))
    with monkeypatch.context() as later:
        later.setattr(gradebook, "MIGRATIONS", more)
        for _ in range(2):
            with Gradebook.open(path) as book:
                assert book.latest("a1") == [GRADE]
                assert book._connection.execute("SELECT text FROM note").fetchall() == [("new",)]
    known = len(gradebook.MIGRATIONS)
    with pytest.raises(GradebookError, match=rf"schema {known + 1}; this version knows up to {known}\. Upgrade"):
        Gradebook.open(path)


def test_an_attempt_of_another_version_says_so(path):
    with Gradebook.open(path) as book:
        book.record(GRADE, NOW)
        book._connection.execute("UPDATE attempt SET grade = '{}'")
        with pytest.raises(GradebookError, match="newer version"):
            book.latest("a1")
