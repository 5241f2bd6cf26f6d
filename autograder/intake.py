"""Finds what was handed in: files, folders and archives become entries, each with an id and a student."""

import hashlib
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from autograder.archives import (
    ARCHIVES,
    CLASS,
    CODE,
    METADATA,
    STUDENT,
    TIMESTAMP,
    Caps,
    Member,
    is_archive,
    parts_of,
    unpack,
)
from autograder.errors import InstructorError, UnreadableSubmission
from autograder.quarantine import apart
from autograder.records import Entry

NESTING = 3
EARLIEST = 315_532_800
LATEST = 2**33
DEPTH = 40
SMALL = 2 * 2**20
ID_CAP = 160
NAME_CAP = 120
PROBLEMS_CAP = 20
METADATA_CAP = 16 * 2**20
CLASS_SECONDS = 1800
IGNORED_FOLDERS = {"__pycache__", "__MACOSX", "venv", "node_modules", "site-packages"}
IGNORED_FILES = re.compile(r"(test_.*|conftest|setup)\.py", re.IGNORECASE)
CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<key>\d+)_\d+_.")
MOODLE = re.compile(r"(?P<name>.+)_(?P<key>\d+)_assignsubmission_")
GRADESCOPE = re.compile(r"(?P<name>submission_(?P<key>\d+))\Z")
LOOKALIKES = str.maketrans("аеорсухіјѕһԁԛԝӏвкмнтьгοαρυνκιτωηεμɡɩɑıⅼ", "aeopcyxijshdqwlbkmhtbroapuvkitwneugiail")
SUBMITTED = "submitted"
NBGRADER = ("source", "release", "autograded", "gradebook.db", "nbgrader_config.py")
TIMESTAMP_CAP = 1024
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)? ?(UTC|Z|[+-]\d\d:?\d\d)?\Z")
LINK = "is a link, which is not followed. Hand in the file itself."


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something was handed in, and who says so: as in Grade."""

    handed_in: str = ""
    clock: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A file below a path. parts: its folders and its name. owed: somebody handed it in, so it must get a row.

    packed: it came in a student's own archive, so she has chosen all of its names.
    """

    parts: tuple[str, ...]
    path: Path
    problem: str = ""
    owed: bool = False
    stamp: Stamp = Stamp()
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a file is. key: what keeps two people of one name apart; platform: whose folders told, empty if nobody's.

    people: as in Grade.
    """

    name: str
    key: str
    platform: str = ""
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What Gradescope's own list says of one submission."""

    names: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    handed_in: str = ""


def discover(paths: Sequence[Path], scratch: Path, assignment: str = "") -> list[Entry]:
    """Everything to grade below `paths`, in a fixed order; archives are unpacked into folders below `scratch`.

    assignment: whose folders are meant where a course folder of nbgrader holds several. What can't be graded has a
    problem, and stops nothing else. Raises InstructorError if a path does not exist, or if there is nothing to grade.
    """
    for path in paths:
        if not path.exists():
            raise InstructorError(f"{path} does not exist. Give files, folders or archives that were handed in.")
    given = [_submitted(path.resolve()) for path in paths]
    unpacker = Unpacker(scratch)
    owned: list[tuple[Found, Owner]] = []
    seen: set[Path] = set()
    for path, parts in zip(given, _parts_of_given(given), strict=True):
        found = [each for each in _below(path, parts, unpacker) if each.problem or each.path not in seen]
        seen.update(each.path for each in found)
        if _stem(path.name) == SUBMITTED:
            found = _of_nbgrader(found, assignment)
        owned.extend(_gradable(found))
    if not owned:
        shown = ", ".join(map(str, paths)) or "no path at all"
        raise InstructorError(f"Nothing to grade in {shown}: no .ipynb, .py or archive was found. Check the path.")
    return _entries(owned)


def counting(entries: Sequence[Entry]) -> set[str]:
    """The ids of the entries that count: of each student the later file, a notebook before a module of that moment.

    An entry with a problem counts only where the student has no other.
    """
    best: dict[str, Entry] = {}
    for entry in entries:
        if entry.student not in best or _rank(entry) > _rank(best[entry.student]):
            best[entry.student] = entry
    return {entry.id for entry in best.values()}


def _rank(entry: Entry) -> tuple[bool, int, bool, str]:
    try:
        changed = entry.path.stat().st_mtime_ns
    except OSError:
        changed = 0
    return (not entry.problem, changed, entry.path.suffix.lower() == ".ipynb", entry.id)


def _parts_of_given(paths: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """A file given by itself has its own name; files of one name in several folders have their folders' as well."""
    files = [path for path in paths if not path.is_dir()]
    for path in paths:
        alike = {other for other in files if other.name.casefold() == path.name.casefold()}
        if path.is_dir():
            yield ()
        elif len(alike) > 1:
            yield path.relative_to(os.path.commonpath([other.parent for other in alike])).parts
        else:
            yield (path.name,)


def _below(path: Path, parts: tuple[str, ...], unpacker: "Unpacker") -> Iterator[Found]:
    if path.is_dir():
        yield from _folder(path, (), unpacker)
    elif not is_archive(path.name):
        yield Found(parts, path, owed=True, stamp=_file_time(path.stat().st_mtime))
    elif len(parts) > 1:
        yield from unpacker.handed_in(path, (*parts[:-1], _stem(parts[-1])), path.stat().st_mtime)
    else:
        yield from _whole_class(path, unpacker)


def _whole_class(path: Path, unpacker: "Unpacker") -> Iterator[Found]:
    """An archive given by itself is like the folder it was made of, unless nothing in it could be graded."""
    found = list(unpacker.contents(path, (), CLASS))
    if len(found) == 1 and found[0].problem:
        yield Found((path.name,), path, found[0].problem)
    elif not any(each.problem or _is_code(each.parts[-1]) for each in found):
        yield Found((path.name,), path, f"{_printable(path.name)} holds no notebook (.ipynb) and no .py file.")
    else:
        yield from found


def _folder(folder: Path, parts: tuple[str, ...], unpacker: "Unpacker") -> Iterator[Found]:
    try:
        items = sorted(os.scandir(folder), key=lambda item: item.name)
    except OSError as error:
        problem = f"{_printable(folder.name)} can't be opened ({error.strerror})."
        yield Found((*parts, ""), folder, problem)
        return
    empty = True
    for item in items:
        if item.name.startswith(".") or item.name in IGNORED_FOLDERS:
            continue
        empty = False
        path, inner = Path(item.path), (*parts, item.name)
        if item.is_symlink():
            if not parts or _is_code(item.name) or is_archive(item.name):
                yield Found(inner, path, f"{_printable(item.name)} {LINK}")
        elif item.is_dir():
            if len(parts) < DEPTH and not (path / "pyvenv.cfg").exists():
                yield from _folder(path, inner, unpacker)
        elif is_archive(item.name):
            yield from unpacker.handed_in(path, (*parts, _stem(item.name)), item.stat().st_mtime)
        else:
            yield Found(inner, path, stamp=_file_time(item.stat().st_mtime))
    if empty and parts:
        yield Found((*parts, ""), folder)


class Unpacker:
    """Unpacks archives, and archives in them, each into the next numbered folder.

    All archives of one student share what one archive may hold; what is refused takes half of what is left.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.count = 0
        self.left: dict[str, Caps] = {}

    def handed_in(self, path: Path, parts: tuple[str, ...], changed: float, nesting: int = 0) -> Iterator[Found]:
        """The contents of a student's own archive, whose time is that of the archive: what is in it, she has set."""
        for found in self.contents(path, parts, STUDENT, nesting):
            yield replace(found, packed=True, stamp=_file_time(changed))

    def contents(self, path: Path, parts: tuple[str, ...], caps: Caps, nesting: int = 0) -> Iterator[Found]:
        shown = _printable(path.name)
        try:
            members = self._within(path, parts, caps)
        except UnreadableSubmission as error:
            yield Found(parts, path, f"{shown} {error}", owed=True)
            return
        except OSError as error:
            yield Found(parts, path, f"{shown} can't be unpacked ({error.strerror}). Hand it in again.", owed=True)
            return
        if not members:
            yield Found((*parts, ""), path, owed=True)
        bad = [member for member in members if member.problem]
        for member in bad[:PROBLEMS_CAP]:
            yield Found((*parts, *_harmless(member.name)), path, member.problem)
        if len(bad) > PROBLEMS_CAP:
            more = f"{shown} has {len(bad) - PROBLEMS_CAP} more members that could not be unpacked."
            yield Found((*parts, "more"), path, more)
        for member, inner in _without_wrapper(path, [member for member in members if not member.problem]):
            if not member.path or not is_archive(inner[-1]):
                where = Path(member.path) if member.path else path
                yield Found((*parts, *inner), where, owed=bool(parts), stamp=_file_time(member.changed))
            elif nesting < NESTING:
                nested = (*parts, *inner[:-1], _stem(inner[-1]))
                yield from self.handed_in(Path(member.path), nested, member.changed, nesting + 1)
            else:
                yield Found((*parts, *inner), path, f"{shown} has archives in archives, too deep to be read.")

    def _within(self, path: Path, parts: tuple[str, ...], caps: Caps) -> list[Member]:
        if caps is CLASS:
            return self._unpacked(path, caps)[0]
        left = self.left.get(parts[0], caps)
        self.left[parts[0]] = Caps(left.members - 1, left.total // 2)
        members, spent = self._unpacked(path, left)
        self.left[parts[0]] = Caps(left.members - max(1, len(members)), left.total - spent)
        return members

    def _unpacked(self, path: Path, caps: Caps) -> tuple[list[Member], int]:
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.count += 1
        target = self.scratch / f"{self.count:04}"
        shutil.rmtree(target, ignore_errors=True)
        try:
            if path.name.lower().endswith(".zip") and path.stat().st_size <= SMALL:
                return unpack(path, target, caps)
            words = (str(target), str(caps.members), str(caps.total), path.name)
            with open(
                path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
            ) as file:
                seconds = CLASS_SECONDS if caps is CLASS else None
                members, spent = apart("archives:unpack_apart", file, words, seconds)
                return [Member(**member) for member in members], spent
        except UnreadableSubmission:
            shutil.rmtree(target, ignore_errors=True)
            raise


def _without_wrapper(path: Path, members: Iterable[Member]) -> list[tuple[Member, tuple[str, ...]]]:
    """The members with their parts; a single folder around all of them that is named like the archive is left out."""
    found = [(member, parts) for member in members if (parts := parts_of(member.name)) and not _is_ignored(parts)]
    tops = {parts[0] for _, parts in found}
    stem = re.sub(r" ?\(\d+\)\Z", "", _stem(path.name))
    if tops == {stem} and all(len(parts) > 1 for _, parts in found):
        return [(member, parts[1:]) for member, parts in found]
    return sorted(found, key=lambda pair: pair[1])


def _is_ignored(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") for part in parts) or not IGNORED_FOLDERS.isdisjoint(parts)


def _harmless(name: str) -> tuple[str, ...]:
    parts = re.split(r"[/\\]", name)
    return tuple(part for part in parts if part not in ("", ".", "..") and not part.endswith(":")) or ("member",)


def _gradable(found: Sequence[Found]) -> Iterator[tuple[Found, Owner]]:
    """What gets a row: code, problems, and what was handed in instead of a notebook; other stray files do not."""
    records = _gradescope_records(found)
    files: dict[Owner, list[Found]] = {}
    for each in found:
        if each.parts[-1] != METADATA:
            owner = _owner(each.parts, records)
            files.setdefault(owner, []).append(_on_the_clock_of(owner, each, records))
    flat = any(len(each.parts) == 1 and _is_code(each.parts[0]) for each in found)
    for owner, theirs in files.items():
        rows = [each for each in theirs if each.problem or _is_code(each.parts[-1]) or (each.owed and _is_python(each))]
        folder = len(theirs[0].parts) > 1
        if not rows and (owner.platform or (folder and not flat) or any(each.owed for each in theirs)):
            rows = [_no_notebook(theirs)]
        yield from ((row, owner) for row in rows)


def _no_notebook(files: Sequence[Found]) -> Found:
    names = [_printable(each.parts[-1]) for each in files if each.parts[-1]]
    wanted = "Hand in the notebook (.ipynb)."
    if not names:
        return Found(files[0].parts[:-1], files[0].path, f"Nothing was handed in: the folder is empty. {wanted}")
    if len(names) == 1:
        return Found(files[0].parts, files[0].path, f"{names[0]} is no notebook. {wanted}")
    listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return Found(files[0].parts[:1], files[0].path, f"No notebook is among the {len(names)} files ({listed}). {wanted}")


def _owner(parts: tuple[str, ...], records: dict[str, Record]) -> Owner:
    for part in parts[:-1]:
        if GRADESCOPE.match(part):
            record = records.get(part, Record())
            return Owner(" and ".join(record.names) or part, part, "gradescope", record.people)
    first = unicodedata.normalize("NFC", parts[0])
    for platform, pattern in (("moodle", MOODLE), ("canvas", CANVAS)):
        if match := pattern.match(first):
            person = urlencode({platform: match["key"], "name": match["name"]})
            return Owner(match["name"], match["key"], platform, (person,))
    name = first if len(parts) > 1 else _stem(first)
    return Owner(name, name)


def _on_the_clock_of(owner: Owner, found: Found, records: dict[str, Record]) -> Found:
    """The file with the time that its platform recorded: those in a bulk download only tell when it was packed."""
    if not owner.platform:
        return found
    return replace(found, stamp=Stamp(records.get(owner.key, Record()).handed_in, owner.platform))


def _gradescope_records(found: Sequence[Found]) -> dict[str, Record]:
    """What stands behind each `submission_123`, as the export's own list says: not one that lies in a submission."""
    records: dict[str, Record] = {}
    for each in found:
        of_export = not each.packed and not any(map(GRADESCOPE.match, each.parts))
        if each.parts[-1] != METADATA or not of_export or not each.path.is_file():
            continue
        if each.path.stat().st_size <= METADATA_CAP:
            records |= _read_records(each.path.read_text(encoding="utf-8", errors="replace"))
    return records


def _read_records(text: str) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for whole in re.split(r"(?m)^(?=submission_\d+:)", text):
        if not (folder := GRADESCOPE.match(whole.partition(":")[0])):
            continue
        persons: list[dict[str, str]] = []
        handed_in = ""
        among, margin = False, ""
        for line in whole.splitlines()[1:]:
            key = re.match(r"( +):?([a-z_]+):\s*(.*)", line)
            margin = margin or (key[1] if key else "")
            if key and key[1] == margin:
                among = key[2] == "submitters"
                if key[2] == "created_at" and not handed_in:
                    handed_in = _moment(_scalar(key[3]))
            if among and (said := re.match(r"\s*(-?)\s*:(name|sid|email):\s*(\S.*)", line)):
                if said[1] or not persons:
                    persons.append({})
                persons[-1]["number" if said[2] == "sid" else said[2]] = _scalar(said[3])
        names = tuple(person["name"] for person in persons if "name" in person)
        records[folder["name"]] = Record(names, tuple(map(urlencode, persons)), handed_in)
    return records


def _scalar(text: str) -> str:
    """What a value on one line of YAML says."""
    plain = text.strip()
    if len(plain) < 2 or plain[0] != plain[-1] or plain[0] not in "'\"":
        return plain
    if plain[0] == "'":
        return plain[1:-1].replace("''", "'")
    try:
        return str(json.loads(plain, strict=False))
    except ValueError:  # an escape that JSON lacks
        return plain[1:-1]


def _submitted(path: Path) -> Path:
    """Where a course folder of nbgrader keeps what was handed in; any other path as it is."""
    of_nbgrader = (path / SUBMITTED).is_dir() and any((path / name).exists() for name in NBGRADER)
    return path / SUBMITTED if of_nbgrader else path


def _of_nbgrader(found: Sequence[Found], assignment: str) -> list[Found]:
    """Of `<student>/<assignment>/…` what belongs to this assignment, with the times in nbgrader's own files."""
    folders = sorted({each.parts[1] for each in found if len(each.parts) > 2})
    wanted = assignment if assignment in folders or len(folders) > 1 else "".join(folders)
    if wanted not in folders:
        if not folders or not assignment:
            return list(found)
        raise InstructorError(
            f"{SUBMITTED}/ holds {', '.join(map(_printable, folders))} and no folder {assignment!r}: name the folders "
            "of the students' work like the assignment, or give a folder that has only one of them."
        )
    kept = [each for each in found if len(each.parts) < 3 or each.parts[1] == wanted]
    times = {each.parts[:2]: _nbgrader_time(each) for each in kept if _is_timestamp(each)}
    files = [each for each in kept if not _is_timestamp(each)]
    return [
        replace(each, stamp=Stamp(times.get(each.parts[:2], ""), "nbgrader")) if len(each.parts) > 2 else each
        for each in files
    ]


def _is_timestamp(found: Found) -> bool:
    return len(found.parts) == 3 and found.parts[2] == TIMESTAMP and not found.packed


def _nbgrader_time(found: Found) -> str:
    try:
        with found.path.open("rb") as file:
            return _moment(file.read(TIMESTAMP_CAP).decode("ascii", "replace").strip(), assumed="UTC")
    except OSError:
        return ""


def _moment(text: str, assumed: str = "") -> str:
    """A date and time as written by Ruby or Python, in ISO 8601; empty where it is none, or says no zone."""
    match = STAMP.match(text)
    zone = (match[4] or assumed) if match else ""
    if not match or not zone:
        return ""
    offset = "+00:00" if zone in ("UTC", "Z") else zone
    try:
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{(match[3] or '')[:7]}{offset}").isoformat()
    except ValueError:
        return ""


def _file_time(changed: float) -> Stamp:
    if not EARLIEST < changed < LATEST:
        return Stamp()
    return Stamp(datetime.fromtimestamp(changed, UTC).isoformat(), "file")


def _entries(owned: Sequence[tuple[Found, Owner]]) -> list[Entry]:
    keys: dict[str, set[str]] = {}
    for _, owner in owned:
        keys.setdefault(_name(owner.name), set()).add(owner.key)
    wanted = [_id(found.parts) for found, _ in owned]
    taken: set[str] = set()
    entries = []
    for (found, owner), id_ in zip(owned, wanted, strict=True):
        name = _name(owner.name)
        student = name if len(keys[name]) == 1 or owner.key == name else f"{name} ({_name(owner.key)})"
        entries.append(
            Entry(
                _unique(id_, taken, wanted),
                student,
                found.path,
                found.problem,
                handed_in=found.stamp.handed_in,
                clock=found.stamp.clock,
                marked_late=owner.platform == "canvas" and _marked_late(found.parts[0]),
                people=owner.people,
            )
        )
    return _with_notes(entries, [found.parts[0] for found, _ in owned])


def _marked_late(name: str) -> bool:
    match = CANVAS.match(unicodedata.normalize("NFC", name))
    return bool(match and match["late"])


def _with_notes(entries: list[Entry], spellings: list[str]) -> list[Entry]:
    """The entries, with a note where a name could be taken for another, or is one name in several spellings."""
    spelled: dict[str, set[str]] = {}
    alike: dict[str, set[str]] = {}
    for entry, spelling in zip(entries, spellings, strict=True):
        spelled.setdefault(entry.student, set()).add(spelling)
        alike.setdefault(_skeleton(entry.student), set()).add(entry.student)
    return [replace(entry, note=_note(entry.student, spelled, alike)) for entry in entries]


def _note(student: str, spelled: dict[str, set[str]], alike: dict[str, set[str]]) -> str:
    if len(alike[_skeleton(student)]) > 1:
        return f"The name {student!r} is easily taken for another one in this class; each is graded as its own student."
    forms = {unicodedata.normalize("NFC", spelling) for spelling in spelled[student]}
    if len(forms) < len(spelled[student]):
        return f"Files came under two spellings of {student!r} that look alike; they are graded as one student's."
    return ""


def _skeleton(name: str) -> str:
    """What is left of a name for an eye that sees neither case nor script."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(LOOKALIKES)
    return "".join(x for x in plain if x != "\ufffd" and unicodedata.category(x) not in ("Cf", "Zs", "Mn"))


def _unique(id_: str, taken: set[str], wanted: Sequence[str]) -> str:
    """The id, with a number where it is taken; names that differ in case only are one on some file systems."""
    number, free = 1, id_
    others = {other.casefold() for other in wanted} if id_.casefold() in taken else set()
    while free.casefold() in taken or (number > 1 and free.casefold() in others):
        number += 1
        free = f"{id_}-{number}"
    taken.add(free.casefold())
    return free


def _id(parts: tuple[str, ...]) -> str:
    whole = "__".join(_safe(part) for part in (*parts[:-1], _stem(parts[-1])) if part) or "submission"
    if len(whole.encode()) <= ID_CAP:
        return whole
    mark = hashlib.sha256("/".join(parts).encode("utf-8", "replace")).hexdigest()[:8]
    return f"{whole.encode()[:ID_CAP].decode(errors='ignore')}-{mark}"


def _safe(part: str) -> str:
    letters = unicodedata.normalize("NFC", part)
    kept = "".join(x if x.isalnum() or x in "._-@+" or unicodedata.category(x)[0] == "M" else "_" for x in letters)
    return f"_{kept[1:]}" if kept[0] in ".-" else kept


def _name(text: str) -> str:
    return " ".join(_printable(unicodedata.normalize("NFC", text)).split())[:NAME_CAP] or "unknown"


def _printable(text: str) -> str:
    return "".join(x if x.isprintable() else "\ufffd" for x in text)[:NAME_CAP]


def _stem(name: str) -> str:
    lower = name.lower()
    suffix = next((end for end in (*ARCHIVES, *CODE) if lower.endswith(end)), Path(name).suffix)
    return name[: len(name) - len(suffix)] or name


def _is_code(name: str) -> bool:
    return name.lower().endswith(CODE) and not IGNORED_FILES.fullmatch(name)


def _is_python(found: Found) -> bool:
    return len(found.parts) == 1 and found.parts[0].lower().endswith(CODE)
