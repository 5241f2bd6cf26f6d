"""Coverage-guided fuzzing of all that reads a stranger's bytes: seconds in `make test`, minutes in `make test-all`."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TARGETS = ("frames", "header", "json_notebook", "module", "archive")
LIMITS = ("-timeout=10", "-rss_limit_mb=1500", "-max_len=4096", "-print_final_stats=1")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: pip install '.[fuzz]'"
)


def fuzz(target, folder, seconds):
    """Run one target. An input that breaks it is left in `folder`, and its error is shown."""
    script = Path(__file__).with_name("targets.py")
    command = [sys.executable, str(script), target, str(folder / "corpus"), f"-max_total_time={seconds}", *LIMITS]
    command.append(f"-artifact_prefix={folder}/")
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + 120, cwd=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr


def test_a_few_seconds_find_nothing(tmp_path):
    assert "stat::number_of_executed_units" in fuzz("everything", tmp_path, 8)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_minutes_find_nothing(target, tmp_path):
    fuzz(target, tmp_path, 60)
