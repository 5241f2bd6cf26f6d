"""autograder.zip: one archive that a hosted service grades with in isolation, and that plain `otter run` takes too.

Otter's own files are kept. Added are a test file for each hidden check, this package, a course of this one assignment
with the secret, and the two scripts that hosted services call.
"""

import ast
import os
import re
import shlex
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from io import BytesIO
from pathlib import Path

import autograder
from autograder import course, master
from autograder.master import Assigned
from autograder.records import Assignment

DISTRIBUTION = "attention-autograder"
SECONDS = 540

_KEPT = ("environment.yml", "otter_config.json", "run_otter.py")
_LEFT_OUT = {"__pycache__", "variants", ".ipynb_checkpoints"}
_MADE = (1980, 1, 1, 0, 0, 0)

_CHECK = """\
from otter.test_files import test_case

OK_FORMAT = False

name = "{name}"
points = {points!r}


@test_case(name={title!r}, points={points!r}, hidden=True)
def {name}(env):
    import sys
    from pathlib import Path

    home = next(path for path in sys.path if Path(path, "course", "solutions", {assignment!r}).is_dir())
    sys.path.insert(0, home)
    from autograder import unwalled

    unwalled.hold({name!r}, {assignment!r}, env)
"""

_SETUP = """\
#!/usr/bin/env bash
# Runs once, when the service builds its image: makes the environment in which submissions are graded.
set -euo pipefail
home="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
built_for=@TORCH_INDEX@
torch_index="${TORCH_INDEX-$built_for}"

fits() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in python3.13 python3.12 python3.11 python3; do
        if fits "$candidate"; then echo "$candidate"; return; fi
    done
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

python="$(find_python)"
if [ -z "$python" ] && may_install; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq python3.11 python3.11-venv
    python="$(find_python)"
fi
if [ -z "$python" ]; then
    echo "Python 3.11 or later with venv is needed, and there is none." >&2
    exit 1
fi

"$python" -m venv "$home/venv"
"$home/venv/bin/python" -m pip install --quiet --no-cache-dir ${torch_index:+--extra-index-url "$torch_index"} \\
    --requirement "$home/source/requirements.txt"
cd "$home/source/files"
"$home/venv/bin/python" -B -c "import autograder.hosted"
chmod -R go= "$home/source/files/course" "$home/source/tests"
"""

_RUN = """\
#!/usr/bin/env bash
# Runs for each submission. Fewer seconds than the service allows, so that what was found in time is still read.
seconds={seconds}
home="$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)"
[ -d "$home/source" ] || home="$(dirname "$home")"
deadline=$(($(date +%s) + seconds))
export OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2
mkdir -p "$home/results"
rm -f "$home/results/results.json"
cd "$home/source/files" || exit 1
timeout --kill-after=5 "$seconds" "$home/venv/bin/python" -B -m autograder.hosted "$home" "$deadline" 2>&1
status=$?
if [ ! -e "$home/results/results.json" ]; then
    echo '{{"output": "Nothing could be graded, through no fault of yours. Tell your instructor."}}' \\
        >"$home/results/results.json"
fi
[ "$status" != 1 ]
"""


def make(assignment: Assignment) -> dict[str, bytes]:
    """The notebook for a course that uses Otter, and the archive, by their paths below the course.

    Raises what `master.assign` raises.
    """
    with tempfile.TemporaryDirectory(prefix="autograder-dist-") as folder:
        assigned = master.assign(assignment, requirements(), Path(folder))
        files = {f"{assignment.name}.ipynb": assigned.notebook.encode(), "autograder.zip": pack(assignment, assigned)}
    return {f"dist/{assignment.name}/{name}": content for name, content in files.items()}


def pack(assignment: Assignment, assigned: Assigned) -> bytes:
    """The archive; the same bytes whenever it is made of the same files and versions."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_files(assignment, assigned)):
            entry = zipfile.ZipInfo(name, _MADE)
            private = name.startswith(("files/course/", "tests/"))
            mode = 0o755 if name in ("run_autograder", "setup.sh") else 0o600 if private else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return packed.getvalue()


def requirements() -> list[str]:
    """What this package needs, in the versions that are installed here."""
    always = [line for line in metadata.requires(DISTRIBUTION) or () if ";" not in line]
    needed = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in always]
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in needed]


def _files(assignment: Assignment, assigned: Assigned) -> Iterator[tuple[str, bytes]]:
    yield "requirements.txt", "".join(f"{line}\n" for line in requirements()).encode()
    torch_index = shlex.quote(os.environ.get("TORCH_INDEX", ""))
    yield "setup.sh", _SETUP.replace("@TORCH_INDEX@", torch_index).encode()
    yield "run_autograder", _RUN.format(seconds=SECONDS).encode()
    yield from _of_otter(assignment, assigned)
    yield from _checks(assignment)
    yield from _below(Path(autograder.__file__).parent, "files/autograder")
    yield from _below(assignment.folder, f"files/course/solutions/{assignment.name}")
    home = assignment.folder.parents[1]
    yield "files/course/solutions/.secret", f"{course.secret(home).hex()}\n".encode()
    roster = home / "solutions" / "roster.csv"
    if roster.is_file():
        yield "files/course/solutions/roster.csv", roster.read_bytes()


def _of_otter(assignment: Assignment, assigned: Assigned) -> Iterator[tuple[str, bytes]]:
    questions = master.questions(assignment)
    with zipfile.ZipFile(assigned.archive) as archive:
        for name in _KEPT:
            yield name, archive.read(name)
        for question, titles in questions.items():
            name = f"tests/{question}.py"
            yield name, master.with_titles(archive.read(name).decode(), titles).encode()


def _checks(assignment: Assignment) -> Iterator[tuple[str, bytes]]:
    titles = _titles(assignment)
    for name, points in course.checks(assignment).items():
        text = _CHECK.format(name=name, points=points, title=titles[name], assignment=assignment.name)
        yield f"tests/{name}.py", text.encode()


def _titles(assignment: Assignment) -> dict[str, str]:
    path = assignment.folder / "test_hidden.py"
    found = [node for node in course.parse(path, path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    return {node.name: (ast.get_docstring(node) or "").strip().split("\n")[0] for node in found}


def _below(folder: Path, place: str) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not _LEFT_OUT & set(parts):
            yield "/".join((place, *parts)), path.read_bytes()
