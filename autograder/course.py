"""The instructor's side of a course: the folders under `solutions/`, read, checked and loaded."""

import ast
import hashlib
import hmac
import itertools
import linecache
import math
import os
import re
import secrets
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from autograder.errors import BrokenAssignment, InstructorError, OperatorError
from autograder.records import VISIBILITIES, Assignment, ByHand, Limits, Mistake, Policy, Share, Visibility

SEEDS = "hmac-sha256 of purpose, batch or code, and check; 63 bits"
DIFFICULTIES = ("gentle", "moderate", "demanding")

_SIZES = ("memory", "device_memory", "reply", "output", "file")
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_FACTS = ("title", "points", "minutes", "difficulty", "summary", "names")
_KEYS = (*_FACTS, "limits", "forbidden", "mistakes", "by_hand", "policy", "hidden_checks")
_KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_OPERATOR = re.compile(r"\w+::\w+(\.\w+)?")


def find(start: Path) -> Path:
    """The nearest folder, `start` or above it, that holds `solutions/`."""
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / "solutions").is_dir():
            return folder
    raise InstructorError(
        f"No course found: neither {start.absolute()} nor a folder above it holds a folder 'solutions'. "
        "Go to the course's folder, or name it with --course."
    )


def names(course: Path) -> list[str]:
    """The assignments of a course, sorted."""
    folders = (folder for folder in (course / "solutions").iterdir() if folder.is_dir())
    return sorted(folder.name for folder in folders if folder.name[0] not in "._")


def quizzes(course: Path) -> list[str]:
    """The quizzes of a course, sorted."""
    folder = course / "quizzes"
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(each.name for each in found if each.name[0] not in "._" and (each / "en.md").is_file())


def gradable(course: Path) -> list[str]:
    """All that there are grades for: assignments, then quizzes."""
    return [*names(course), *quizzes(course)]


def load(course: Path, name: str) -> Assignment:
    """Read and check one assignment; raises BrokenAssignment at the first thing that is not as it should be."""
    folder = course / "solutions" / name
    if not name.isidentifier() or not folder.is_dir():
        known = ", ".join(names(course)) or "none yet"
        raise InstructorError(f"There is no assignment {name!r} under {course / 'solutions'}. Found there: {known}.")
    texts = {file: _read(folder / file) for file in ("assignment.toml", "solution.py", "test_hidden.py")}
    solution = parse(folder / "solution.py", texts["solution.py"])
    points = _hidden_checks(folder / "test_hidden.py", texts["test_hidden.py"])

    table = _Table(_label(folder / "assignment.toml"), _toml(folder / "assignment.toml", texts["assignment.toml"]))
    table.refuse_unknown(_KEYS)
    by_hand = _by_hand(table, list(points))
    assignment = Assignment(
        name=name,
        title=table.text("title"),
        folder=folder,
        points=table.number("points"),
        minutes=table.whole("minutes"),
        difficulty=table.one_of("difficulty", DIFFICULTIES),
        summary=table.text("summary"),
        names=table.texts("names"),
        forbidden=_forbidden(table, "calls", _DOTTED, "dotted names such as 'torch.softmax'"),
        operators=_forbidden(table, "operators", _OPERATOR, "operators such as 'aten::bmm'"),
        limits=_limits(table.table("limits")),
        mistakes=_mistakes(table, texts["solution.py"], list(points)),
        version=_version(texts),
        by_hand=by_hand,
        policy=_policy(table.table("policy")) if "policy" in table.entries else None,
        hidden_checks=_visibility(table) if "hidden_checks" in table.entries else "visible",
    )
    defined = set(defined_names(solution))
    for wanted in assignment.names:
        if wanted not in defined:
            raise table.wrong("names", repr(wanted), "names that solution.py defines")
    total = sum(points.values()) + sum(question.points for question in by_hand)
    if abs(total - assignment.points) > 1e-9:
        where = "test_hidden.py and [[by_hand]]" if by_hand else "test_hidden.py"
        raise table.wrong("points", f"{assignment.points:g}", f"the sum in {where}, {total:g}")
    return assignment


def source(assignment: Assignment) -> str:
    """The text of solution.py."""
    return _read(assignment.folder / "solution.py")


def checks(assignment: Assignment) -> dict[str, float]:
    """The points of each hidden check, by name, in the order of test_hidden.py."""
    path = assignment.folder / "test_hidden.py"
    return _hidden_checks(path, _read(path))


def reference(assignment: Assignment) -> ModuleType:
    """solution.py as a fresh module, named like the assignment."""
    path = assignment.folder / "solution.py"
    return load_source(assignment.name, _read(path), str(path))


def mutant(assignment: Assignment, mistake: Mistake) -> str:
    """The text of solution.py with the mistake in it."""
    return _edited(source(assignment), mistake)


def load_source(name: str, source: str, filename: str | None = None) -> ModuleType:
    """Run source text as a fresh module that stays out of `sys.modules`, with its lines kept for tracebacks."""
    filename = filename or f"<{name} {hashlib.sha256(source.encode()).hexdigest()[:12]}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = ModuleType(name)
    module.__file__ = filename
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and typing look their own module up while it is being made
    try:
        exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except Exception as error:
        raise BrokenAssignment(f"{filename}: {_line(error, filename)}{type(error).__name__}: {error}") from error
    finally:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
    return module


def variants(assignment: Assignment) -> dict[str, Path]:
    """The correct submissions that `verify` must give full marks, by name."""
    found = sorted((assignment.folder / "variants").glob("*.py"))
    return {path.stem: path for path in found if path.name[0] not in "._"}


def secret(course: Path) -> bytes:
    """The course's secret, from `solutions/.secret`; made at the first call, and only once whoever else is calling."""
    path = course / "solutions" / ".secret"
    try:
        if not path.exists():
            _create(path, secrets.token_hex(32))
        text = path.read_text("ascii").strip()
        value = bytes.fromhex(text)
    except OSError as error:
        raise OperatorError(
            f"The course secret {path} can't be read or made ({error.strerror}). Grading needs it: make "
            f"{path.parent} writable once, or put 64 random hex digits into that file."
        ) from error
    except ValueError as error:
        raise OperatorError(_unusable(path)) from error
    if len(value) != 32:
        raise OperatorError(_unusable(path))
    return value


def fingerprint(secret: bytes) -> str:
    """Tells one secret from another, and nothing else."""
    return hmac.digest(secret, b"fingerprint", "sha256").hex()[:16]


def input_seed(secret: bytes, lot: str, check: str) -> int:
    """Seeds the data that a check draws: unknown to the submission, the same at every regrade.

    lot: the batch, whose submissions all get the same data; or the digest of the code, for data of its own.
    """
    return _seed(secret, "input", lot, check)


def worker_seed(secret: bytes, lot: str, check: str) -> int:
    """Seeds the worker; it tells nothing about the input's seed."""
    return _seed(secret, "worker", lot, check)


def parse(path: Path, text: str) -> ast.Module:
    """The syntax tree of an instructor's file, or BrokenAssignment with the line."""
    try:
        return ast.parse(text, str(path))
    except SyntaxError as error:
        raise BrokenAssignment(f"{_label(path)}, line {error.lineno}: {error.msg}.") from error


def defined_names(tree: ast.Module) -> list[str]:
    """What a module defines at its top level: functions, classes and assigned names, in order."""
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    return found


@dataclass(frozen=True, slots=True)
class _Table:
    """A TOML table that knows where it stands, so that each error can say so."""

    place: str
    entries: dict[str, Any]

    def wrong(self, key: str, found: str, expected: str) -> BrokenAssignment:
        return BrokenAssignment(f"{self.place}: {key}: found {found}, expected {expected}.")

    def refuse_unknown(self, known: Iterable[str]) -> None:
        for key in self.entries:
            if key not in known:
                raise self.wrong(key, "an unknown key", f"one of {', '.join(known)}")

    def _take(self, key: str, expected: str, right: Callable[[Any], bool]) -> Any:
        if key not in self.entries:
            raise self.wrong(key, "nothing", expected)
        if not right(self.entries[key]):
            raise self.wrong(key, repr(self.entries[key]), expected)
        return self.entries[key]

    def text(self, key: str) -> str:
        return str(self._take(key, "a text that is not empty", _is_text)).strip()

    def code(self, key: str, expected: str) -> str:
        return str(self._take(key, expected, lambda value: isinstance(value, str)))

    def number(self, key: str) -> float:
        return float(self._take(key, "a number above 0", lambda value: _is_number(value) and value > 0))

    def whole(self, key: str) -> int:
        return int(self._take(key, "a whole number above 0", lambda value: type(value) is int and value > 0))

    def one_of(self, key: str, choices: tuple[str, ...]) -> str:
        return str(self._take(key, f"one of {', '.join(choices)}", lambda value: value in choices))

    def texts(self, key: str) -> tuple[str, ...]:
        expected = "a list of texts, not empty, each once"
        return tuple(self._take(key, expected, lambda value: bool(value) and _are_texts(value)))

    def size(self, key: str) -> int:
        """Bytes: a whole number, or a text such as "2 GiB"."""
        expected = "a size above 0 such as 1048576 or '2 GiB' (units: B, KiB, MiB, GiB)"
        value = self._take(key, expected, lambda value: isinstance(value, str) or type(value) is int)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
        amount = float(match[1]) * _UNITS.get(match[2] or "B", 0) if match else 0
        if amount < 1:
            raise self.wrong(key, repr(value), expected)
        return int(amount)

    def yes_or_no(self, key: str) -> bool:
        return bool(self._take(key, "true or false", lambda value: isinstance(value, bool)))

    def moment(self, key: str) -> datetime:
        expected = "a date and time with an offset, not in quotes, such as 2026-03-12T23:59:00+01:00"
        value = self._take(key, expected, lambda value: isinstance(value, datetime))
        if value.tzinfo is None:
            raise self.wrong(key, f"{value.isoformat()} without an offset", expected)
        moment: datetime = value
        return moment

    def share(self, key: str) -> Share:
        """Points, or a text such as "10 %" of the points that can be earned."""
        expected = "points above 0, or a share of the assignment's points such as '10 %'"
        value = self._take(key, expected, lambda value: isinstance(value, str) or _is_number(value))
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip()) if isinstance(value, str) else None
        amount = float(match[1]) if match else 0.0 if isinstance(value, str) else float(value)
        if amount <= 0 or (match and amount > 100):
            raise self.wrong(key, repr(value), expected)
        return Share(amount, percent=bool(match))

    def table(self, key: str) -> "_Table":
        """A table below this one; an absent one is empty."""
        if key not in self.entries:
            return _Table(f"{self.place}: [{key}]", {})
        entries = self._take(key, f"a table [{key}]", lambda value: isinstance(value, dict))
        return _Table(f"{self.place}: [{key}]", entries)

    def tables(self, key: str) -> list["_Table"]:
        """An array of tables; an absent one is empty."""
        expected = f"tables, each headed [[{key}]]"
        if key not in self.entries:
            return []
        value = self._take(key, expected, lambda value: isinstance(value, list))
        if not all(isinstance(entry, dict) for entry in value):
            raise self.wrong(key, repr(value), expected)
        return [_Table(f"{self.place}: [[{key}]] {number}", entry) for number, entry in enumerate(value, 1)]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _label(path: Path) -> str:
    return "/".join(path.parts[-3:])


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise BrokenAssignment(
            f"{_label(path)}: found no such file, expected one: an assignment is assignment.toml, solution.py "
            "and test_hidden.py in one folder."
        ) from error
    except UnicodeDecodeError as error:
        raise BrokenAssignment(f"{_label(path)}: found bytes that are not UTF-8, expected a text file.") from error
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}.") from error


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BrokenAssignment(f"{_label(path)}: not valid TOML: {error}.") from error


def _hidden_checks(path: Path, text: str) -> dict[str, float]:
    """The points of each check, by name, read without running the file."""
    found: dict[str, float] = {}
    for node in parse(path, text).body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        place = f"{_label(path)}, line {node.lineno}: {node.name}"
        if node.name in found:
            raise BrokenAssignment(f"{place}: found twice, expected each check once.")
        if not (ast.get_docstring(node) or "").strip():
            raise BrokenAssignment(f"{place}: found no docstring, expected one: students read its first line.")
        found[node.name] = _points(place, node)
    if not found:
        raise BrokenAssignment(f"{_label(path)}: found no check, expected functions named test_...")
    return found


def _points(place: str, node: ast.FunctionDef) -> float:
    for mark in node.decorator_list:
        if not isinstance(mark, ast.Call) or ast.unparse(mark.func) != "pytest.mark.points":
            continue
        value = mark.args[0].value if len(mark.args) == 1 and isinstance(mark.args[0], ast.Constant) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value)
        raise BrokenAssignment(f"{place}: found @{ast.unparse(mark)}, expected a plain number above 0 in it.")
    raise BrokenAssignment(f"{place}: found no points, expected @pytest.mark.points(...).")


def _forbidden(table: _Table, key: str, shape: re.Pattern[str], expected: str) -> tuple[str, ...]:
    section = table.table("forbidden")
    section.refuse_unknown(("calls", "operators"))
    if key not in section.entries:
        return ()
    for value in section.texts(key):
        if not shape.fullmatch(value):
            raise section.wrong(key, repr(value), expected)
    return section.texts(key)


def _limits(table: _Table) -> Limits:
    known = [field.name for field in fields(Limits)]
    table.refuse_unknown(known)
    values: dict[str, Any] = {}
    for key in table.entries:
        read = table.size if key in _SIZES else table.whole if key == "threads" else table.number
        values[key] = read(key)
    return Limits(**values)


def _mistakes(table: _Table, solution: str, checks: list[str]) -> tuple[Mistake, ...]:
    found: dict[str, Mistake] = {}
    for entry in table.tables("mistakes"):
        entry.refuse_unknown(("id", "says", "find", "replace", "edits", "fails"))
        id = entry.text("id")
        if not _KEBAB.fullmatch(id):
            raise entry.wrong("id", repr(id), "a name in lower case with hyphens, such as 'no-scale'")
        if id in found:
            raise entry.wrong("id", f"{id!r} a second time", "each id once")
        entry = _Table(f"{entry.place} {id!r}", entry.entries)
        mistake = Mistake(id, entry.text("says"), _edits(entry, solution), entry.texts("fails"))
        for check in mistake.fails:
            if check not in checks:
                raise entry.wrong("fails", repr(check), "checks of test_hidden.py")
        try:
            ast.parse(_edited(solution, mistake))
        except SyntaxError as error:
            raise entry.wrong("replace", f"a solution that is not Python ({error.msg})", "one that runs") from error
        found[id] = mistake
    return tuple(found.values())


def _by_hand(table: _Table, checks: list[str]) -> tuple[ByHand, ...]:
    found: dict[str, ByHand] = {}
    for entry in table.tables("by_hand"):
        entry.refuse_unknown(("id", "title", "points"))
        id = entry.text("id")
        if not _KEBAB.fullmatch(id):
            raise entry.wrong("id", repr(id), "a name in lower case with hyphens, such as 'reading-the-map'")
        if id in found or id in checks:
            raise entry.wrong("id", f"{id!r} a second time", "each id once")
        found[id] = ByHand(id, entry.text("title"), entry.number("points"))
    return tuple(found.values())


def _visibility(table: _Table) -> Visibility:
    return cast(Visibility, table.one_of("hidden_checks", VISIBILITIES))


def _policy(table: _Table) -> Policy:
    known = ("due", "zone", "grace_minutes", "late_days", "penalty_per_day", "cap", "closes", "file_times")
    table.refuse_unknown(known)
    due = table.moment("due")
    closes = table.moment("closes") if "closes" in table.entries else None
    if closes is not None and closes < due:
        raise table.wrong("closes", str(closes), f"a moment after `due`, {due}")
    return Policy(
        due=due,
        zone=_zone(table, due) if "zone" in table.entries else "",
        grace=60 * table.number("grace_minutes") if "grace_minutes" in table.entries else 0.0,
        late_days=table.whole("late_days") if "late_days" in table.entries else 0,
        per_day=table.share("penalty_per_day") if "penalty_per_day" in table.entries else Share(0.0),
        cap=table.share("cap") if "cap" in table.entries else None,
        closes=closes,
        file_times=table.yes_or_no("file_times") if "file_times" in table.entries else True,
    )


def _zone(table: _Table, due: datetime) -> str:
    name = table.text("zone")
    try:
        there = due.astimezone(ZoneInfo(name)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise table.wrong("zone", repr(name), "a time zone's name, such as 'Europe/Berlin'") from error
    if there != due.utcoffset():
        shown = due.astimezone(ZoneInfo(name)).isoformat()
        raise table.wrong("due", due.isoformat(), f"the offset that {name} has on that day, as in {shown}")
    return name


def _edits(entry: _Table, solution: str) -> tuple[tuple[str, str], ...]:
    if "edits" in entry.entries and ("find" in entry.entries or "replace" in entry.entries):
        raise entry.wrong("edits", "both edits and find/replace", "one of the two")
    tables = entry.tables("edits") if "edits" in entry.entries else [entry]
    if not tables:
        raise entry.wrong("edits", "an empty list", "at least one { find, replace }")
    pairs: list[tuple[str, str]] = []
    for table in tables:
        if "edits" in entry.entries:
            table.refuse_unknown(("find", "replace"))
        before, after = table.code("find", "a piece of solution.py"), table.code("replace", "the text in its place")
        count = solution.count(before) if before else 0
        if count != 1:
            raise table.wrong("find", f"{before!r} {count} times in solution.py", "it there exactly once")
        if before == after:
            raise table.wrong("replace", "the same text as in find", "a change")
        pairs.append((before, after))
    spans = sorted((solution.index(before), solution.index(before) + len(before)) for before, _ in pairs)
    if any(right[0] < left[1] for left, right in itertools.pairwise(spans)):
        raise entry.wrong("edits", "two that overlap in solution.py", "edits apart from one another")
    return tuple(pairs)


def _edited(solution: str, mistake: Mistake) -> str:
    for before, after in sorted(mistake.edits, key=lambda edit: solution.index(edit[0]), reverse=True):
        start = solution.index(before)
        solution = solution[:start] + after + solution[start + len(before) :]
    return solution


def _version(texts: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for file in ("solution.py", "test_hidden.py", "assignment.toml"):
        content = texts[file].encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:16]


def _line(error: Exception, filename: str) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: "
    trace, number = error.__traceback__, 0
    while trace is not None:
        number = trace.tb_lineno if trace.tb_frame.f_code.co_filename == filename else number
        trace = trace.tb_next
    return f"line {number}: " if number else ""


def _create(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process made it first, and its secret counts
    finally:
        os.unlink(temporary)


def _unusable(path: Path) -> str:
    return (
        f"The course secret {path} is damaged: expected 64 hex digits. Put back the old one from a backup; "
        "if there is none, delete the file, and a new one is made. Seeds recorded before then can't be repeated."
    )


def _seed(secret: bytes, label: str, lot: str, check: str) -> int:
    message = "\0".join((label, lot, check)).encode()
    return int.from_bytes(hmac.digest(secret, message, "sha256")[:8], "big") >> 1
