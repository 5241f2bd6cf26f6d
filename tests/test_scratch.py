"""scratch: private folders that go with their process, even if that is killed."""

import os
import stat
import subprocess
import sys
import time

import pytest

from autograder import scratch

KEEPS = """
import sys
from pathlib import Path
from autograder.scratch import private_folder
with private_folder("test") as folder:
    (folder / "kept").mkdir()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_it_is_private_and_goes_with_its_use(tmp_path):
    with scratch.private_folder("test") as folder:
        assert folder.parent == tmp_path.resolve() and stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "deep" / "deeper").mkdir(parents=True)
    with pytest.raises(ValueError, match="whatever"), scratch.private_folder("test"):
        raise ValueError("whatever")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path):
    command = [sys.executable, "-c", KEEPS]
    killed, alive = (subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in range(2))
    left, used = (process.stdout.readline().strip() for process in (killed, alive))
    killed.kill()
    killed.wait()
    assert os.path.isdir(left)
    scratch.sweep()
    assert not os.path.exists(left) and os.path.isdir(used)
    alive.communicate("")
    assert not os.path.exists(used)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is swept there")
def test_an_empty_folder_is_left_alone_while_it_is_young(tmp_path):
    young, old = tmp_path / f"{scratch.PREFIX}a-1", tmp_path / f"{scratch.PREFIX}a-2"
    for folder in (young, old):
        folder.mkdir()
    past = time.time() - 2 * scratch.YOUNG
    os.utime(old, (past, past))
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(young)
    scratch.sweep()
    assert young.exists() and not old.exists()
