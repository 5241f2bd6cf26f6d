"""The rooms of the package may only import from rooms below their own."""

import ast
from pathlib import Path

import pytest

import autograder

ROOT = Path(autograder.__file__).parent
LEVELS = [
    {"errors"},
    {"records", "text", "mutation"},
    {"course", "notebook", "adjustments", "policy", "pruning", "quarantine", "roster", "sandbox"},
    {"judge", "diagnosis", "feedback", "gpu", "scrutiny", "steps", "typeset", "public", "scratch"},
    {"precedents", "grader", "gradebook", "ledger", "engines", "regrading", "standing"},
    {"cluster", "supervisor", "outpost"},
    {
        "archives",
        "intake",
        "build",
        "scaffold",
        "batch",
        "verify",
        "reports",
        "site",
        "selfcheck",
        "demo",
        "progress",
        "unwalled",
    },
    {"quiz", "exports", "lastword", "comparison", "repeat", "similarity", "master", "bundle", "hosted", "returned"},
    {"cli"},
]
SAME_LEVEL = {
    ("notebook", "pruning"),
    ("notebook", "quarantine"),
    ("feedback", "diagnosis"),
    ("feedback", "judge"),
    ("gpu", "judge"),
    ("grader", "precedents"),
    ("engines", "grader"),
    ("engines", "ledger"),
    ("gradebook", "ledger"),
    ("cluster", "supervisor"),
    ("cluster", "outpost"),
    ("supervisor", "outpost"),
    ("intake", "archives"),
    ("batch", "intake"),
    ("batch", "reports"),
    ("batch", "site"),
    ("verify", "build"),
    ("demo", "build"),
    ("progress", "batch"),
    ("bundle", "master"),
    ("hosted", "exports"),
    ("exports", "quiz"),
    ("lastword", "quiz"),
    ("repeat", "quiz"),
}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] == "autograder":
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("autograder.")}
    return found - {"__init__"}


def level(name: str) -> int:
    return next(number for number, rooms in enumerate(LEVELS) if name in rooms)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    mine = room(path)
    if mine == "__init__":
        return
    for other in imported_rooms(path) - {mine}:
        assert level(other) < level(mine) or (mine, other) in SAME_LEVEL, f"{mine} may not import {other}"


def test_every_room_has_a_level():
    rooms = {room(path) for path in ROOT.rglob("*.py")} - {"__init__"}
    assert rooms == set().union(*LEVELS)


def test_the_engine_knows_no_assignment_by_name():
    names = [path.name for path in (ROOT.parent / "solutions").iterdir() if path.is_dir()]
    for path in ROOT.rglob("*.py"):
        assert not [name for name in names if name in path.read_text()], path


def test_no_pickle_anywhere():
    for path in ROOT.rglob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
        names = {alias.name for node in imports for alias in node.names}
        assert not names & {"pickle", "dill", "cloudpickle", "marshal", "shelve"}, path
        assert "torch.load" not in path.read_text(), path


@pytest.mark.parametrize(
    "name",
    [
        "wire",
        "stage",
        "cells",
        "stand_ins",
        "lent",
        "elsewhere",
        "warm",
        "limits",
        "refusals",
        "worker",
        "zygote",
    ],
)
def test_the_untrusted_side_imports_nothing_of_the_trusted(name):
    trusted = {f"autograder.sandbox.{each}" for each in ("student", "spawn", "isolation", "rehearsal", "understudy")}
    for node in ast.walk(ast.parse((ROOT / "sandbox" / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autograder"):
            assert node.module == "autograder.errors" or node.module.startswith("autograder.sandbox")
            assert node.module not in trusted
