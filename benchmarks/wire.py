"""What a call to a student's function costs, by the size of its tensor.

    python benchmarks/wire.py [--isolation require] [--calls 200]

One tensor of float32 goes out and one of the same size comes back, through a real worker. For comparison: the function
called directly in this process, and the bare floor of any wire: as many bytes there and back over a pair of sockets to
a forked process that only echoes them. "backward" is a call on an input that requires a gradient, and its backward
pass. Wall and CPU time per call (CPU: this process and the worker together), medians of the wall and means of the CPU.
"""

import argparse
import os
import socket
import statistics
import time
from collections.abc import Callable

import torch

from autograder.records import Cell, Isolation, Limits
from autograder.sandbox import isolation
from autograder.sandbox.spawn import Budget, Order, Worker, Zygote
from autograder.sandbox.student import Conversation, Student
from autograder.sandbox.warm import warm_up

SIZES = [1 << power for power in range(10, 27, 2)]
CODE = "def double(x):\n    return x * 2\n"
ROOMY = Limits(check_cpu=600, cells_cpu=600, submission_cpu=3600, memory=8 * 2**30, reply=2**30)
PLENTY = Budget(600, 600)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a call costs, by the size of its tensor.")
    parser.add_argument("--isolation", default="require", help="require, best, off, or one level by its name")
    parser.add_argument("--calls", type=int, default=200, help="per size; fewer for large tensors")
    options = parser.parse_args()
    level = Isolation(options.isolation) if options.isolation in set(Isolation) else None
    wanted = "off" if options.isolation in ("off", "none") else "require" if level else options.isolation
    profile = isolation.choose(wanted, only=None if wanted == "off" else level)
    zygote = Zygote(profile)
    warm_up(backward=True)
    zygote.await_ready()
    worker = zygote.fork(Order(ROOMY))
    try:
        _measure(worker, options.calls)
    finally:
        worker.end()
        zygote.close()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{profile.level} isolation; load {load}")


def _measure(worker: Worker, calls: int) -> None:
    list(worker.run_cells([Cell(1, CODE)], PLENTY))
    conversation = Conversation(lambda operation: worker.ask(operation, PLENTY), torch.device("cpu"))
    student = Student(conversation, {"double": "function"})
    columns = ("direct", "sockets", "call", "CPU", "MB/s", "backward", "CPU")
    print(f"{'bytes':>12}" + "".join(f"{name:>11}" for name in columns) + "      (ms)")
    for size in SIZES:
        times = max(5, min(calls, (1 << 29) // size))
        x = torch.randn(size // 4)
        y = torch.randn(size // 4, requires_grad=True)
        direct, _ = _time(lambda: x * 2, times, worker)  # noqa: B023 - used at once
        bare = _echo(size, times)
        call, call_cpu = _time(lambda: student.double(x), times, worker)  # noqa: B023
        back, back_cpu = _time(lambda: _backward(student, y), times, worker)  # noqa: B023
        speed = f"{2 * size / call / 1e6:11.0f}"
        figures = "".join(f"{1000 * value:11.3f}" for value in (direct, bare, call, call_cpu))
        print(f"{size:12}{figures}{speed}" + "".join(f"{1000 * value:11.3f}" for value in (back, back_cpu)))


def _backward(student: Student, x: torch.Tensor) -> None:
    x.grad = None
    student.double(x).sum().backward()


def _time(work: Callable[[], object], times: int, worker: Worker) -> tuple[float, float]:
    """Median wall seconds and mean CPU seconds of a call, after a few to get going."""
    for _ in range(3):
        work()
    taken = []
    before = time.process_time() + worker.cpu()
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), (time.process_time() + worker.cpu() - before) / times


def _echo(size: int, times: int) -> float:
    """Median wall seconds for `size` bytes to a forked process and back."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        buffer = bytearray(size)
        while _receive(theirs, buffer):
            theirs.sendall(buffer)
        os._exit(0)
    theirs.close()
    data, taken = bytes(size), []
    with ours:
        for _ in range(times):
            began = time.perf_counter()
            ours.sendall(data)
            _receive(ours, bytearray(size))
            taken.append(time.perf_counter() - began)
    os.waitpid(child, 0)
    return statistics.median(taken)


def _receive(connection: socket.socket, buffer: bytearray) -> bool:
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            return False
        view = view[count:]
    return True


if __name__ == "__main__":
    main()
