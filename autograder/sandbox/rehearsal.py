"""What a worker would answer, without a worker: for code that is trusted, in this process."""

import contextlib
import copy
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import torch

from autograder.sandbox.stage import Stage, reseed, sendable
from autograder.sandbox.student import substitute
from autograder.sandbox.wire import Facts, Message


class Rehearsal:
    """Stands in for a worker that runs `names`. Random numbers that they draw do not disturb the test's own."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.stage = Stage(names)
        self._dice = Dice(0)

    def ask(self, operation: dict[str, Any]) -> Message:
        """As `Worker.ask`, without a budget."""
        with self._dice.thrown(), torch.enable_grad():
            answer = sendable(self.stage.perform(copy.deepcopy(operation)))
        found: dict[int, torch.Tensor] = {}
        facts: list[Facts] = []
        groups: dict[tuple[object, ...], int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) not in found:
                found[id(tensor)] = tensor.detach().clone()  # as on the wire: later changes are not seen
                place = (tensor.data_ptr(), tensor.shape, tensor.stride())
                group = groups.setdefault(place, len(groups)) if tensor.numel() else -1
                facts.append(Facts(str(tensor.device), tensor.requires_grad, group))
            return found[id(tensor)]

        value = substitute(answer, keep)
        return Message(value, tuple(found.values()), tuple(facts))


class Dice:
    """A stream of random numbers of its own: what draws from it neither disturbs nor sees the one outside."""

    def __init__(self, seed: int) -> None:
        outside = _state()
        reseed(seed)
        self._next = _state()
        _restore(outside)

    @contextlib.contextmanager
    def thrown(self) -> Iterator[None]:
        """What runs inside draws from here, where it stopped the last time."""
        outside = _state()
        _restore(self._next)
        try:
            yield
        finally:
            self._next = _state()
            _restore(outside)


def _state() -> tuple[Any, ...]:
    return torch.get_rng_state(), random.getstate(), numpy.random.get_state()


def _restore(state: tuple[Any, ...]) -> None:
    torch.set_rng_state(state[0])
    random.setstate(state[1])
    numpy.random.set_state(state[2])
