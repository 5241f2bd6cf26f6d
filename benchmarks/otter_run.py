"""`otter run`, the peer: an archive with the same hidden checks, in a virtual environment of its own."""

import json
import os
import resource
import shutil
import subprocess
import time
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import direct

HERE = Path(__file__).parent
REQUIREMENTS = ("otter-grader==7.0.*", "torch", "numpy", "pytest", "ipykernel")
QUESTION = """OK_FORMAT = False

from otter.test_files import test_case

name = {name!r}
points = {points}


@test_case(hidden=True)
def {name}(env):
    import hidden_checks

    hidden_checks.run({name!r}, env)
"""
BRIDGE = """import os
from pathlib import Path

import direct

FOLDER = Path(os.path.dirname(os.path.abspath(__file__)))
TESTS = direct.hidden(FOLDER)
REFERENCE = direct.load(FOLDER / "solution.py", {name!r})


def run(check, env):
    names = {{key: value for key, value in env.items() if not key.startswith("__")}}
    direct.run(TESTS[check], names, REFERENCE)
"""
CONFIG = {"lang": "python", "pdf": False, "show_stdout": False}


class OtterUnavailable(Exception):
    """It can't be installed or does not run here."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one `otter run` took. cpu: of the command and everything it started and waited for."""

    cpu: float
    wall: float
    peak: int
    score: float


def install(folder: Path) -> Path:
    """The path of `otter` in the virtual environment `folder`, made at the first call."""
    program = folder / "bin" / "otter"
    if program.exists():
        return program
    try:
        venv.create(folder, with_pip=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
        constraints = HERE.parent / "constraints.txt"
        subprocess.run([*command, "-c", str(constraints), *REQUIREMENTS], check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise OtterUnavailable(f"otter-grader can't be installed in {folder}: {error}") from error
    return program


def archive(assignment: Path, target: Path) -> Path:
    """An Otter archive with one question for each hidden check, in its exception format."""
    found = direct.hidden(assignment)
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("otter_config.json", json.dumps(CONFIG))
        for name, check in found.items():
            file.writestr(f"tests/{name}.py", QUESTION.format(name=name, points=direct.points(check)))
        file.writestr("files/hidden_checks.py", BRIDGE.format(name=assignment.name))
        file.write(HERE / "direct.py", "files/direct.py")
        for name in ("solution.py", "test_hidden.py"):
            file.write(assignment / name, f"files/{name}")
    return target


def run(program: Path, notebook: Path, archive: Path, folder: Path) -> Run:
    """Grade one notebook. Raises OtterUnavailable if the command fails."""
    folder.mkdir(exist_ok=True)
    command = [str(program), "run", "--no-logo", "-a", str(archive), "-o", str(folder), str(notebook)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "JUPYTER_RUNTIME_DIR": str(folder)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    _, said = process.communicate()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise OtterUnavailable(f"`otter run` ended with {process.returncode}: {said[-1000:]}")
    results = json.loads((folder / "results.json").read_text())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(cpu, wall, after.ru_maxrss * 1024, sum(test.get("score", 0) for test in results["tests"]))
