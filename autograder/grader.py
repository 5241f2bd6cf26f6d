"""One submission, one grade: runs its cells, has every check judged, and takes no point on one verdict alone."""

import contextlib
import itertools
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import torch

from autograder import course, feedback, gpu, notebook, scrutiny
from autograder.diagnosis import NOTHING, Diagnostician, Explanation, Recognition
from autograder.errors import BrokenAssignment, UnreadableSubmission
from autograder.judge import Bench, Finding, Judge
from autograder.precedents import Hearing, Precedents, looks_at_clocks
from autograder.records import (
    Assignment,
    Cell,
    Check,
    CheckResult,
    Entry,
    Grade,
    Isolation,
    Outcome,
    Status,
    Submission,
)  # fmt: skip
from autograder.sandbox.rehearsal import Rehearsal
from autograder.sandbox.spawn import Budget, NoDevice, Order, Usage, Worker, WorkerEnded, Zygote, ZygoteDied
from autograder.sandbox.stage import FORBIDDEN, Raised
from autograder.sandbox.student import Conversation, Exchange, Student, StudentRaised
from autograder.sandbox.understudy import Understudy
from autograder.sandbox.wire import Buffer, Frame, Message

MAX_CELLS_LOST = 3
MAX_CELL_NOTES = 5
LEAST_CPU = 1.0
MAX_DRAWS = 4
SPENT = "used all the CPU time that a submission may use"
LATE = "used all the time that a submission may use"
NOTHING_WRONG = Message({"value": ""}, (), ())
FATAL = (Status.TIMED_OUT, Status.OUT_OF_MEMORY, Status.CRASHED, Status.REFUSED)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every submission of a batch.

    batch: what all submissions that get the same inputs have in common; each its own inputs, from its code, if empty.
    only: the checks to judge, all if empty.  every_alone: a fresh worker for each check.
    training: which of the checks that train to judge, all if None.  held: checks known to be passed, not judged.
    """

    assignment: Assignment
    reference: ModuleType
    device: torch.device
    secret: bytes
    isolation: Isolation
    batch: str = ""
    slot: int = 0
    every_alone: bool = False
    only: frozenset[str] = frozenset()
    training: tuple[str, ...] | None = None
    held: frozenset[str] = frozenset()


class Grader:
    """Grades submissions of one assignment, one after the other. share: its part in the GPU that it grades on."""

    def __init__(
        self,
        setting: Setting,
        judge: Judge,
        start: Callable[[], Zygote],
        zygote: Zygote | None = None,
        share: gpu.Share | None = None,
    ) -> None:
        path = setting.assignment.folder / "test_hidden.py"
        if setting.batch and looks_at_clocks(course.parse(path, path.read_text("utf-8"))):
            setting = replace(setting, batch="")
        self.setting = setting
        self.judge = judge
        self.diagnostician = Diagnostician(setting.assignment, setting.reference)
        self.precedents = Precedents()
        self._start = start
        self._zygote = zygote
        self._share = share

    def grade(self, entry: Entry) -> Grade:
        """The grade of one file. Whatever is in it, this returns; a fault of ours gives Outcome.INTERNAL."""
        began = time.monotonic()
        try:
            submission = notebook.extract(entry)
        except UnreadableSubmission as error:
            return self._unreadable(entry, str(error), time.monotonic() - began)
        sitting = self._sit_in_turn(submission, self._setting_for(entry))
        return self._grade(submission, sitting, time.monotonic() - began)

    def close(self) -> None:
        """End the zygote, if this grader has one."""
        if self._zygote is not None:
            self._zygote.close()

    def _setting_for(self, entry: Entry) -> Setting:
        only = frozenset(entry.only) or self.setting.only
        return replace(self.setting, only=only, held=frozenset(entry.held), training=entry.training)

    def _sit_in_turn(self, submission: Submission, setting: Setting) -> "Sitting":
        """On a GPU: beside others; once more with nobody beside it, and nothing remembered, if memory ran out there."""
        if self._share is None:
            return self._sit(submission, setting)
        with contextlib.suppress(NoDevice), self._share.turn(alone=False):
            sitting = self._sit(submission, setting)
            if not any(gpu.ran_out(finding) for finding in sitting.findings.values()):
                return sitting
        self.precedents = Precedents()
        with self._share.turn(alone=True):
            return self._sit(submission, setting)

    def _sit(self, submission: Submission, setting: Setting) -> "Sitting":
        """Judge all checks; once more from the start if the zygote dies under it."""
        for last in (False, True):
            if self._zygote is None:
                self._zygote = self._start()
            sitting = Sitting(setting, self.judge, self._zygote, submission, self.diagnostician, self.precedents)
            try:
                sitting.judge_all()
                sitting.hold_to_the_rules()
                return sitting
            except ZygoteDied:
                self._zygote.close()
                self._zygote = None
                if last:
                    raise
            finally:
                sitting.close()
        raise AssertionError

    def _grade(self, submission: Submission, sitting: "Sitting", seconds: float) -> Grade:
        setting = self.setting
        checks = sitting.checks
        lost = [check.name for check in checks if sitting.findings[check.name].status is not Status.PASSED]
        explained, unexplained = self._explain(sitting, lost)
        results = tuple(self._result(submission, check, sitting, explained) for check in checks)
        pending = any(result.status is Status.INTERNAL for result in results)
        return Grade(
            submission=submission.id,
            student=submission.student,
            assignment=setting.assignment.name,
            status=Outcome.INTERNAL if pending else Outcome.GRADED,
            score=None if pending else sum(result.points for result in results),
            max_score=None if pending else sum(result.max_points for result in results),
            isolation=setting.isolation.value,
            device=setting.device.type,
            seconds=round(seconds, 3),
            checks=results,
            notes=(*submission.notes, *sitting.notes()),
            detail=sitting.printed() + sitting.named() + unexplained,
            digest=submission.digest,
            version=setting.assignment.version,
            cpu_seconds=round(sitting.used.cpu, 4),
            cells=submission.cells,
            batch=setting.batch,
        )

    def _explain(self, sitting: "Sitting", lost: Sequence[str]) -> tuple[dict[str, Explanation], str]:
        """What the diagnosis found. It looks at a stranger's answers: if it fails over them, nothing else does."""
        try:
            written = [name for name in lost if not _is_unwritten(sitting.findings[name])]
            if not written:
                return {}, ""
            return self.diagnostician.explain(sitting.recorded, written, sitting.suspected, sitting.recognised), ""
        except Exception:
            return {}, f"\nThe diagnosis failed:\n{traceback.format_exc()}"

    def _result(
        self, submission: Submission, check: Check, sitting: "Sitting", explained: Mapping[str, Explanation]
    ) -> CheckResult:
        finding = sitting.findings[check.name]
        if finding.status is Status.PASSED:
            return CheckResult(check.name, check.title, check.points, check.points, Status.PASSED)
        explanation = explained.get(check.name)
        found = {name for name, each in sitting.findings.items() if each.status is Status.PASSED}
        passed = [each for each in self.judge.checks if each.name in found | sitting.setting.held]
        forbidden = (*self.setting.assignment.forbidden, *self.setting.assignment.operators)
        known = feedback.Known(self._akin(check, passed), forbidden)
        return CheckResult(
            name=check.name,
            title=check.title,
            points=0.0,
            max_points=check.points,
            status=finding.status,
            feedback=feedback.compose(submission, finding, explanation, known),
            misconception=explanation.mistake if explanation else None,
            detail=finding.message,
        )

    def _akin(self, check: Check, others: Sequence[Check]) -> list[str]:
        """What those claim that are about the same part of the assignment, the nearest first."""
        part, place = _part(check.title), {each.name: n for n, each in enumerate(self.judge.checks)}
        akin = [other for other in others if _part(other.title) == part]
        akin.sort(key=lambda other: abs(place[other.name] - place[check.name]))
        return [other.title.removeprefix(check.title.partition(":")[0] + ": ") for other in akin]

    def _unreadable(self, entry: Entry, problem: str, seconds: float) -> Grade:
        setting = self.setting
        most = sum(check.points for check in self.judge.checks)
        results = tuple(
            CheckResult(check.name, check.title, 0.0, check.points, Status.FAILED, "The file could not be read.")
            for check in self.judge.checks
        )
        return Grade(
            entry.id, entry.student, setting.assignment.name, Outcome.UNREADABLE, 0.0, most, setting.isolation.value,
            setting.device.type, round(seconds, 3), results,
            tuple(note for note in (problem, entry.note) if note), digest=notebook.unreadable(problem),
            version=setting.assignment.version,
        )  # fmt: skip


@dataclass(slots=True)
class Sitting:
    """One submission before the judge: its workers, one at a time, and what was found so far."""

    setting: Setting
    judge: Judge
    zygote: Zygote
    submission: Submission
    diagnostician: Diagnostician
    precedents: Precedents
    findings: dict[str, Finding] = field(default_factory=dict)
    recorded: dict[str, list[Exchange]] = field(default_factory=dict)
    suspected: dict[str, list[str]] = field(default_factory=dict)
    recognised: Recognition = NOTHING
    used: Usage = field(default_factory=lambda: Usage(0.0, 0))
    _worker: Worker | None = None
    _kinds: dict[str, str] = field(default_factory=dict)
    _errors: dict[int, str] = field(default_factory=dict)
    _lost_cells: dict[int, str] = field(default_factory=dict)
    _printed: str = ""
    _patience: float = 1.0
    _began: float = field(default_factory=time.monotonic)
    _mentions: tuple[scrutiny.Mention, ...] = ()
    _passed_with_lent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _lent_refused: bool = False

    @property
    def checks(self) -> list[Check]:
        only, training = self.setting.only, self.setting.training
        wanted = [check for check in self.judge.checks if not only or check.name in only]
        return [check for check in wanted if not check.training or training is None or check.name in training]

    def judge_all(self) -> None:
        """Every check once, those that leave something behind last; the lost ones again, and that verdict counts.

        Again means alone, unless all of them show a known mistake when they are judged together, the last one first.
        Where an earlier check was lost too, the steps it builds on are lent, and what it is then worth counts.
        Patience halves with each timeout in a row, down to a second: one endless loop leaves time for what follows.
        """
        for check in sorted(self.checks, key=lambda check: (check.alone, check.last)):
            if check.alone or self.setting.every_alone:
                self.close()
            self.findings[check.name] = self._judge(Draw(check))
            self._patience = self._patience / 2 if self.findings[check.name].status is Status.TIMED_OUT else 1.0
            if self.findings[check.name].status in FATAL or check.alone:
                self.close()
        sure = set() if self.setting.every_alone else self._recognise()
        for check in self.checks:
            if check.name in sure:
                continue
            if self._may_be_lent(check):
                self._judge_with_lent_steps(check)
            elif self.findings[check.name].status not in (Status.PASSED, Status.TIMED_OUT):
                self.findings[check.name] = self._judge_again(check)

    def _recognise(self) -> set[str]:
        """The lost checks that need not be judged alone: they show what is not written yet, or a known mistake.

        They are judged together in a fresh worker, with fresh inputs and in the opposite order, so that what one does
        to another is noticed. A mistake is known if its code, in this process, gives the very same answers. A training
        check is not judged again where the mistake is known to lose it.
        """
        self.close()
        again: dict[str, Finding] = {}
        heard: dict[str, list[Exchange]] = {}
        lendable = {check.name for check in self.checks if self._may_be_lent(check)}
        for draw in [Draw(check, 1) for check in reversed(self.checks) if self._may_be_recognised(check)]:
            exchanges: list[Exchange] = []
            finding = again[draw.check.name] = self._judge(draw, exchanges, copying=False)
            if _is_unwritten(finding):
                continue
            if finding.status in (Status.FAILED, Status.RAISED) and exchanges:
                heard[draw.check.name] = exchanges
            elif finding.status is not Status.PASSED:  # where random numbers are at play, other inputs may be passed
                break  # not all will be recognised
        else:
            with contextlib.suppress(Exception):  # it looks at a stranger's answers: then all is judged again
                self.recognised = self.diagnostician.recognise(heard, lendable)
        self.close()
        unwritten = {name for name, finding in again.items() if _is_unwritten(finding)}
        wanted = self.recognised.checks | (unwritten - lendable)
        draws = [Draw(check, 1) for check in self.checks if check.name in wanted]
        sure = {draw.check.name for draw in draws if self._rehearse(draw).status is Status.PASSED}
        self.findings |= {name: again[name] for name in sure}
        self.recorded |= {name: heard[name] for name in sure - unwritten}
        if not self.recognised.checks <= sure:
            self.recognised = NOTHING
        return sure | self._lost_with_it()

    def _may_be_recognised(self, check: Check) -> bool:
        lost = self.findings[check.name].status in (Status.FAILED, Status.RAISED)
        return lost and not check.training and not check.alone

    def _lost_with_it(self) -> set[str]:
        """The training checks that were lost and that every recognised mistake is known to lose."""
        lost = {check.name for check in self.checks if check.training} if self.recognised.mistakes else set()
        lost = {name for name in lost if self.findings[name].status is Status.FAILED}
        return lost.intersection(*(mistake.fails for mistake in self.recognised.mistakes))

    def hold_to_the_rules(self) -> None:
        """A check that was passed by a call that is not allowed, whoever undid the worker's refusal, is refused.

        The source names such calls; with them cut out, everything is judged once more with the same inputs. Where a
        check still passes, the calls had no part in it.
        """
        assignment = self.setting.assignment
        self._mentions = scrutiny.search(self.submission.cells, (*assignment.forbidden, *assignment.operators))
        passed = [check for check in self.checks if self.findings[check.name].status is Status.PASSED]
        sure = [mention for mention in self._mentions if mention.sure]
        if not sure or not passed:
            return
        self.close()
        cells = scrutiny.without(self.submission.cells, sure)
        submission = replace(self.submission, cells=cells)
        bare = Sitting(self.setting, self.judge, self.zygote, submission, self.diagnostician, self.precedents)
        try:
            for draw in [Draw(check, lent=check.name in self._passed_with_lent) for check in passed]:
                check, lost = draw.check, bare.lost_twice(draw)
                if lost is not None and self._judge_alone(draw).status is Status.PASSED:
                    self.findings[check.name] = lost if lost.status is Status.REFUSED else _refused(sure[0])
        finally:
            bare.close()
            self.close()
            self.used = Usage(self.used.cpu + bare.used.cpu, max(self.used.peak, bare.used.peak))

    def lost_twice(self, draw: "Draw") -> Finding | None:
        """How a check is lost both beside the others and alone, if for a reason in the code itself."""
        if draw.check.alone or self.setting.every_alone:
            self.close()
        if self._judge(draw).status is Status.PASSED:
            return None
        found = self._judge_alone(draw)
        return found if found.status in (Status.FAILED, Status.RAISED, Status.REFUSED) else None

    def _may_be_lent(self, check: Check) -> bool:
        """Whether a check that is lost may be lost for a step that comes before it."""
        if not check.stand_ins or self.findings[check.name].status in (Status.PASSED, Status.INTERNAL):
            return False
        earlier = itertools.takewhile(lambda other: other is not check, self.checks)
        return any(self.findings[other.name].status is not Status.PASSED for other in earlier)

    def _judge_with_lent_steps(self, check: Check) -> None:
        """Alone, with the solution standing in for the steps before. That verdict is of it alone.

        Where it is lost, it is judged once more as it was handed in: it may have been lost for what came before it.
        What a lent step refused to do says nothing about the submission.
        """
        exchanges: list[Exchange] = []
        finding = self._judge(Draw(check, lent=True), exchanges)
        refused = self._lent_refused
        if finding.status is Status.PASSED:
            self.findings[check.name] = finding
            self._passed_with_lent[check.name] = check.stand_ins
            return
        if self.findings[check.name].status is not Status.TIMED_OUT:
            self.findings[check.name] = self._judge_again(check)
        if self.findings[check.name].status is Status.PASSED or finding.status is Status.INTERNAL or refused:
            return
        self.findings[check.name] = finding
        self.recorded.pop(check.name, None)
        if finding.status in (Status.FAILED, Status.RAISED):
            self.recorded[check.name] = exchanges

    def _judge_alone(self, draw: "Draw") -> Finding:
        self.close()
        return self._judge(draw)

    def _judge_again(self, check: Check) -> Finding:
        """Alone in a fresh worker, with fresh inputs. Inputs on which the solution itself fails count for nothing."""
        for number in range(1, MAX_DRAWS + 1):
            self.close()
            draw = Draw(check, number)
            exchanges: list[Exchange] = []
            finding = self._judge(draw, exchanges)
            if finding.status not in (Status.FAILED, Status.RAISED) or check.training:
                return finding
            fair = self._rehearse(draw)
            if fair.status is Status.PASSED:
                self.recorded[check.name] = exchanges
                return finding
        return Finding(Status.INTERNAL, f"the solution itself does not pass this check: {fair.message}", fair.error)

    def _rehearse(self, draw: "Draw") -> Finding:
        """How the solution fares before the same check, with the same inputs."""
        return self.precedents.rehearsed((draw.name, self._input_seed(draw)), lambda: self._solution_before(draw))

    def _solution_before(self, draw: "Draw") -> Finding:
        reference = self.setting.reference
        stage = Rehearsal(vars(reference))
        names = list(self.setting.assignment.names)
        kinds = stage.ask({"op": "kinds", "names": names}).value
        conversation = Conversation(stage.ask, self.setting.device)
        return self.judge.run(draw.check.name, self._bench(Student(conversation, kinds), conversation, draw, []))

    def _judge(self, draw: "Draw", recorded: list[Exchange] | None = None, *, copying: bool = True) -> Finding:
        """recorded: takes what was exchanged, as copies or, if that is still intact at the end, as it is."""
        if not draw.lent:
            return self._judge_with(None, draw, recorded, copying=copying)
        self.close()
        lent = self._understudy(draw)
        try:
            return self._judge_with(lent, draw, recorded)
        finally:
            self._lent_refused = lent.refused
            self.close()  # no other check may meet what was lent

    def _judge_with(
        self, lent: Understudy | None, draw: "Draw", recorded: list[Exchange] | None, *, copying: bool = True
    ) -> Finding:
        check, limits = draw.check, self.setting.assignment.limits
        try:
            self._refuse_if_spent()
            if self._worker is not None and not self._worker.alive:
                self.close()
            worker = self._worker or self._fresh_worker()
            if lent is not None:
                self._lend(worker, lent)
            left = self._refuse_if_spent()
        except WorkerEnded as error:
            return Finding(error.status, str(error), error)
        most = check.cpu or limits.check_cpu
        cpu = max(most * self._patience, min(LEAST_CPU, most))
        clock = Clock(worker, Budget(cpu, limits.check_wall * cpu / most), left, lent)
        hearing = self._hearing(draw, clock) if recorded is None and lent is None else None
        if hearing is not None and (known := hearing.follow()) is not None:
            self.suspected[check.name] = list(known.suspected)
            return known.finding
        conversation = Conversation(
            hearing.ask if hearing is not None else clock.ask,
            self.setting.device,
            recording=recorded is not None and not check.training,
            copying=copying,
            seed=self._worker_seed(draw.name),
        )
        if recorded is not None:
            conversation.recorded = recorded
        suspected = self.suspected[check.name] = []
        kinds = {**self._kinds, **lent.kinds} if lent is not None else self._kinds
        finding = self.judge.run(check.name, self._bench(Student(conversation, kinds), conversation, draw, suspected))
        if hearing is not None and hearing.erratic:
            self.precedents.distrust(check.name)
            self.close()
            return self._judge_with(lent, draw, recorded, copying=copying)
        if not copying and recorded and not conversation.intact():
            recorded.clear()
        if clock.ended is not None and finding.status is Status.PASSED:
            return Finding(clock.ended.status, "the test went on after the worker had ended", clock.ended)
        if hearing is not None:
            hearing.close(finding, suspected)
        return finding

    def _hearing(self, draw: "Draw", clock: "Clock") -> Hearing | None:
        """One that learns from what others of the batch answered, who get the same inputs."""
        if not self.setting.batch:
            return None
        case = (draw.name, self._input_seed(draw), tuple(sorted(self._kinds.items())))
        return self.precedents.hearing(draw.check.name, case, clock)

    def _bench(self, student: Student, conversation: Conversation, draw: "Draw", suspected: list[str]) -> Bench:
        def suspect(mistake: str) -> None:
            if mistake not in {known.id for known in self.setting.assignment.mistakes}:
                raise BrokenAssignment(f"{draw.check.name} suspects {mistake!r}, which is no known mistake")
            suspected.append(mistake)

        seed = self._input_seed(draw)
        return Bench(student, self.setting.reference, self.setting.device, seed, conversation.changed, suspect)

    def _input_seed(self, draw: "Draw") -> int:
        return course.input_seed(self.setting.secret, self.setting.batch or self.submission.digest, draw.name)

    def _worker_seed(self, purpose: str) -> int:
        return course.worker_seed(self.setting.secret, self.setting.batch or self.submission.digest, purpose)

    def _understudy(self, draw: "Draw") -> Understudy:
        lent = {name: getattr(self.setting.reference, name) for name in draw.check.stand_ins}
        cpu = draw.check.cpu or self.setting.assignment.limits.check_cpu
        return Understudy(lent, cpu, self._worker_seed(f"{draw.name} lent"))

    def _lend(self, worker: Worker, lent: Understudy) -> None:
        limits = self.setting.assignment.limits
        worker.ask({"op": "lend", "kinds": lent.kinds}, Budget(limits.check_cpu, limits.check_wall))

    def _refuse_if_spent(self) -> Budget:
        """CPU time and time that are left to the submission. Raises WorkerEnded if there is none."""
        limits = self.setting.assignment.limits
        used = self.used.cpu + (self._worker.cpu() if self._worker else 0.0)
        left = Budget(limits.submission_cpu - used, limits.submission_wall - (time.monotonic() - self._began))
        if left.cpu <= 0 or left.wall <= 0:
            raise WorkerEnded(Status.TIMED_OUT, SPENT if left.cpu <= 0 else LATE)
        return left

    def _fresh_worker(self) -> Worker:
        """A worker in which every cell has run that can run. Cells that ended an earlier worker are left out."""
        limits = self.setting.assignment.limits
        while True:
            running = 0
            worker = self.zygote.fork(self._order())
            self._worker = worker
            if self.setting.device.type != "cpu":
                worker.start_device(str(self.setting.device))
            try:
                budget = Budget(limits.cells_cpu, min(limits.cells_wall, self._refuse_if_spent().wall))
                for event in worker.run_cells(self._cells(), budget):
                    if isinstance(event, int):
                        running = event
                    else:
                        self._note_errors(event)
                self._kinds = self._ask_kinds(worker, limits.check_cpu)
                return worker
            except WorkerEnded as error:
                self.close()
                self._refuse_if_spent()
                if running == 0 or running in self._lost_cells or len(self._lost_cells) >= MAX_CELLS_LOST:
                    raise
                self._lost_cells[running] = str(error)

    def _order(self) -> Order:
        assignment = self.setting.assignment
        return Order(assignment.limits, self._worker_seed("cells"), self.setting.slot)

    def _cells(self) -> list[Cell]:
        return [cell for cell in self.submission.cells if not cell.skip and cell.number not in self._lost_cells]

    def _ask_kinds(self, worker: Worker, cpu: float) -> dict[str, str]:
        names = list(self.setting.assignment.names)
        answer = worker.ask({"op": "kinds", "names": names}, Budget(cpu, self.setting.assignment.limits.check_wall))
        known = ("function", "class", "module", "object")
        return {str(name): kind for name, kind in answer.value.items() if name in names and kind in known}

    def _note_errors(self, errors: Sequence[Any]) -> None:
        lengths = {cell.number: cell.source.count("\n") + 1 for cell in self._cells()}
        for error in errors[:100]:
            if isinstance(error, dict) and type(error.get("cell")) is int and error["cell"] in lengths:
                kind, line = str(error.get("type"))[:60], error.get("line")
                at = f", line {line}" if isinstance(line, int) and 0 < line <= lengths[error["cell"]] else ""
                shown = kind if kind.isidentifier() else "an error"
                self._errors[error["cell"]] = f"raised {shown}{at}"

    def notes(self) -> list[str]:
        """Sentences on cells that failed, for the student."""
        troubles = {**self._errors, **self._lost_cells}
        said = [f"Code cell {number} {trouble}." for number, trouble in sorted(troubles.items())]
        if len(said) > MAX_CELL_NOTES:
            said = [*said[:MAX_CELL_NOTES], f"{len(said) - MAX_CELL_NOTES} more cells failed."]
        if said:
            said.append("The other cells were run all the same, in order.")
        if self._passed_with_lent:
            lent = sorted({name for names in self._passed_with_lent.values() for name in names})
            names = ", ".join(f"`{name}`" for name in lent)
            said.append(
                f"Later steps were judged with a correct {names} in place of yours, so that they still earn points."
            )
        return said

    def named(self) -> str:
        """What of the forbidden the source names. For the instructor."""
        places = [f"`{each.name}` in code cell {each.cell}, line {each.line}" for each in self._mentions]
        return f"\nThe source names what the assignment does not allow: {'; '.join(places)}.\n" if places else ""

    def printed(self) -> str:
        """What the submission printed, as far as it was kept. For the instructor."""
        return self._printed

    def close(self) -> None:
        """End the worker, if there is one, and count what it used."""
        if self._worker is None:
            return
        worker, self._worker = self._worker, None
        usage = worker.end()
        self.used = Usage(self.used.cpu + usage.cpu, max(self.used.peak, usage.peak))
        self._printed = self._printed or worker.printed.decode("utf-8", "replace")


def _refused(mention: scrutiny.Mention) -> Finding:
    """As if the worker had refused the call where the source has it."""
    where = f"line {mention.line} of <cell {mention.cell}>"
    error = StudentRaised(FORBIDDEN + mention.name)
    error.raised = Raised("RuntimeError", ("RuntimeError",), FORBIDDEN + mention.name, where)
    error.status = Status.REFUSED
    return Finding(Status.REFUSED, f"passed with `{mention.name}`, not without it ({where})", error)


def _part(title: str) -> str:
    """What a check is about: what stands before the colon in "Encoder, pre-norm: ...", up to a comma."""
    head, colon, _ = title.partition(":")
    return head.partition(",")[0] if colon else ""


def _is_unwritten(finding: Finding) -> bool:
    """Whether the submission says so itself, by the error that a stub raises."""
    return isinstance(finding.error, StudentRaised) and finding.error.raised.type == "NotImplementedError"


@dataclass(frozen=True, slots=True)
class Draw:
    """A check with one draw of its random inputs. lent: with the solution in place of the steps before."""

    check: Check
    number: int = 0
    lent: bool = False

    @property
    def name(self) -> str:
        """What seeds are made of."""
        return f"{self.check.name}:{self.number}" if self.number else self.check.name


class Clock:
    """Spends one check's budget over all that the check asks, and no more than the submission has left."""

    def __init__(self, worker: Worker, budget: Budget, left: Budget, lent: Understudy | None = None) -> None:
        self.worker = worker
        self.lend = lent.answer if lent is not None else None
        self.budget = budget
        self.left = left
        self.cpu_end = worker.cpu() + min(budget.cpu, left.cpu)
        self.wall_end = time.monotonic() + min(budget.wall, left.wall)
        self.ended: WorkerEnded | None = None

    def ask(self, operation: dict[str, Any]) -> Message:
        """Have an operation performed with what is left of the budget. The sentence of a timeout names the whole."""
        try:
            return self.worker.ask(operation, self._left(), self.lend)
        except WorkerEnded as error:
            return self._understood_end(error, trial=operation["op"] == "elsewhere")

    def exchange(self, request: Sequence[Buffer], *, trial: bool) -> Frame | None:
        """The same for what is packed already, and its answer as it came; None where the worker ended over a trial."""
        try:
            return self.worker.exchange(request, self._left())
        except WorkerEnded as error:
            self._understood_end(error, trial=trial)
            return None

    def understood(self, frame: Frame | None, *, trial: bool) -> Message:
        """What such an answer says."""
        if frame is None:
            return NOTHING_WRONG
        try:
            return self.worker.understood(frame)
        except WorkerEnded as error:
            return self._understood_end(error, trial=trial)

    def _understood_end(self, error: WorkerEnded, *, trial: bool) -> Message:
        """What the end of the worker says, where that is nothing: torch may abort over tensors that pretend."""
        if trial and error.status is Status.CRASHED:
            return NOTHING_WRONG
        self.ended = error
        if error.status is not Status.TIMED_OUT:
            raise error
        self.ended = WorkerEnded(Status.TIMED_OUT, self._sentence())
        raise self.ended from error

    def _left(self) -> Budget:
        cpu, wall = self.cpu_end - self.worker.cpu(), self.wall_end - time.monotonic()
        return Budget(max(cpu, 0.0), max(wall, 0.0))

    def _sentence(self) -> str:
        if time.monotonic() < self.wall_end:
            short = self.left.cpu < self.budget.cpu
            return SPENT if short else f"used more than {self.budget.cpu:g} seconds of CPU time"
        if self.left.wall < self.budget.wall:
            return LATE
        return f"did not answer within {round(self.budget.wall, 1):g} seconds"
