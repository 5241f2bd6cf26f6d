"""A process that was warmed up is as it was: one thread, and nothing slow left to do."""

import gc
import os
import subprocess
import sys
import textwrap
import threading

import pytest
import torch

from autograder.sandbox import warm

COMPUTE = """
    import os, sys, torch
    from autograder.sandbox.warm import settle, warm_up
    warm_up(backward={backward})
    settle()
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    torch.set_num_threads(2)
    x = torch.randn(400, 400, requires_grad=True)
    (x @ x).exp().sum().backward()
    os._exit(7)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("backward", [True, False])
def test_a_fork_of_a_warm_process_can_compute_with_threads(backward):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(COMPUTE.format(backward=backward))],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr


def test_a_second_thread_is_refused_before_the_first_fork():
    wait = threading.Event()
    threading.Thread(target=wait.wait, daemon=True).start()
    try:
        with pytest.raises(RuntimeError, match=r"\d+ threads run before the first fork"):
            warm.settle()
    finally:
        wait.set()
        gc.unfreeze()


def test_workers_find_everything_loaded(desk):
    place = desk("""
        import sys, torch
        before = set(sys.modules)
        def late():
            layer = torch.nn.Linear(2, 2)
            optimizer = torch.optim.AdamW(layer.parameters())
            layer(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            return sorted(name for name in set(sys.modules) - before if name.startswith("torch"))
    """)
    assert place.errors == [] and place.student().late() == []


def test_warming_up_uses_one_thread(monkeypatch):
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    warm.warm_up(backward=False)
    assert threads == [1]
