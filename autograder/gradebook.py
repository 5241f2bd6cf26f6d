"""The gradebook: an SQLite file that keeps every attempt. What `record` has kept survives kill -9 and power loss.

Beside each attempt it keeps what is needed to grade it again: the code that was judged, and on what the grade rests.
The instructor's words are kept apart from attempts; `latest` applies them, and nothing changes what was recorded.
"""

import difflib
import fcntl
import hashlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from autograder import adjustments
from autograder.errors import GradebookError, InstructorError
from autograder.ledger import from_json, to_json
from autograder.records import Adjustment, Basis, Cell, Grade, Outcome
from autograder.text import line

FILE = "gradebook.sqlite"

OURS = 0x6A7E0001
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE attempt (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            recorded TEXT NOT NULL,
            assignment TEXT NOT NULL,
            submission TEXT NOT NULL,
            student TEXT NOT NULL,
            digest TEXT NOT NULL,
            version TEXT NOT NULL,
            device TEXT NOT NULL,
            status TEXT NOT NULL,
            score REAL,
            max_score REAL,
            grade TEXT NOT NULL
        )""",
        "CREATE INDEX attempt_of_submission ON attempt (assignment, submission, number)",
    ),
    (
        "CREATE TABLE basis (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE code (
            digest TEXT NOT NULL,
            suffix TEXT NOT NULL,
            cells BLOB NOT NULL,
            PRIMARY KEY (digest, suffix)
        )""",
        "ALTER TABLE attempt ADD COLUMN basis TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE attempt ADD COLUMN suffix TEXT NOT NULL DEFAULT ''",
        """CREATE TABLE adjustment (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            recorded TEXT NOT NULL,
            assignment TEXT NOT NULL,
            submission TEXT NOT NULL,
            "check" TEXT NOT NULL,
            points REAL,
            max_points REAL NOT NULL,
            reason TEXT NOT NULL,
            "by" TEXT NOT NULL,
            comment TEXT NOT NULL,
            digest TEXT NOT NULL
        )""",
        "CREATE INDEX adjustment_of_submission ON adjustment (assignment, submission, number)",
        """CREATE TABLE roll (
            assignment TEXT NOT NULL,
            submission TEXT NOT NULL,
            counts INTEGER NOT NULL,
            PRIMARY KEY (assignment, submission)
        ) WITHOUT ROWID""",
        "CREATE TABLE report (assignment TEXT PRIMARY KEY, folder TEXT NOT NULL) WITHOUT ROWID",
    ),
)
COLUMNS = (
    "recorded, assignment, submission, student, digest, version, device, status, score, max_score, grade, basis, suffix"
)
WORD = 'assignment, submission, "check", points, max_points, reason, "by", comment, digest'


@dataclass(frozen=True, slots=True)
class Attempt:
    """One grading, as it was recorded. Numbers grow. suffix: of the file, `.ipynb` or `.py`; empty if not known."""

    number: int
    recorded: datetime
    grade: Grade
    basis: Basis | None = None
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a grade comes from, beside its code. suffix: of the file that was handed in."""

    basis: Basis
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Roll:
    """What the last run covered. folder: where its report is.  counts: of each submission, whether it counts."""

    folder: Path
    counts: dict[str, bool]


def find(place: Path | None) -> Path:
    """The gradebook that is meant: a file, or the folder that `grade --out` wrote; else one of this folder or report/.

    Raises InstructorError where there is none.
    """
    places = [place] if place is not None else [Path(), Path("report")]
    for each in places:
        path = each / FILE if each.is_dir() else each
        if path.is_file():
            return path
    looked = f"{place} is none and holds none" if place is not None else f"neither {FILE} nor report/{FILE} exists here"
    raise InstructorError(
        f"No gradebook found: {looked}. Name with --gradebook the file, or the folder that `grade --out` wrote."
    )


class Gradebook:
    """One process writes at a time, others wait for `patience` seconds. Use as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, patience: float = 10.0) -> Self:
        """Open a gradebook, or begin one where there is none.

        Raises GradebookError if it can't be opened, is another kind of file, or comes from a newer version.
        """
        path = Path(path)
        new = not path.exists()
        with _explained(path):
            connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
        try:
            with _explained(path):
                _refuse_others(path, connection)
                _make_durable(connection, patience)
                _migrate(path, connection)
            if new:
                _keep_name(path)
        except BaseException:
            connection.close()
            raise
        return cls(path, connection)

    @contextmanager
    def claimed(self, assignment: str) -> Iterator[None]:
        """Keep others from grading the same assignment into this file: each would do all of it.

        Raises GradebookError where another has claimed it. A killed process and its forks hold no claim.
        """
        path = self.path.with_name(f"{self.path.name}-{assignment}.lock")
        lock = _lock(path)
        if lock is None:
            raise GradebookError(
                f"{assignment} is being graded into {self.path} by another process. Wait until that has finished and "
                "run this again, or grade into another file with --gradebook."
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(lock)

    def record(self, grade: Grade, stamp: datetime, origin: Origin | None = None) -> None:
        """Keep one more attempt, and its code where it has that. It is on the disk when this returns."""
        self.record_all([(grade, origin)], stamp)

    def record_all(self, grades: Iterable[Grade | tuple[Grade, Origin | None]], stamp: datetime) -> None:
        """Keep these attempts, all or none."""
        pairs = [(each, None) if isinstance(each, Grade) else each for each in grades]
        known = {origin.basis: _basis_row(origin.basis) for _, origin in pairs if origin is not None}
        rows = [_row(grade, stamp, known[origin.basis][0] if origin else "", origin) for grade, origin in pairs]
        codes = [_code_row(grade, origin) for grade, origin in pairs if origin is not None and grade.cells]
        with _explained(self.path), _transaction(self._connection):
            marks = ", ".join("?" * len(COLUMNS.split(",")))
            self._connection.executemany("INSERT OR IGNORE INTO basis VALUES (?, ?)", known.values())
            self._connection.executemany("INSERT OR IGNORE INTO code VALUES (?, ?, ?)", codes)
            self._connection.executemany(f"INSERT INTO attempt ({COLUMNS}) VALUES ({marks})", rows)  # noqa: S608

    def code(self, attempt: Attempt) -> tuple[Cell, ...]:
        """The code that was judged, as the cells of its file; empty if it was not kept."""
        query = "SELECT cells FROM code WHERE digest = ? AND suffix = ?"
        with _explained(self.path):
            row = self._connection.execute(query, (_storable(attempt.grade.digest), attempt.suffix)).fetchone()
        cells = json.loads(zlib.decompress(row[0])) if row else []
        return tuple(Cell(number, source, skip) for number, (source, skip) in enumerate(cells, 1))

    def adjust(self, word: Adjustment, stamp: datetime) -> None:
        """Keep one more word of the instructor's."""
        marks = ", ".join("?" * (1 + len(fields(word))))
        plain = (_storable(value) if isinstance(value, str) else value for value in asdict(word).values())
        values = (stamp.astimezone(UTC).isoformat(), *plain)
        with _explained(self.path), _transaction(self._connection):
            self._connection.execute(f"INSERT INTO adjustment (recorded, {WORD}) VALUES ({marks})", values)  # noqa: S608

    def adjustments(self, assignment: str) -> dict[str, list[Adjustment]]:
        """Every word of the instructor's on each submission, oldest first."""
        query = f"SELECT {WORD} FROM adjustment WHERE assignment = ? ORDER BY number"  # noqa: S608
        with _explained(self.path):
            rows = self._connection.execute(query, (assignment,)).fetchall()
        found: dict[str, list[Adjustment]] = {}
        for row in rows:
            word = Adjustment(*row)
            found.setdefault(word.submission, []).append(word)
        return found

    def adjusted(self, assignment: str, grades: Iterable[Grade]) -> list[Grade]:
        """These grades, with the instructor's last word on each check."""
        words = self.adjustments(assignment)
        return [adjustments.apply(grade, words.get(grade.submission, ())) for grade in grades]

    def call_the_roll(self, assignment: str, roll: Roll) -> None:
        """Keep what this run covers, in place of the run before."""
        rows = [(assignment, submission, counts) for submission, counts in roll.counts.items()]
        folder = os.path.relpath(roll.folder, self.path.parent)  # the two are moved together
        with _explained(self.path), _transaction(self._connection):
            self._connection.execute("DELETE FROM roll WHERE assignment = ?", (assignment,))
            self._connection.executemany("INSERT INTO roll VALUES (?, ?, ?)", rows)
            self._connection.execute("INSERT OR REPLACE INTO report VALUES (?, ?)", (assignment, folder))

    def roll(self, assignment: str) -> Roll | None:
        """What the last run covered; None if no run has ended yet."""
        query = "SELECT submission, counts FROM roll WHERE assignment = ? ORDER BY submission"
        with _explained(self.path):
            found = self._connection.execute("SELECT folder FROM report WHERE assignment = ?", (assignment,)).fetchone()
            counts = {name: bool(counts) for name, counts in self._connection.execute(query, (assignment,))}
        return Roll(self.path.parent / found[0], counts) if found else None

    def meant(self, assignment: str | None) -> str:
        """The assignment of that name, or the only one. Raises InstructorError, with the names there are."""
        with _explained(self.path):
            rows = self._connection.execute("SELECT DISTINCT assignment FROM attempt ORDER BY 1").fetchall()
        names = [name for (name,) in rows]
        if assignment in names:
            return str(assignment)
        if assignment is None and len(names) == 1:
            return str(names[0])
        found = f"it holds {', '.join(names)}" if names else "it holds no grade yet"
        wanted = f"no grade of {assignment!r}" if assignment is not None else "not just one assignment"
        raise InstructorError(f"{self.path} holds {wanted}: {found}. Name one with --assignment.")

    def known_submission(self, assignment: str, submission: str) -> None:
        """Raises InstructorError unless there is an attempt at it; names those that come near, or some."""
        known = list(self.numbers(assignment))
        if submission in known:
            return
        near = difflib.get_close_matches(submission, known, n=3)
        some = ", ".join(map(line, near or known[:10]))
        more = f" and {len(known) - 10} more" if not near and len(known) > 10 else ""
        hint = f"Did you mean {some}?" if near else f"It holds {some}{more}."
        raise InstructorError(f"{self.path} holds no submission {line(submission)!r} of {assignment}. {hint}")

    def versions(self, assignment: str) -> list[str]:
        """The versions of an assignment that were graded with, the most recent last."""
        query = "SELECT version FROM attempt WHERE assignment = ? GROUP BY version ORDER BY max(number)"
        with _explained(self.path):
            return [version for (version,) in self._connection.execute(query, (assignment,))]

    def attempts(self, assignment: str, submission: str | None = None) -> list[Attempt]:
        """Every attempt, oldest first."""
        return self._select("assignment = ? AND (?2 IS NULL OR submission = ?2)", (assignment, submission))

    def known(self, assignment: str, device: str) -> dict[tuple[str, str], Attempt]:
        """By submission id and digest: the last attempt on that device that came to an end, under any version."""
        where = """number IN (SELECT max(number) FROM attempt WHERE assignment = ? AND device = ? AND status != ?
            GROUP BY submission, digest)"""
        found = self._select(where, (assignment, device, Outcome.INTERNAL))
        return {(attempt.grade.submission, attempt.grade.digest): attempt for attempt in found}

    def numbers(self, assignment: str) -> dict[str, int]:
        """The number of the last attempt at each submission."""
        query = "SELECT submission, max(number) FROM attempt WHERE assignment = ? GROUP BY submission"
        with _explained(self.path):
            return dict(self._connection.execute(query, (assignment,)).fetchall())

    def latest(self, assignment: str, version: str | None = None) -> list[Grade]:
        """The last attempt at each submission, under one version if given, with the instructor's last word on it.

        Sorted by submission id.
        """
        where = """number IN (SELECT max(number) FROM attempt WHERE assignment = ?1 AND (?2 IS NULL OR version = ?2)
            GROUP BY submission)"""
        found = (attempt.grade for attempt in self._select(where, (assignment, version)))
        return sorted(self.adjusted(assignment, found), key=lambda grade: grade.submission)

    def _select(self, where: str, values: Sequence[str | None]) -> list[Attempt]:
        query = f"SELECT number, recorded, grade, basis, suffix FROM attempt WHERE {where} ORDER BY number"  # noqa: S608
        with _explained(self.path):
            rows = self._connection.execute(query, values).fetchall()
            contents = self._connection.execute("SELECT id, content FROM basis").fetchall()
        try:
            bases = {id_: _basis(content) for id_, content in contents}
            return [
                Attempt(number, datetime.fromisoformat(at), from_json(text), bases.get(basis), suffix)
                for number, at, text, basis, suffix in rows
            ]
        except ValueError as error:
            raise GradebookError(
                f"{self.path} holds an attempt that can't be read ({error}). It may come from a newer version: "
                "upgrade, or grade into a new file with --gradebook."
            ) from error

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _row(grade: Grade, stamp: datetime, basis: str, origin: Origin | None) -> tuple[str | float | None, ...]:
    recorded = stamp.astimezone(UTC).isoformat()
    known = (grade.assignment, grade.submission, grade.student, grade.digest, grade.version, grade.device)
    scores = (str(grade.status), grade.score, grade.max_score)
    text = to_json(replace(grade, cells=()))
    return (recorded, *map(_storable, known), *scores, text, basis, origin.suffix if origin else "")


def _basis_row(basis: Basis) -> tuple[str, str]:
    content = json.dumps(asdict(basis), separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:16], content


def _basis(content: str) -> Basis | None:
    """What an attempt rests on; None if another version of ours wrote it, with which nothing can be compared."""
    plain: dict[str, Any] = json.loads(content)
    if plain.keys() != {field.name for field in fields(Basis)}:
        return None
    checks = tuple((name, digest) for name, digest in plain["checks"])
    return Basis(**{**plain, "checks": checks, "leaning": tuple(plain["leaning"])})


def _code_row(grade: Grade, origin: Origin) -> tuple[str, str, bytes]:
    cells = json.dumps([[cell.source, cell.skip] for cell in grade.cells], separators=(",", ":"))
    return _storable(grade.digest), origin.suffix, zlib.compress(cells.encode(), 1)


def _storable(text: str) -> str:
    """A column to search by; the exact text is in the grade itself."""
    return text.encode("utf-8", "replace").decode()


def _refuse_others(path: Path, connection: sqlite3.Connection) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != OURS and (owner or tables):
        raise GradebookError(
            f"{path} is an SQLite database of another program. Choose another file with --gradebook; it was left alone."
        )


def _make_durable(connection: sqlite3.Connection, patience: float) -> None:
    """Every commit reaches the disk. Another process that is just beginning the file is waited for."""
    deadline = time.monotonic() + patience
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    connection.execute("PRAGMA synchronous = FULL" if mode == "wal" else "PRAGMA synchronous = EXTRA")


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    if _version(connection) == len(MIGRATIONS):
        return
    with _transaction(connection):
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise GradebookError(
                f"{path} has schema {version}; this version knows up to {len(MIGRATIONS)}. Upgrade the autograder, "
                "or choose another file with --gradebook."
            )
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {OURS}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _keep_name(path: Path) -> None:
    """A new file's name is in its folder, which has to reach the disk as well."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lock(path: Path) -> int | None:
    """A file of its own, locked; None where another has it. (Closing the gradebook would undo SQLite's own locks.)"""
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise GradebookError(f"{path} can't be made ({error.strerror}). Allow writing in its folder.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(path, lock):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:
            return lock  # a file system without such locks: then nobody is kept out
        os.close(lock)  # its last owner has just removed it


def _same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        _explain(path, error)


def _explain(path: Path, error: sqlite3.Error) -> NoReturn:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    elsewhere = "or choose another file with --gradebook."
    said = {
        sqlite3.SQLITE_BUSY: f"is in use by another process. Wait until that has finished, {elsewhere}",
        sqlite3.SQLITE_READONLY: f"can't be written: the file or its folder is read-only. Allow writing, {elsewhere}",
        sqlite3.SQLITE_CANTOPEN: f"can't be opened: its folder must exist and be writable. Make it, {elsewhere}",
        sqlite3.SQLITE_FULL: f"can't grow: the disk is full. What was recorded is safe; make room, {elsewhere}",
        sqlite3.SQLITE_IOERR: f"can't be read or written: the disk reports an error ({error}). Check it, {elsewhere}",
        sqlite3.SQLITE_NOTADB: f"is no gradebook, but another kind of file. It was left alone: move it, {elsewhere}",
        sqlite3.SQLITE_CORRUPT: f"is damaged ({error}). Restore it from a copy, {elsewhere}",
    }
    raise GradebookError(f"{path} {said.get(code, f'refused ({error}). Check the file, {elsewhere}')}") from error
