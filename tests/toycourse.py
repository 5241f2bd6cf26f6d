"""A complete course of one small assignment, `toy`, to be copied wherever a test may write."""

import shutil
from pathlib import Path

COURSES = Path(__file__).parent / "courses"
MISTAKES = ("adds-instead", "in-place", "no-bias", "single-precision")


def make(folder: Path, name: str = "toy") -> Path:
    """A fresh copy of the course `tests/courses/<name>` below `folder`."""
    return Path(shutil.copytree(COURSES / name, folder / "course", ignore=shutil.ignore_patterns(".secret")))


def edit(course: Path, file: str, before: str, after: str) -> Path:
    """Change one file of the assignment `toy`: `before`, which must occur once, becomes `after`."""
    path = course / "solutions" / "toy" / file
    text = path.read_text("utf-8")
    assert text.count(before) == 1, f"{before!r} occurs {text.count(before)} times in {file}"
    path.write_text(text.replace(before, after), "utf-8")
    return path
