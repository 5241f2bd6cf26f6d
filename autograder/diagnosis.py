"""Which known mistake explains a failed check, found by replaying the recorded calls on each mistake.

A mistake explains a check if, on every recorded exchange, it answers as the student did, and on at least one it answers
otherwise than the solution. No student process is needed for that. One mistake that explains all failed checks is
preferred, then the fewest; among equals the one whose known list of lost checks comes nearest. Two that can't be told
apart are named as "either … or"; more than two are not named at all. Nothing is guessed. Where nothing can be
replayed, because a model was trained, the check itself may say what its statistics point to, or a mistake that explains
another check is known to lose this one as well.
"""

import copy
import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from types import MappingProxyType, ModuleType
from typing import Any

import torch

from autograder import course
from autograder.records import Assignment, Mistake
from autograder.sandbox.stage import Raised, Stage
from autograder.sandbox.student import Exchange
from autograder.sandbox.wire import Handle

TOLERANCES = {torch.float64: 1e-7, torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
MAX_PAIRS = 200


@dataclass(frozen=True, slots=True)
class Recognition:
    """Mistakes of which each explains all of some lost checks by itself. Empty if there is none."""

    checks: frozenset[str] = frozenset()
    mistakes: tuple[Mistake, ...] = ()


NOTHING = Recognition()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a student is told of a failed check. mistake: its id, None where only a property can be named."""

    mistake: str | None
    says: str


class Diagnostician:
    """Knows the solution and the mistakes of one assignment, each loaded once."""

    def __init__(self, assignment: Assignment, reference: ModuleType) -> None:
        self.assignment = assignment
        self.reference = reference
        self._modules: dict[tuple[str, ...], ModuleType | None] = {}

    def recognise(
        self, recorded: Mapping[str, Sequence[Exchange]], lendable: AbstractSet[str] = frozenset()
    ) -> Recognition:
        """The known mistakes that answer all of it as the student did, and the checks they are known to lose.

        lendable: the checks that may be lost only for what comes before them, so that a mistake need not lose them.
        """
        if not recorded or not all(self._first_difference(exchanges) for exchanges in recorded.values()):
            return NOTHING
        mistakes = self._that_explain(recorded, lendable=lendable)
        checks = frozenset(recorded).intersection(*(mistake.fails for mistake in mistakes))
        return Recognition(checks, tuple(mistakes)) if mistakes and checks else NOTHING

    def explain(
        self,
        recorded: Mapping[str, Sequence[Exchange]],
        lost: Sequence[str],
        suspected: Mapping[str, Sequence[str]] = MappingProxyType({}),
        recognised: Recognition = NOTHING,
    ) -> dict[str, Explanation]:
        """For each failed check, what explains it, if anything does.

        recorded: the exchanges of each failed check.
        lost: the names of all checks that were lost, recorded or not.
        suspected: the ids of mistakes that a check's own statistics point to; where replay finds nothing, they count.
        recognised: what `recognise` found for some or all of what is recorded.
        """
        differing = {
            name: exchanges
            for name, exchanges in recorded.items()
            if name in recognised.checks or self._first_difference(exchanges)
        }
        others = {name: exchanges for name, exchanges in differing.items() if name not in recognised.checks}
        known = recognised.mistakes if recognised.checks <= differing.keys() else ()
        mistakes = self._that_explain(others, among=known) if known else self._that_explain(differing)
        found = _cover(dict.fromkeys(differing, mistakes), lost) or self._by_several(differing, lost)
        for name in lost:
            if name not in found:
                told = _told([mistake for mistake in self.assignment.mistakes if mistake.id in suspected.get(name, ())])
                told = told or (self._implied(name, found) if name not in differing else None)
                if told:
                    found[name] = told
        for name, exchanges in differing.items():
            if name not in found:
                says = self._property(exchanges)
                if says:
                    found[name] = Explanation(None, says)
        return found

    def _that_explain(
        self,
        differing: Mapping[str, Sequence[Exchange]],
        *,
        among: Sequence[Mistake] = (),
        lendable: AbstractSet[str] = frozenset(),
    ) -> Sequence[Mistake]:
        """The mistakes that explain everything. `_by_several` would find one too, by far more replays."""
        needed = differing.keys() - lendable
        left = [mistake for mistake in among or self.assignment.mistakes if needed <= set(mistake.fails)]
        for name in sorted(differing, key=lambda name: len(differing[name])):
            left = [m for m in left if self._explains(m, differing[name]) and self._ends_alike(m, differing[name])]
        return left

    def _by_several(self, differing: Mapping[str, Sequence[Exchange]], lost: Sequence[str]) -> dict[str, Explanation]:
        candidates = {name: self._candidates(name, exchanges) for name, exchanges in differing.items()}
        found = _cover(candidates, lost)
        for name, exchanges in differing.items():
            if name not in found and not candidates[name]:
                pair = self._pair(name, exchanges)
                if pair:
                    found[name] = pair
        return found

    def _implied(self, check: str, found: Mapping[str, Explanation]) -> Explanation | None:
        """The mistake that explains another check and is known to lose this one too."""
        named = {explanation.mistake for explanation in found.values()}
        return _told([m for m in self.assignment.mistakes if m.id in named and check in m.fails])

    def _candidates(self, check: str, exchanges: Sequence[Exchange]) -> list[Mistake]:
        known = [mistake for mistake in self.assignment.mistakes if check in mistake.fails]
        found = [mistake for mistake in known if self._explains(mistake, exchanges)]
        alike = [mistake for mistake in found if self._ends_alike(mistake, exchanges)]
        return alike if self._is_only_an_error(exchanges) else alike or found

    def _is_only_an_error(self, exchanges: Sequence[Exchange]) -> bool:
        """Whether all that is wrong is the error at the end: then only its words can tell what the mistake is."""
        *before, last = exchanges
        return isinstance(last.answer, Raised) and not self._first_difference(before)

    def _explains(self, mistake: Mistake, exchanges: Sequence[Exchange]) -> bool:
        module = self._module((mistake,))
        return module is not None and _agrees(module, exchanges)

    def _ends_alike(self, mistake: Mistake, exchanges: Sequence[Exchange]) -> bool:
        """Whether the last error, if there is one, has the same words: they tell apart what raises the same error."""
        last = exchanges[-1].answer
        if not isinstance(last, Raised):
            return True
        *_, answer = _replay(self._module((mistake,)), exchanges)
        return isinstance(answer, Raised) and _words(answer) == _words(last)

    def _pair(self, check: str, exchanges: Sequence[Exchange]) -> Explanation | None:
        """Two mistakes that answer so together, where neither does alone."""
        others = [mistake for mistake in self.assignment.mistakes if check not in mistake.fails]  # the rest were tried
        if self._is_only_an_error(exchanges) or any(self._explains(mistake, exchanges) for mistake in others):
            return None
        pairs = (
            (one, two)
            for one, two in itertools.combinations(self.assignment.mistakes, 2)
            if check in one.fails or check in two.fails
        )
        for one, two in itertools.islice(pairs, MAX_PAIRS):
            module = self._module((one, two))
            if module is not None and _agrees(module, exchanges):
                return Explanation(f"{one.id}+{two.id}", f"Two things at once. {one.says} And: {two.says}")
        return None

    def _module(self, mistakes: tuple[Mistake, ...]) -> ModuleType | None:
        key = tuple(mistake.id for mistake in mistakes)
        if key not in self._modules:
            self._modules[key] = self._load(mistakes)
        return self._modules[key]

    def _load(self, mistakes: tuple[Mistake, ...]) -> ModuleType | None:
        text = course.source(self.assignment)
        for find, put in itertools.chain.from_iterable(mistake.edits for mistake in mistakes):
            if text.count(find) != 1:
                return None
            text = text.replace(find, put)
        try:
            return course.load_source(self.assignment.name, text)
        except Exception:
            return None

    def _first_difference(self, exchanges: Sequence[Exchange]) -> tuple[Exchange, Any] | None:
        """The first exchange that the solution answers otherwise, with the solution's answer."""
        for exchange, answer in zip(exchanges, _replay(self.reference, exchanges), strict=True):
            if not _equal(exchange.answer, answer):
                return exchange, answer
        return None

    def _property(self, exchanges: Sequence[Exchange]) -> str:
        """What is different about the first wrong answer, without its values: type, dtype, shape or finiteness."""
        difference = self._first_difference(exchanges)
        if difference is None:
            return ""
        exchange, right = difference
        if isinstance(exchange.answer, Raised) or isinstance(right, Raised):
            return ""
        name = exchange.operation.get("target")
        if exchange.operation["op"] == "backward":
            return _gradients(exchange.answer.get("value"), right.get("value"))
        subject = f"`{name}`" if isinstance(name, str) else "your module"
        if exchange.operation["op"] != "call":
            return _difference(subject, exchange.answer.get("value"), right.get("value"))
        says = _difference(subject, exchange.answer.get("value"), right.get("value"))
        if not says and True in right["tracked"] and exchange.answer.get("tracked") == [False] * len(right["tracked"]):
            return f"No gradient flows through {subject}: something on the way was detached or copied."
        return says


def _replay(module: ModuleType | None, exchanges: Sequence[Exchange]) -> Iterator[Any]:
    """What a module answers to the operations of the exchanges, one after the other, as they are asked for."""
    stage = Stage(vars(module))
    for exchange in exchanges:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = stage.perform(copy.deepcopy(exchange.operation))
        yield answer


def _agrees(module: ModuleType, exchanges: Sequence[Exchange]) -> bool:
    answers = _replay(module, exchanges)
    return all(_equal(exchange.answer, answer) for exchange, answer in zip(exchanges, answers, strict=True))


def _cover(candidates: Mapping[str, Sequence[Mistake]], lost: Sequence[str]) -> dict[str, Explanation]:
    """Name as few mistakes as explain all that can be explained."""
    found: dict[str, Explanation] = {}
    left = {name: known for name, known in candidates.items() if known}
    while left:
        counts: dict[str, int] = {}
        mistakes = {mistake.id: mistake for known in left.values() for mistake in known}
        for known in left.values():
            for mistake in known:
                counts[mistake.id] = counts.get(mistake.id, 0) + 1
        rank = {
            id_: (-count, len(set(mistakes[id_].fails) ^ set(lost)) if count > 1 or len(left) == 1 else 0)
            for id_, count in counts.items()
        }
        best = min(rank.values())
        chosen = [mistakes[id_] for id_ in rank if rank[id_] == best]
        explained = [name for name, known in left.items() if any(mistake in known for mistake in chosen)]
        for name in explained:
            known = left.pop(name)
            told = _told([mistake for mistake in chosen if mistake in known])
            if told:
                found[name] = told
    return found


def _told(chosen: Sequence[Mistake]) -> Explanation | None:
    if len(chosen) == 1:
        return Explanation(chosen[0].id, chosen[0].says)
    if len(chosen) == 2:
        one, two = chosen
        return Explanation(f"{one.id}|{two.id}", f"One of two things. Either: {one.says} Or: {two.says}")
    return None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Raised) or isinstance(other, Raised):
        return isinstance(one, Raised) and isinstance(other, Raised) and one.type == other.type
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _same_tensor(one, other.detach())
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float):
        return one == other or math.isclose(one, other, rel_tol=1e-6) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, Handle):
        return bool(one == replace(other, type=one.type))
    return bool(one == other)


def _same_tensor(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    tolerance = TOLERANCES.get(one.dtype)
    if tolerance is None:
        return torch.equal(one, other)
    one, other = one.double(), other.to(one.device).double()
    finite = other[other.isfinite()]
    size = float(finite.abs().max()) if finite.numel() else 0.0
    return bool(torch.allclose(one, other, rtol=tolerance, atol=tolerance * max(size, 1e-3), equal_nan=True))


def _difference(subject: str, wrong: Any, right: Any) -> str:
    if isinstance(right, tuple) and not isinstance(wrong, tuple):
        return f"{subject} should return {len(right)} things, in a tuple; yours returns {_named(wrong)}."
    if isinstance(right, tuple):
        if len(wrong) != len(right):
            return f"{subject} should return {len(right)} things; yours returns {len(wrong)}."
        parts = zip(("first", "second", "third", "fourth"), wrong, right, strict=False)
        said = (_difference(f"the {place} result of {subject}", a, b) for place, a, b in parts)
        return next((sentence for sentence in said if sentence), "")
    if not isinstance(right, torch.Tensor):
        return ""
    if not isinstance(wrong, torch.Tensor):
        return _sentence(f"{subject} should be a tensor; yours is {_named(wrong)}.")
    if wrong.dtype != right.dtype:
        return _sentence(f"{subject} has another dtype than it should: the dtype of the inputs is to be kept.")
    if wrong.dim() != right.dim():
        return _sentence(f"{subject} should have {right.dim()} dimensions for this input; yours has {wrong.dim()}.")
    if wrong.shape != right.shape:
        return _sentence(f"{subject} has a wrong shape: look at the shapes in the docstring, dimension by dimension.")
    if wrong.isnan().any() and not right.isnan().any():
        return _sentence(f"{subject} holds NaN where it should hold numbers.")
    if wrong.isinf().any() and not right.isinf().any():
        return _sentence(f"{subject} holds infinite values.")
    return ""


def _gradients(wrong: Any, right: Any) -> str:
    if not isinstance(wrong, list) or not isinstance(right, list) or len(wrong) != len(right):
        return ""
    for mine, theirs in zip(wrong, right, strict=True):
        if mine is None and theirs is not None:
            return "No gradient reaches one of the inputs or parameters: something on the way was detached or copied."
        if isinstance(mine, torch.Tensor) and isinstance(theirs, torch.Tensor):
            if mine.isnan().any() and not theirs.isnan().any():
                return "The values may be right, but the gradient holds NaN."
            if not _same_tensor(mine, theirs):
                return "The values may be right, but the gradient is not the gradient of the formula."
    return ""


def _words(raised: Raised) -> str:
    """What an error says. In a worker, arguments are views."""
    return raised.message.replace("a view of a leaf", "a leaf")


def _named(value: Any) -> str:
    if value is None:
        return "None (is a `return` missing?)"
    if isinstance(value, Handle):
        return "an object of another kind"
    return f"a {type(value).__name__}" if not isinstance(value, torch.Tensor) else "one tensor"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
