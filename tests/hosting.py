"""The folders of a hosted service, with this environment in place of the one that setup.sh makes."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path


def lay_out(archive, home, works, metadata=None):
    """Unpack the archive at `home` and hand in `works`, texts by file name; returns what the service runs."""
    for name in ("source", "submission", "results"):
        (home / name).mkdir(parents=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(home / "source")
    for name, text in works.items():
        (home / "submission" / name).write_text(text, "utf-8")
    if metadata is not None:
        (home / "submission_metadata.json").write_text(json.dumps(metadata))
    (home / "venv").symlink_to(sys.prefix)
    program = home / "run_autograder"
    program.write_bytes((home / "source" / "run_autograder").read_bytes())
    program.chmod(0o755)
    return program


def results(home):
    """results.json, read."""
    return json.loads((home / "results" / "results.json").read_text("utf-8"))


def run(program, **options):
    """What running it printed, and its status."""
    return subprocess.run([program], capture_output=True, text=True, timeout=300, **options)


def run_as(program, user):
    """As `run`, by an ordinary user who can reach this Python, in an environment with nothing but PATH. Needs root."""
    command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", str(program)]
    closed = [parent for parent in Path(sys.base_prefix).parents if not parent.stat().st_mode & 0o001]
    if closed:
        outer, inner = closed[-1], Path(sys.base_prefix)
        opened = ["--perms", "0755", "--tmpfs", str(outer)]
        for parent in reversed([parent for parent in inner.parents if outer in parent.parents]):
            opened += ["--perms", "0755", "--dir", str(parent)]
        rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        command = ["bwrap", "--dev-bind", "/", "/", *opened, "--ro-bind", inner, inner, *rights, "--", *command]
    options = {"cwd": program.parent, "env": {"PATH": os.environ["PATH"]}}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def points(shown):
    """Points by check."""
    return {test["extra_data"]["check"]: test.get("score") for test in hidden(shown)}


def hidden(shown):
    """The hidden checks of what is shown."""
    return [test for test in shown["tests"] if test["tags"] == ["hidden"]]
