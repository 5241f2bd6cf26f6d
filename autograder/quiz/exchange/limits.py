"""Files from strangers, opened with bounds: XML without entities, zips without bombs, JSON without surprises."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from autograder.errors import InstructorError
from autograder.quiz import encoding

FILE_CAP = 32 * 2**20
MEMBER_CAP = 8 * 2**20
TOTAL_CAP = 64 * 2**20
MEMBERS_CAP = 2_000
ELEMENTS_CAP = 500_000
DEPTH_CAP = 100
ITEMS_CAP = 5_000
TEXT_CAP = 100_000
_EPOCH = (1980, 1, 1, 0, 0, 0)


class UnreadableExchange(InstructorError):
    """A file of another system that can't be taken: what was found, what was expected, what to do."""


def read(path: Path) -> bytes:
    """A file's bytes. Raises UnreadableExchange if there is none, or it is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_CAP + 1)
    except OSError as error:
        raise UnreadableExchange(
            f"{path} can't be read ({error.strerror}). Give the file that was exported."
        ) from error
    if len(data) > FILE_CAP:
        raise UnreadableExchange(
            f"{path.name} has more than {FILE_CAP // 2**20} MiB. Export fewer questions at a time."
        )
    return data


def xml(data: bytes, name: str) -> Element:
    """The tree of an XML file, tags as `{namespace}name`. One that declares a document type or entities is refused."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    depth = count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > DEPTH_CAP or count > ELEMENTS_CAP:
            raise UnreadableExchange(f"{name} nests or repeats its elements beyond reason. Export it again.")
        builder.start(_tag(tag), {_tag(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_tag(tag))

    def refuse(*_: object) -> int:
        raise UnreadableExchange(
            f"{name} declares a document type or entities, which no quiz needs and which can harm. "
            "Remove its <!DOCTYPE …>."
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, AssertionError, LookupError, ValueError) as error:
        said = str(error)[:100]
        raise UnreadableExchange(f"{name} is not well-formed XML ({said}). Export it again.") from error


def unzip(data: bytes, name: str) -> dict[str, bytes]:
    """An archive's XML files by name. Names that leave the archive and what unpacks beyond bounds are refused."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise UnreadableExchange(f"{name} is no zip archive ({error}). Give the package as it was exported.") from error
    if len(members) > MEMBERS_CAP:
        raise UnreadableExchange(f"{name} holds {len(members)} files, expected at most {MEMBERS_CAP}. Export fewer.")
    found: dict[str, bytes] = {}
    left = TOTAL_CAP
    for member in members:
        inside = member.filename.replace("\\", "/")
        if inside.startswith("/") or ".." in inside.split("/") or inside[1:2] == ":":
            raise UnreadableExchange(
                f"{name} holds a file named {inside[:80]!r}, which leaves the archive. Don't use it."
            )
        if not inside.lower().endswith((".xml", ".qti")):
            continue
        if inside in found:
            raise UnreadableExchange(f"{name} holds two files named {inside[:80]!r}. Export it again.")
        found[inside] = _member(archive, member, name, left)
        left -= len(found[inside])
    return found


def zipped(files: dict[str, str]) -> bytes:
    """A zip archive that is the same whenever it is written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode("utf-8"), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def load_json(data: bytes, name: str) -> Any:
    """What a JSON file says. Raises UnreadableExchange; WronglyDecoded if its text was read in the wrong encoding."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = encoding.decoded(data, name)
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise UnreadableExchange(f"{name} is not valid JSON ({error}). Export it again.") from error


class Reader:
    """One value of a JSON file and where it stands; asks for what it must be."""

    def __init__(self, value: Any, place: str) -> None:
        self.value = value
        self.place = place

    def list(self) -> Iterator["Reader"]:
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        if len(self.value) > ITEMS_CAP:
            raise self.wrong(f"at most {ITEMS_CAP} entries")
        return (Reader(each, f"{self.place}[{number}]") for number, each in enumerate(self.value))

    def get(self, key: str) -> "Reader":
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return Reader(self.value.get(key), f"{self.place}.{key}")

    def text(self, missing: str | None = None) -> str:
        if self.value is None and missing is not None:
            return missing
        if not isinstance(self.value, str) or len(self.value) > TEXT_CAP:
            raise self.wrong("a text")
        return self.value

    def number(self) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or abs(self.value) > 1e300:
            raise self.wrong("a number")
        return float(self.value)

    def wrong(self, expected: str) -> UnreadableExchange:
        return UnreadableExchange(
            f"{self.place}: found {repr(self.value)[:60]}, expected {expected}. Put it right there."
        )


def _tag(name: str) -> str:
    return "{" + name if "}" in name else name


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, left: int) -> bytes:
    cap = min(MEMBER_CAP, left)
    try:
        with archive.open(member) as file:
            data = file.read(cap + 1)
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise UnreadableExchange(
            f"{name}: {member.filename[:80]} can't be unpacked ({error}). Export it again."
        ) from error
    except Exception as error:
        if type(error).__module__ in ("zlib", "lzma"):
            raise UnreadableExchange(
                f"{name}: {member.filename[:80]} is damaged ({error}). Export it again."
            ) from error
        raise
    if len(data) > cap:
        raise UnreadableExchange(
            f"{name}: {member.filename[:80]} unpacks to more than {cap // 2**20} MiB. No quiz is that large."
        )
    return data


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")
