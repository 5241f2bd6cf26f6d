"""What a change of an assignment can touch: which checks of a known grade are to be judged again, and which stand.

A check rests on its own function and on what all checks share: the solution, the rest of the hidden tests, names,
limits, what is forbidden, the versions of torch, Python and ourselves. Where only some functions have changed, only
these are judged again; where only the known mistakes have, only the lost checks are, for what is said of them. Whatever
a part of a grading can't settle as the whole would, the whole does. In particular nobody loses a point by a part.
"""

import ast
import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from autograder import course
from autograder.records import Assignment, Basis, Grade, Limits, Outcome, Status

PACKAGE = Path(__file__).parent
COMMON = {
    "shared": "what all checks share (the solution, the rest of the hidden tests, names, limits, what is forbidden)",
    "secret": "the course's secret",
    "seeds": "how seeds are made",
    "torch": "torch",
    "python": "Python",
    "autograder": "the autograder",
}
LENDS = "stand_in"


@dataclass(frozen=True, slots=True)
class Part:
    """What of a known grade to judge again. judged: the checks, none if the grade stands as it is.

    held: those that are known to be passed, and are not judged.  whole_story: what is said of the submission as a whole
    can be told from what is judged.
    """

    judged: frozenset[str]
    held: frozenset[str]
    whole_story: bool


def basis(assignment: Assignment, secret: bytes) -> Basis:
    """What a grade of this assignment rests on, here and now. Raises BrokenAssignment."""
    path = assignment.folder / "test_hidden.py"
    text = path.read_text("utf-8")
    tree = course.parse(path, text)
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    apart = [check for check in checks if _stands_alone(check, tree)]
    rest = ast.dump(ast.Module([_placeholder(node) if node in apart else node for node in tree.body], []))
    bodies = {check.name: ast.dump(check) for check in apart}
    quoted = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    suspected = sorted(quoted & {mistake.id for mistake in assignment.mistakes})
    shared = [
        rest,
        *map(repr, (assignment.names, assignment.forbidden, assignment.operators, assignment.limits, suspected)),
        *_files(assignment.folder),
    ]
    names = [check.name for check in checks]
    return Basis(
        shared=_fingerprint(*shared),
        checks=tuple((name, _fingerprint(bodies.get(name, ""))) for name in names),
        leaning=tuple(name for name in names if LENDS in rest or LENDS in bodies.get(name, "")),
        mistakes=_fingerprint(*(json.dumps(asdict(mistake)) for mistake in assignment.mistakes)),
        secret=course.fingerprint(secret),
        seeds=course.SEEDS,
        torch=torch.__version__,
        python=platform.python_version(),
        autograder=ourselves(),
    )


def differences(then: Basis, now: Basis) -> list[str]:
    """What has changed, each with what it was and what it is."""
    was, is_ = asdict(then), asdict(now)
    said = [f"{what} ({was[key]} then, {is_[key]} now)" for key, what in COMMON.items() if was[key] != is_[key]]
    before = dict(then.checks)
    said += [f"the check {name}" for name, digest in now.checks if before.get(name, digest) != digest]
    return said + ["the known mistakes"] * (then.mistakes != now.mistakes)


def part(old: Grade, then: Basis | None, now: Basis) -> Part | None:
    """What of the old grade to judge again now, of the same code in the same isolation; None if all of it."""
    judged = {check.name: check.status for check in old.checks if check.status is not Status.WAITING}
    if then is None or old.status is not Outcome.GRADED or Status.TIMED_OUT in judged.values():
        return None
    if any(getattr(then, key) != getattr(now, key) for key in COMMON):
        return None
    if list(judged) != [name for name, _ in now.checks]:
        return None
    changed = {name for name, digest in now.checks if dict(then.checks)[name] != digest}
    lost = {name for name, status in judged.items() if status is not Status.PASSED}
    if then.mistakes != now.mistakes:
        changed |= lost
    leaning = set(now.leaning)
    entangled = bool(changed & lost) or bool(lost and changed & leaning)
    wanted = frozenset(changed | lost | leaning if entangled else changed)
    return Part(wanted, frozenset(judged) - wanted - lost, entangled or not lost)


def merged(old: Grade, part: Part, fresh: Grade, limits: Limits) -> Grade | None:
    """The old grade with what was judged again; None where only the whole can tell.

    That is where a check was lost that was passed before, where time ran out or might have, where the code changed, and
    where the title of a passed check did, which what is said of a lost one may name.
    """
    before = {check.name: check for check in old.checks}
    again = {check.name: check for check in fresh.checks}
    if fresh.digest != old.digest or again.keys() != part.judged:
        return None
    for name, check in again.items():
        if check.status is Status.TIMED_OUT:
            return None
        if before[name].status is Status.PASSED and check.status not in (Status.PASSED, Status.INTERNAL):
            return None
        if check.title != before[name].title and not part.whole_story:
            return None
    cpu, seconds = old.cpu_seconds + fresh.cpu_seconds, old.seconds + fresh.seconds
    if cpu > limits.submission_cpu or seconds > limits.submission_wall:
        return None
    checks = tuple(again.get(check.name, check) for check in old.checks if check.status is not Status.WAITING)
    pending = any(check.status is Status.INTERNAL for check in checks)
    return replace(
        fresh,
        status=Outcome.INTERNAL if pending else Outcome.GRADED,
        score=None if pending else sum(check.points for check in checks),
        max_score=None if pending else sum(check.max_points for check in checks),
        seconds=round(seconds, 3),
        checks=checks,
        notes=fresh.notes if part.whole_story else old.notes,
        cpu_seconds=round(cpu, 4),
        taken=tuple(check.name for check in checks if check.name not in again),
    )


def taken_over(old: Grade, version: str) -> Grade:
    """The old grade as it stands under another version of the assignment."""
    names = tuple(check.name for check in old.checks if check.status is not Status.WAITING)
    return replace(old, version=version, taken=names)


def _stands_alone(check: ast.FunctionDef, tree: ast.Module) -> bool:
    """Whether nothing but pytest reaches a check, and it reaches for nothing that others see."""
    if any(isinstance(node, ast.Global) for node in ast.walk(check)):
        return False
    elsewhere = (node for other in tree.body if other is not check for node in ast.walk(other))
    return check.name not in set(_mentioned(elsewhere))


def _mentioned(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _placeholder(node: ast.stmt) -> ast.stmt:
    return ast.Expr(ast.Constant(f"check {getattr(node, 'name', '')}"))


def _files(folder: Path) -> Iterator[str]:
    """What else lies in an assignment's folder and might be read by its tests: names and fingerprints."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        apart = parts[0] in ("variants", "assignment.toml", "test_hidden.py") or "__pycache__" in parts
        if path.is_file() and not apart and not parts[-1].startswith("."):
            yield f"{'/'.join(parts)} {hashlib.sha256(path.read_bytes()).hexdigest()}"


@cache
def ourselves() -> str:
    """Our version, and a fingerprint of our own files as they were when this process began to grade."""
    try:
        version = metadata.version("attention-autograder")
    except metadata.PackageNotFoundError:
        version = "unknown"
    files = sorted(path for path in PACKAGE.rglob("*") if path.suffix == ".py" or path.parent.name == "filters")
    texts = (f"{path.relative_to(PACKAGE)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)
    return f"{version}+{_fingerprint(*texts)[:8]}"


def _fingerprint(*texts: str) -> str:
    total = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()[:16]
