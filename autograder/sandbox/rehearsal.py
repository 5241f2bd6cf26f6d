"""What a worker would answer, without a worker: for code that is trusted, in this process."""

import contextlib
import copy
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import torch

from autograder.sandbox.stage import Stage, sendable
from autograder.sandbox.student import substitute
from autograder.sandbox.wire import Facts, Message


class Rehearsal:
    """Stands in for a worker that runs `names`. Random numbers that they draw do not disturb the test's own."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.stage = Stage(names)

    def ask(self, operation: dict[str, Any]) -> Message:
        """As `Worker.ask`, without a budget."""
        with own_random_numbers(), torch.enable_grad():
            answer = sendable(self.stage.perform(copy.deepcopy(operation)))
        found: dict[int, torch.Tensor] = {}
        facts: list[Facts] = []
        groups: dict[tuple[object, ...], int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) not in found:
                found[id(tensor)] = tensor.detach()
                place = (tensor.data_ptr(), tensor.shape, tensor.stride())
                group = groups.setdefault(place, len(groups)) if tensor.numel() else -1
                facts.append(Facts(str(tensor.device), tensor.requires_grad, group))
            return found[id(tensor)]

        value = substitute(answer, keep)
        return Message(value, tuple(found.values()), tuple(facts))


@contextlib.contextmanager
def own_random_numbers() -> Iterator[None]:
    """What runs inside draws random numbers without disturbing those outside."""
    mine = (torch.get_rng_state(), random.getstate(), numpy.random.get_state())
    try:
        yield
    finally:
        torch.set_rng_state(mine[0])
        random.setstate(mine[1])
        numpy.random.set_state(mine[2])
