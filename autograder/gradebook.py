"""The gradebook: an SQLite file that keeps every attempt. What `record` has kept survives kill -9 and power loss."""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from autograder.errors import GradebookError
from autograder.ledger import from_json, to_json
from autograder.records import Grade, Outcome

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
)
COLUMNS = "recorded, assignment, submission, student, digest, version, device, status, score, max_score, grade"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One grading, as it was recorded. Numbers grow."""

    number: int
    recorded: datetime
    grade: Grade


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

    def record(self, grade: Grade, stamp: datetime) -> None:
        """Keep one more attempt. It is on the disk when this returns."""
        self.record_all([grade], stamp)

    def record_all(self, grades: Iterable[Grade], stamp: datetime) -> None:
        """Keep these attempts, all or none."""
        rows = [_row(grade, stamp) for grade in grades]
        with _explained(self.path), _transaction(self._connection):
            marks = ", ".join("?" * len(COLUMNS.split(",")))
            self._connection.executemany(f"INSERT INTO attempt ({COLUMNS}) VALUES ({marks})", rows)  # noqa: S608

    def attempts(self, assignment: str, submission: str | None = None) -> list[Attempt]:
        """Every attempt, oldest first."""
        return self._select("assignment = ? AND (?2 IS NULL OR submission = ?2)", (assignment, submission))

    def finished(self, assignment: str, version: str, device: str) -> dict[tuple[str, str], Grade]:
        """By submission id and digest: the last grade that needs no repeating, so that a killed run can go on."""
        where = "assignment = ? AND version = ? AND device = ? AND status != ?"
        found = self._select(where, (assignment, version, device, Outcome.INTERNAL))
        return {(attempt.grade.submission, attempt.grade.digest): attempt.grade for attempt in found}

    def latest(self, assignment: str) -> list[Grade]:
        """The last attempt at each submission, by submission id."""
        where = """number IN (SELECT max(number) FROM attempt WHERE assignment = ? GROUP BY submission)"""
        return sorted((found.grade for found in self._select(where, (assignment,))), key=lambda grade: grade.submission)

    def _select(self, where: str, values: Sequence[str | None]) -> list[Attempt]:
        query = f"SELECT number, recorded, grade FROM attempt WHERE {where} ORDER BY number"  # noqa: S608
        with _explained(self.path):
            rows = self._connection.execute(query, values).fetchall()
        try:
            return [Attempt(number, datetime.fromisoformat(at), from_json(text)) for number, at, text in rows]
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


def _row(grade: Grade, stamp: datetime) -> tuple[str | float | None, ...]:
    recorded = stamp.astimezone(UTC).isoformat()
    known = (grade.assignment, grade.submission, grade.student, grade.digest, grade.version, grade.device)
    return (recorded, *map(_storable, known), str(grade.status), grade.score, grade.max_score, to_json(grade))


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
