"""Grades answer sheets: reads the answers, draws each sheet once more, marks it, and keeps and reports the grades.

No code of a student's is run, so there are no workers, and a class takes a second. Whose sheet it is follows from the
line that the course sealed. What a student is told depends on the quiz: at once, or when it is over.
"""

import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autograder import adjustments, course, gradebook, intake, notebook, reports, roster, standing
from autograder.errors import OperatorError, UnreadableSubmission
from autograder.gradebook import Attempt, Gradebook, Origin, Roll
from autograder.quiz import answers, bank, draw, feedback, marking, pages, token, words
from autograder.quiz.answers import Given
from autograder.quiz.press import Press, press
from autograder.quiz.records import Sheet
from autograder.quiz.sheet import SECONDS, variable
from autograder.quiz.token import Token
from autograder.records import (
    Assignment,
    Basis,
    Cell,
    CheckResult,
    Entry,
    Grade,
    Graded,
    Outcome,
    Request,
    Start,
    Status,
    Submission,
    Watcher,
)
from autograder.roster import Person, Roster
from autograder.scratch import private_folder
from autograder.text import line

ISOLATION = "not needed"
DEVICE = "cpu"
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Paper:
    """A file that was handed in, read. verdict: why it can't be graded.  said: what it was made from, if known."""

    entry: Entry
    submission: Submission | None = None
    given: Given = field(default_factory=lambda: Given({}, ()))
    said: Token | None = None
    verdict: str = ""


def grade(request: Request, watcher: Watcher) -> Graded:
    """Grade every sheet below `request.paths` and write table, results and report to `request.out`.

    Raises InstructorError for a wrong course, quiz or path, OperatorError for what the machine lacks.
    """
    at = press(request.course, request.assignment)
    known = at.known
    reports.make_folder(request.out)
    with (
        private_folder("intake") as scratch,
        Gradebook.open(request.gradebook or request.out / gradebook.FILE) as book,
    ):
        entries = intake.discover(request.paths, scratch, at.quiz.name)
        papers = _without_copies([_paper(entry, at) for entry in entries])
        attempts = book.attempts(at.quiz.name)
        earlier = _Earlier(attempts, book)
        fresh = [_graded(paper, at, earlier) for paper in papers]
        last = {attempt.grade.submission: attempt for attempt in attempts}
        stand = [_stands(each, last.get(each.submission)) for each in fresh]
        watcher.started(Start(len(entries), sum(stand), 1, DEVICE, ISOLATION))
        new = [each for each, old in zip(fresh, stand, strict=True) if not old]
        basis = basis_of(at)
        suffixes = {entry.id: ".ipynb" if entry.path.suffix.lower() == ".ipynb" else ".py" for entry in entries}
        book.record_all([(each, Origin(basis, suffixes[each.submission])) for each in new], datetime.now(UTC))
        counting = intake.counting(entries)
        roll = Roll(request.out, {each.submission: each.submission in counting for each in fresh})
        book.call_the_roll(at.quiz.name, roll)
        said = book.adjustments(at.quiz.name)
    grades = [adjustments.apply(replace(each, cells=()), said.get(each.submission, ())) for each in fresh]
    grades = standing.settled(at.assignment, sorted(grades, key=lambda each: each.submission), known)
    newly = {each.submission for each in new}
    for each in grades:
        if each.submission in newly:
            watcher.graded(each)
    before = [
        last[each.submission].grade
        for each in new
        if each.submission in last and last[each.submission].grade.version != at.assignment.version
    ]
    odd = [(each, (*adjustments.to_review(each, said.get(each.submission, ())), *_odd(each))) for each in grades]
    review = [f"{each.submission}: {what}" for each, sentences in odd for what in sentences]
    _write(request.out, at, grades, counting)
    finals = standing.settled(at.assignment, before, known)
    return Graded(at.assignment, tuple(grades), frozenset(counting), tuple(finals), tuple(review))


def write(out: Path, assignment: Assignment, grades: Sequence[Grade], counting: Collection[str]) -> None:
    """The class table, one file and page per sheet. What students are not told yet is in none of theirs."""
    _write(out, press(assignment.folder.parent.parent, assignment.name), grades, counting)


def mark(sheet: Sheet, given: Mapping[str, object], told: bool) -> tuple[CheckResult, ...]:
    """A result for each item. given: answers by the names that the sheet has for them."""
    return tuple(_result(sheet, number, given, told) for number in range(1, len(sheet.quiz.items) + 1))


def graded(entry: Entry, at: Press) -> Grade:
    """What one sheet earns by itself, whatever else was handed in."""
    return judge(_paper(entry, at), at)


def taken(values: Mapping[str, object]) -> float | None:
    """The seconds that a sheet says it took, where that can be."""
    found = values.get(SECONDS)
    plain = found if isinstance(found, str) else ""
    seconds = float(plain) if plain.isascii() and plain.isdigit() and len(plain) < 8 else 0.0
    return seconds or None


def basis_of(at: Press) -> Basis:
    """What the grades rest on, beside the answers."""
    checks = tuple((item.id, "") for item in at.quiz.items)
    fingerprint = course.fingerprint(at.secret)
    return Basis(at.assignment.version, checks, (), "", fingerprint, draw.SEEDS, "", "", _ourselves())


def judge(paper: Paper, at: Press) -> Grade:
    """What one paper earned."""
    began = time.perf_counter()
    entry, said, most = paper.entry, paper.said, at.assignment.points
    if paper.verdict or said is None or paper.submission is None:
        checks = tuple(CheckResult(each.id, each.objective, 0.0, each.points, Status.FAILED) for each in at.quiz.items)
        notes = tuple(note for note in (paper.verdict, entry.note) if note)
        outcome, score, kept = Outcome.UNREADABLE, 0.0, ""
    else:
        sheet = at.sheet(said)
        outcome, notes = Outcome.GRADED, _notes(paper, sheet, at)
        checks = mark(sheet, paper.given.values, at.told)
        score = round(sum(check.points for check in checks), 6)
        kept = _kept(paper, sheet, at)
    cells = paper.submission.cells if paper.submission else ()
    return Grade(
        submission=entry.id,
        student=entry.student,
        assignment=at.quiz.name,
        status=outcome,
        score=score,
        max_score=most,
        isolation=ISOLATION,
        device=DEVICE,
        seconds=round(time.perf_counter() - began, 3),
        checks=checks,
        notes=notes,
        detail=kept,
        digest=paper.submission.digest if paper.submission else "unreadable",
        version=at.assignment.version,
        cells=cells,
        handed_in=entry.handed_in,
        clock=entry.clock,
        marked_late=entry.marked_late,
        people=entry.people,
    )


def _write(out: Path, at: Press, grades: Sequence[Grade], counting: Collection[str]) -> None:
    grades = standing.settled(at.assignment, grades, at.known)
    told = {each.submission: feedback.veiled(each, at.quiz) for each in grades} if not at.told else {}
    try:
        reports.write(out, at.assignment, grades, counting, told)
        pages.render(out, at, grades, counting, told)
    except OSError as error:
        raise OperatorError(
            f"the report can't be written to {out} ({error.strerror}). Every grade is in the gradebook: make room or "
            "give another --out, and run the same command again."
        ) from error


def _paper(entry: Entry, at: Press) -> Paper:
    try:
        submission = notebook.extract(entry)
    except UnreadableSubmission as error:
        return Paper(entry, verdict=str(error))
    given = answers.read(submission.cells)
    lines = [each for each in given.tokens if each.strip()] or _in_metadata(entry)
    said = [token.read(each, at.secret) for each in lines]
    real = {each for each in said if each is not None}
    language = next((each.language for each in real), bank.SOURCE)
    speak = words.load(language)
    paper = Paper(entry, submission, given)
    if not lines:
        return replace(paper, verdict=speak("verdict.no_token", variable=token.VARIABLE))
    if len(real) > 1:
        return replace(paper, verdict=speak("verdict.two_tokens"))
    if None in said or not real:
        return replace(paper, verdict=speak("verdict.forged", variable=token.VARIABLE))
    (one,) = real
    return replace(paper, said=one, verdict=_verdict(one, entry, at))


def _verdict(said: Token, entry: Entry, at: Press) -> str:
    speak = words.load(said.language)
    if said.quiz != at.quiz.name:
        return speak("verdict.foreign", quiz=said.quiz, expected=at.quiz.name)
    if at.quiz.attempts and said.attempt > at.quiz.attempts:
        return speak("verdict.attempts", attempt=said.attempt, attempts=at.quiz.attempts)
    if _is_hers(said, entry, at.known) is False:
        return speak("verdict.other", student=line(said.student))
    return ""


def _is_hers(said: Token, entry: Entry, known: Roster) -> bool | None:
    """Whether whoever handed it in is the student whom the sheet was made for; None where that can't be told."""
    grade = Grade(entry.id, entry.student, "", Outcome.GRADED, 0, 0, "", "", 0, people=entry.people)
    people = roster.submitters(grade)
    wanted = roster.plain_name(said.student)
    names = {roster.plain_name(str(getattr(each, key))) for each in people for key in Person.__slots__}
    if wanted in names or wanted == roster.plain_name(entry.student):
        return True
    hers = known.find(Person(student=said.student))
    theirs = [row for each in people for row in known.find(each)]
    if any(row in hers for row in theirs):
        return True
    if hers and theirs:
        return False
    parts = roster.plain_name(f"{entry.student} {entry.id}")
    return True if _stands_in(wanted, parts) else None


def _stands_in(name: str, text: str) -> bool:
    """Whether a name is in a text as a whole, not as a part of another word."""
    start = text.find(name)
    while start >= 0:
        around = text[start - 1 : start] + text[start + len(name) : start + len(name) + 1]
        if not any(letter.isalnum() for letter in around):
            return True
        start = text.find(name, start + 1)
    return False


def _without_copies(papers: list[Paper]) -> list[Paper]:
    """The papers; a sheet that came under several names counts for whom it was made for, and else for nobody."""
    owners: dict[tuple[str, int], dict[str, bool]] = {}
    for paper in papers:
        if paper.said is not None and not paper.verdict:
            sheet = (paper.said.student, paper.said.attempt)
            sure = _is_hers(paper.said, paper.entry, Roster()) is True
            mine = owners.setdefault(sheet, {})
            mine[paper.entry.student] = mine.get(paper.entry.student, False) or sure
    checked = []
    for paper in papers:
        said = paper.said
        names = owners.get((said.student, said.attempt), {}) if said is not None and not paper.verdict else {}
        if said is not None and len(names) > 1 and not names[paper.entry.student]:
            verdict = words.load(said.language)("verdict.twice", student=line(said.student))
            checked.append(replace(paper, verdict=verdict))
        else:
            checked.append(paper)
    return checked


class _Earlier:
    """What was graded before, by student and sheet, and is what counts because she was told what is right."""

    def __init__(self, attempts: Sequence[Attempt], book: Gradebook) -> None:
        self._book = book
        self._first: dict[tuple[str, str, int], Attempt] = {}
        for attempt in attempts:
            kept = feedback.kept(attempt.grade)
            sheet = kept.get("sheet")
            if attempt.grade.status is Outcome.GRADED and kept.get("told") and isinstance(sheet, dict):
                key = (attempt.grade.student, str(sheet.get("student")), int(sheet.get("attempt", 0)))
                self._first.setdefault(key, attempt)

    def cells(self, paper: Paper) -> tuple[Cell, ...] | None:
        """The cells with the answers that count instead of these, if there are such and they differ."""
        if paper.said is None or paper.submission is None:
            return None
        attempt = self._first.get((paper.entry.student, paper.said.student, paper.said.attempt))
        if attempt is None or attempt.grade.digest == paper.submission.digest:
            return None
        return self._book.code(attempt) or None


def _graded(paper: Paper, at: Press, earlier: _Earlier) -> Grade:
    first = earlier.cells(paper) if at.quiz.attempts and not paper.verdict else None
    given = answers.read(first) if first else None
    if given is None or paper.said is None or dict(given.values) == dict(paper.given.values):
        return judge(paper, at)
    found = judge(replace(paper, given=given), at)
    return replace(found, notes=(*found.notes, words.load(paper.said.language)("verdict.first")))


def _stands(fresh: Grade, last: Attempt | None) -> bool:
    """Whether the last grade that was recorded says the same."""
    return last is not None and replace(last.grade, seconds=0.0) == replace(fresh, seconds=0.0, cells=())


def _result(sheet: Sheet, number: int, given: Mapping[str, object], told: bool) -> CheckResult:
    item = sheet.quiz.items[number - 1]
    name = variable(item.id)
    answer = given.get(name)
    found = marking.mark(item, answer, sheet.shown.get(item.id, ()))
    right = found.points >= item.points - SAME
    explained = feedback.compose(sheet, number, found, name in given)
    plain = {
        "answer": feedback.shown_answer(answer),
        "chosen": feedback.in_the_bank(sheet, item, found.chosen),
        "trouble": str(found.trouble),
        "mistake": found.mistake,
    }
    return CheckResult(
        name=item.id,
        title=feedback.title(sheet, number),
        points=round(found.points, 6),
        max_points=item.points,
        status=Status.PASSED if right else Status.FAILED,
        feedback=feedback.plain(explained) if told else feedback.later(sheet.quiz),
        misconception=(found.mistake or None) if told and not right else None,
        detail=json.dumps(plain, separators=(",", ":")),
    )


def _notes(paper: Paper, sheet: Sheet, at: Press) -> tuple[str, ...]:
    said = paper.said
    if said is None:
        return ()
    speak = words.load(said.language)
    notes = [paper.entry.note] if paper.entry.note else []
    if sheet.quiz.language != said.language:
        notes.append(speak("verdict.language", language=said.language))
    if token.content(sheet, at.secret) != said.print:
        notes.append(speak("verdict.changed"))
    known = {variable(item.id) for item in at.quiz.items}
    if not known & paper.given.values.keys() and paper.given.values:
        names = ", ".join(list(paper.given.values)[:5])
        notes.append(speak("verdict.unknown_names", names=line(names)))
    return tuple(notes)


def _kept(paper: Paper, sheet: Sheet, at: Press) -> str:
    said = paper.said
    if said is None:
        return ""
    plain: dict[str, Any] = {
        "sheet": {"student": said.student, "attempt": said.attempt, "language": said.language},
        "told": at.told,
        "changed": token.content(sheet, at.secret) != said.print,
        "hers": _is_hers(said, paper.entry, at.known) is True,
    }
    if seconds := taken(paper.given.values):
        plain["seconds"] = seconds
    return json.dumps(plain, separators=(",", ":"))


def _odd(grade: Grade) -> list[str]:
    """What the instructor should look at: sheets under another name than they were made for, changed quizzes."""
    kept = feedback.kept(grade)
    said = []
    sheet = kept.get("sheet")
    if grade.status is Outcome.GRADED and kept.get("hers") is False and isinstance(sheet, dict):
        made = line(str(sheet.get("student", "")))
        said.append(f"its sheet was made for {made!r}, and nothing says whether that is {line(grade.student)!r}.")
    if kept.get("changed"):
        said.append("the quiz was changed after its sheet was made: letters and numbers may mean something else now.")
    return said


def _in_metadata(entry: Entry) -> list[str]:
    """The line that says whose sheet it is, from where only some programs keep it."""
    if entry.path.suffix.lower() != ".ipynb" or entry.path.stat().st_size > notebook.SMALL:
        return []
    try:
        plain = json.loads(entry.path.read_bytes())
        found = plain["metadata"]["autograder"]["sheet"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [found] if isinstance(found, str) else []


def _ourselves() -> str:
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
