"""The untrusted side: one process that runs a submission's cells, then does what the grader asks until it is ended.

A worker is forked by the zygote. It gives up every right in `limits` before it reads a byte of the submission, and it
never holds a test, an expected value, the reference or a score.
"""

import builtins
import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import torch

from autograder.sandbox import device, limits, wire
from autograder.sandbox.cells import Runner
from autograder.sandbox.lent import Lender
from autograder.sandbox.stage import Stage, describe, reseed, sendable

LINK = 3
MAX_PAYLOAD = 1 << 32


def work(plan: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Become the worker that `plan` describes. descriptors: the link to the grader, and where output goes."""
    _keep_only(*descriptors)
    confinement = limits.Confinement(**plan["confinement"])
    limits.confine(confinement, parent=plan["parent"])
    os.chdir(confinement.writable or "/")
    os.environ.update(HOME=os.getcwd(), TMPDIR=os.getcwd())
    torch.set_num_threads(plan["threads"])
    reseed(plan["seed"])
    link = Link(socket.socket(fileno=LINK))
    _serve(link, Runner(os.getcwd()))
    os._exit(0)


class Link:
    """Blocking frames to and from the grader."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._inbox = wire.Inbox(self._fill)

    def receive(self) -> dict[str, Any]:
        message, memory = self._read()
        operation: dict[str, Any] = message.value
        if all(fact.device == "cpu" for fact in message.facts):
            operation["memory"] = memory
            return operation
        moved = {id(t): t.to(f.device) for t, f in zip(message.tensors, message.facts, strict=True)}
        return {key: _replaced(value, moved) for key, value in operation.items()}

    def send(self, value: Any) -> None:
        for buffer in wire.pack(value):
            self.connection.sendall(buffer)

    def exchange(self, value: Any) -> wire.Message:
        """Ask the grader something, in the middle of what it asked."""
        self.send(value)
        return self._read()[0]

    def _read(self) -> tuple[wire.Message, bytearray]:
        frame = self._inbox.frame(MAX_PAYLOAD)
        return frame.unpack(trusting=True), frame.memory

    def _fill(self, view: memoryview) -> int:
        count = self.connection.recv_into(view)
        if count == 0:
            os._exit(0)
        return count


def _serve(link: Link, runner: Runner) -> None:
    stage = Stage(runner.namespace)
    while True:
        operation = link.receive()
        if operation["op"] == "cells":
            link.send({"ready": _run_cells(link, runner, operation["cells"])})
            continue
        if operation["op"] == "device":
            link.send({"problem": _start_device(operation["name"], operation["memory"])})
            continue
        if operation["op"] == "lend":
            Lender(link.exchange).lend(runner.namespace, operation["kinds"])
            link.send({"value": None})
            continue
        answer = stage.perform(operation)
        _flush()
        try:
            link.send(sendable(answer))
        except wire.Unsendable as error:
            link.send(sendable(describe(TypeError(f"the result can't be read: {error}"))))
        except Exception as error:
            link.send(sendable(describe(error)))


def _start_device(name: str, memory: int) -> str:
    try:
        device.start(name, memory)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _run_cells(link: Link, runner: Runner, cells: list[tuple[int, str]]) -> list[dict[str, Any]]:
    errors = []
    for number, source in cells:
        link.send({"cell": number})
        error = runner.run(number, source)
        if error is not None:
            errors.append({"cell": error.cell, "type": error.type, "message": error.message, "line": error.line})
    _flush()
    return errors


def _flush() -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()


def _replaced(value: Any, moved: dict[int, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return moved.get(id(value), value)
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(item, moved) for item in value)
    if isinstance(value, dict):
        return {key: _replaced(item, moved) for key, item in value.items()}
    return value


def _keep_only(link: int, output: int) -> None:
    """Close every descriptor but the link, at 3, and the output, at 1 and 2; standard input is empty."""
    link, output = (fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (link, output))
    os.dup2(link, LINK, inheritable=False)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(LINK + 1, 1 << 20)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False, buffering=1)  # noqa: SIM115
    builtins.input = _no_input


def _no_input(prompt: object = "") -> str:
    raise EOFError("input() has nobody to ask while a notebook is graded")
