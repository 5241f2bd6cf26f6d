"""Begins an assignment: a small one, complete and green, for the instructor to edit into her own."""

import keyword
import os
import re
import secrets
import shutil
import sys
from importlib import metadata, resources
from pathlib import Path

from autograder.errors import InstructorError, OperatorError

FILES = ("assignment.toml", "solution.py", "test_hidden.py", "variants/one.py")

_NAME = re.compile(r"(?=.{1,60}\Z)[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TEST = re.compile(r"test_.*|.*_test|conftest")
_DEVICE = re.compile(r"con|prn|aux|nul|com\d|lpt\d")


def new(course: Path, name: str) -> list[Path]:
    """Make `solutions/<name>/`, whole or not at all, and return its files."""
    _refuse_bad(name)
    _refuse_taken(course, name)
    folder = course / "solutions" / name
    fresh = folder.with_name(f".{secrets.token_hex(8)}.new")
    try:
        for file in FILES:
            (fresh / file).parent.mkdir(parents=True, exist_ok=True)
            (fresh / file).write_text(_text(file, name), "utf-8")
        os.rename(fresh, folder)
    except OSError as error:
        _refuse_taken(course, name)  # by somebody who was quicker
        raise OperatorError(
            f"{folder} can't be made ({error.strerror}), and nothing of it was: see to it that "
            f"{folder.parent} can be written to and has room, then try again."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [folder / file for file in FILES]


def _text(file: str, name: str) -> str:
    example = resources.files("autograder") / "example" / f"{file}.txt"
    title = re.sub(r"\A[a-z]\d+_", "", name).replace("_", " ").capitalize()
    return example.read_text("utf-8").replace("TITLE", title).replace("NAME", name)


def _refuse_bad(name: str) -> None:
    if not (objection := _objection(name)):
        return
    plain = "_".join(re.findall("[a-z0-9]+", name.lower()))
    better = next((each for each in (plain, f"my_{plain}_exercise") if not _objection(each)), "my_exercise")
    raise InstructorError(f"{name!r} can't name an assignment: {objection}. Take another name, such as {better!r}.")


def _objection(name: str) -> str:
    """What is wrong with a name, of which students get a module and a notebook; empty if nothing is."""
    if not _NAME.fullmatch(name):
        return "expected 1 to 60 lower-case letters, digits and single '_' between them, with a letter first"
    if keyword.iskeyword(name):
        return "expected a name that can be imported, found a keyword of Python"
    if name in sys.stdlib_module_names:
        return f"found a module of Python's own, which a student's {name}.py would hide"
    if owners := metadata.packages_distributions().get(name):
        return f"found a module of the installed package {owners[0]}, which a student's {name}.py would hide"
    if _TEST.fullmatch(name):
        return f"expected a name that means nothing to pytest, which takes {name}.py for its own"
    if _DEVICE.fullmatch(name):
        return "expected a name that every system can give to a file, found a device of Windows"
    return ""


def _refuse_taken(course: Path, name: str) -> None:
    for place in (course / "solutions" / name, course / "assignments" / name):
        if os.path.lexists(place):
            raise InstructorError(
                f"There is {place} already, and nothing was changed: take another name, or move that away first."
            )
