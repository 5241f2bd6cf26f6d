"""What stays of a notebook's JSON when everything but its code is cut away. Standard library only."""

import json
from typing import Any, BinaryIO

from autograder.errors import UnreadableSubmission

SOURCE_CAP = 2 * 2**20
CELL_CAP = 5000

SAVE_AGAIN = "Open it in Jupyter, save it again with File > Save and hand in that file."
SIGNATURES = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
HTML = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
SOURCE_KEY = {1: "code", 2: "input", 3: "input", 4: "source"}
DECISIVE = {"cells", "worksheets", "cell_type", "nbformat", *SOURCE_KEY.values()}


def prune(data: bytes) -> dict[str, Any]:
    """The notebook of the same nbformat version that holds nothing but the code cells' sources.

    Raises UnreadableSubmission, with a sentence that follows on the file's name.
    """
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise UnreadableSubmission("is empty: 0 cells were found. Save the notebook and hand it in again.")
    notebook = _parse(data)
    if not isinstance(notebook, dict):
        raise UnreadableSubmission(
            f"is JSON, but no notebook: {_kind(notebook)} was found where an object was expected. {SAVE_AGAIN}"
        )
    major = _version(notebook)
    cells = _cells(notebook, major)
    _refuse_other_languages(notebook)
    sources = [source for number, cell in enumerate(cells, 1) if (source := _source(cell, number, major)) is not None]
    refuse_too_much(sources)
    return _valid(sources, major)


def prune_file(file: BinaryIO) -> dict[str, Any]:
    return prune(file.read())


def refuse_too_much(sources: list[str]) -> None:
    if len(sources) > CELL_CAP:
        raise UnreadableSubmission(
            f"has {len(sources)} code cells; at most {CELL_CAP} are read. Delete those that you don't need."
        )
    size = sum(map(len, sources))
    if size > SOURCE_CAP:
        raise UnreadableSubmission(
            f"has {size / 1e6:.1f} MB of code; at most {SOURCE_CAP // 10**6} MB are read. "
            "Move data out of the code cells and hand it in again."
        )
    for number, source in enumerate(sources, 1):
        _refuse_halves(source, number)


def what_it_is(data: bytes) -> str:
    """The kind of a file that is neither notebook nor Python, or an empty string."""
    for signature, kind in SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:512].lstrip().lower().startswith(HTML):
        return "a web page"
    return "binary data" if b"\0" in data[:4096] else ""


def decode(data: bytes) -> str:
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise UnreadableSubmission(
            f"is not UTF-8 text (byte {error.start}: 0x{data[error.start]:02x}). Save it as UTF-8 and hand it in again."
        ) from error


def _parse(data: bytes) -> Any:
    if kind := what_it_is(data):
        raise UnreadableSubmission(
            f"is {kind}, not a notebook: a file ending in .ipynb must hold a notebook. Hand in the notebook itself."
        )
    text = decode(data)
    try:
        return json.loads(text, object_pairs_hook=_once, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise UnreadableSubmission(_not_json(text, error)) from error
    except RecursionError as error:
        raise UnreadableSubmission(f"is nested too deeply to be a notebook. {SAVE_AGAIN}") from error


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    if "\n<<<<<<< " in text:
        return (
            "holds unresolved merge conflicts (<<<<<<<). Resolve them in git, save the notebook and hand it in again."
        )
    if text.lstrip()[:1] != "{":
        return (
            "holds text, but no notebook: a notebook is JSON and begins with {. "
            "If it is a Python file, let its name end in .py; else hand in the notebook itself."
        )
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return f"is cut off in line {error.lineno}: the download or upload broke off. Hand it in again."
    return f"is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}). {SAVE_AGAIN}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Later keys win, as in Jupyter, but never among the keys that decide what is graded."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        if twice := sorted(key for key in DECISIVE.intersection(keys) if keys.count(key) > 1):
            raise UnreadableSubmission(f"has {twice[0]!r} twice in one place: which to read is unclear. {SAVE_AGAIN}")
    return found


def _integer(digits: str) -> int:
    """Only the format's number matters; a long one would cost quadratic time."""
    return int(digits) if len(digits) < 20 else -1


def _version(notebook: dict[str, Any]) -> int:
    major = notebook.get("nbformat")
    if major is None:
        major = 4 if "cells" in notebook else 3 if "worksheets" in notebook else None
    if major is None:
        raise UnreadableSubmission(f"is JSON, but no notebook: it has no 'cells'. {SAVE_AGAIN}")
    if type(major) is not int or major not in SOURCE_KEY:
        shown = major if type(major) is int and major >= 0 else _kind(major)
        raise UnreadableSubmission(f"has notebook format {shown}; formats 1 to 4 can be read. {SAVE_AGAIN}")
    return major


def _cells(notebook: dict[str, Any], major: int) -> list[Any]:
    if major in (1, 4):
        return _list(notebook, "cells")
    return [cell for sheet in _list(notebook, "worksheets") for cell in _list(sheet, "cells")]


def _list(holder: Any, key: str) -> list[Any]:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, list):
        raise UnreadableSubmission(f"has {_kind(value)} as {key!r}; a list was expected. {SAVE_AGAIN}")
    return value


def _source(cell: Any, number: int, major: int) -> str | None:
    """The cell's code, or None where the cell holds none because it is of another type."""
    kind = cell.get("cell_type") if isinstance(cell, dict) else None
    if not isinstance(kind, str):
        raise UnreadableSubmission(f"has no readable 'cell_type' in cell {number} of all cells. {SAVE_AGAIN}")
    if kind != "code":
        return None
    source = cell.get(SOURCE_KEY[major])
    if source is None:
        return ""
    if isinstance(source, str):
        return source
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    raise UnreadableSubmission(
        f"has {_kind(source)} as the source of cell {number} of all cells; text was expected. {SAVE_AGAIN}"
    )


def _refuse_halves(source: str, number: int) -> None:
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise UnreadableSubmission(
            f"has half a character (\\u{ord(source[error.start]):04x}) in code cell {number}, "
            f"line {source.count(chr(10), 0, error.start) + 1}. Type that character again and save the notebook."
        ) from error


def _refuse_other_languages(notebook: dict[str, Any]) -> None:
    metadata = _dict(notebook.get("metadata"))
    kernel, info = _dict(metadata.get("kernelspec")), _dict(metadata.get("language_info"))
    named = [name for name in (info.get("name"), kernel.get("language")) if isinstance(name, str) and name.strip()]
    if not named or any("python" in name.lower() for name in [*named, str(kernel.get("name"))]):
        return
    raise UnreadableSubmission(
        f"is written for the language {named[0][:40]!r}; Python was expected. "
        "Choose a Python kernel (Kernel > Change Kernel), run the notebook and save it."
    )


def _valid(sources: list[str], major: int) -> dict[str, Any]:
    if major == 1:
        return {"nbformat": 1, "cells": [{"cell_type": "code", "code": source} for source in sources]}
    if major == 4:
        code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
        return {
            "nbformat": 4,
            "nbformat_minor": 4,
            "metadata": {},
            "cells": [{**code, "outputs": [], "metadata": {}, "source": source} for source in sources],
        }
    cells = [
        {"cell_type": "code", "language": "python", "collapsed": False, "metadata": {}, "outputs": [], "input": source}
        for source in sources
    ]
    return {
        "nbformat": major,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": cells, "metadata": {}}],
    }


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), "nothing")
