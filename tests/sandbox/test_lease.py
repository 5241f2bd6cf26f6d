import os
import subprocess
import sys

import pytest

from autograder.errors import OperatorError
from autograder.sandbox import isolation
from autograder.sandbox.lease import NAME, Lease

SPARE = range(70000, 70010)
ELSEWHERE = """
import sys
from pathlib import Path
from autograder.sandbox.lease import Lease
lease = Lease(range(70000, 70010), 4, [Path(sys.argv[1])])
print(*lease.users, flush=True)
sys.stdin.read()
"""


def test_two_graders_never_share_a_user(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        theirs = {int(uid) for uid in other.stdout.readline().split()}
        with Lease(SPARE, 4, [tmp_path]) as ours:
            assert len(theirs) == len(ours.users) == 4
            assert not theirs & set(ours.users)
            with pytest.raises(OperatorError, match="3 workers need a spare user each, and 2 of 10 are free"):
                Lease(SPARE, 3, [tmp_path])
        other.kill()
    with Lease(SPARE, 10, [tmp_path]) as all_of_them:
        assert all_of_them.users == list(SPARE)


def test_a_lease_lasts_as_long_as_a_fork_that_needs_it(tmp_path):
    lease = Lease(SPARE, 10, [tmp_path])
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ours, 1)
        os._exit(0)
    lease.close()
    with pytest.raises(OperatorError):
        Lease(SPARE, 1, [tmp_path])
    os.write(theirs, b"x")
    os.waitpid(child, 0)
    Lease(SPARE, 10, [tmp_path]).close()


def test_a_trap_laid_where_the_note_belongs_is_not_followed(tmp_path):
    trapped, ours = tmp_path / "trapped", tmp_path / "ours"
    trapped.mkdir()
    ours.mkdir()
    (trapped / NAME).symlink_to(tmp_path / "precious")
    with Lease(SPARE, 1, [trapped, ours]):
        assert (ours / NAME).exists()
    with pytest.raises(OperatorError, match="no place to note which spare users are taken"):
        Lease(SPARE, 1, [trapped])
    assert not (tmp_path / "precious").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can use spare users")
def test_two_zygotes_run_their_workers_as_different_users():
    profile = isolation.Profile(isolation.Isolation.UID, 7, slots=3, drops=True)
    with isolation.lease(profile) as first, isolation.lease(profile) as second:
        assert len({*first.users, *second.users}) == 6
