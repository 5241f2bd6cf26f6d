"""A quiz in the terminal, by keyboard alone: each answer is on the disk before the next question, in the sheet itself.

Where the course is at hand the sheet is made first, and graded and recorded in the end. A student's own machine has no
bank and no key: there a sheet that she was given is filled in, and handed in like any other.
"""

import html
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autograder import gradebook, intake
from autograder.errors import InstructorError, OperatorError, StudentError
from autograder.gradebook import Gradebook, Origin, Roll
from autograder.quiz import answers, bank, draw, feedback, grading, marking, terminal, words
from autograder.quiz.press import Press, press
from autograder.quiz.records import Sheet, Shown, Trouble
from autograder.quiz.sheet import SECONDS, notebook, variable, when
from autograder.quiz.words import Words
from autograder.records import Cell, Grade
from autograder.reports import number
from autograder.scratch import private_folder
from autograder.text import file_names, line, visible, write_whole

ANSWERS = "answers"
LARGEST = 8 * 2**20

_CELL = re.compile(r"(?P<name>[A-Za-z_]\w*) = .*?  # (?P<hint>[^\n]*)\Z", re.DOTALL)
_TAGS = re.compile(r"</?(?:div|span|strong|em|code|a|br)(?: [^>]*)?>")

Say = Callable[[str], None]
Ask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Desk:
    """Who takes what, where. out: the folder of gradebook and answers.  say, ask: the terminal, or what stands in."""

    course: Path
    quiz: str
    student: str
    out: Path
    language: str
    say: Say
    ask: Ask


@dataclass(slots=True)
class Sitting:
    """A sheet that is being filled in. cells: of each answer, by name, its place in the notebook."""

    path: Path
    plain: dict[str, Any]
    cells: dict[str, int]
    given: dict[str, str]
    words: Words
    before: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has taken so far, over all times that it was sat at."""
        return self.before + time.monotonic() - self.began

    def keep(self, name: str, answer: str) -> None:
        """Put an answer in its cell; it is on the disk when this returns."""
        self.given[name] = answer
        cell = self.plain["cells"][self.cells[name]]
        match = _CELL.match(_source(cell))
        hint = f"  # {match['hint']}" if match else ""
        cell["source"] = f"{name} = {json.dumps(answer, ensure_ascii=False)}{hint}"
        self.save()

    def save(self) -> None:
        """Write the sheet with its answers, and the time that they have taken."""
        for cell in self.plain["cells"]:
            if cell.get("cell_type") == "code" and f"\n{SECONDS} = " in _source(cell):
                whole = re.sub(rf"\n{SECONDS} = \S*", f"\n{SECONDS} = {self.seconds:.0f}", _source(cell))
                cell["source"] = whole
        try:
            write_whole(self.path, json.dumps(self.plain, ensure_ascii=False, indent=1) + "\n")
        except OSError as error:
            raise OperatorError(
                f"{self.path} can't be written ({error.strerror}). Make room, and begin again."
            ) from error


def take(desk: Desk) -> Grade | None:
    """Have a student take a quiz where the course is at hand; the grade, or None if she has not handed in.

    Raises InstructorError for an unknown quiz or language, StudentError where no attempt is left or it has closed.
    """
    at = press(desk.course, desk.quiz)
    said = words.load(desk.language)
    _make(desk.out)
    with Gradebook.open(desk.out / gradebook.FILE) as book:
        attempt = 1 + _used(book, at, desk.student)
    _refuse(at, attempt, said)
    deck = at.deck(desk.language)
    if deck.quiz.language != desk.language:
        raise InstructorError(said("take.language_missing", language=desk.language, known=", ".join(_languages(at))))
    sheet = draw.deal(deck, desk.student, attempt)
    folder = desk.out / ANSWERS / at.quiz.name / file_names([desk.student])[desk.student]
    path = folder / f"attempt-{attempt}.ipynb"
    if not path.exists():
        _make(folder)
        write_whole(path, json.dumps(notebook(sheet, at.secret, timed=True), ensure_ascii=False, indent=1) + "\n")
    sitting = open_sheet(path, said)
    points = f"{sum(item.points for item in sheet.quiz.items):g}"
    desk.say(said("take.welcome", title=sheet.quiz.title, items=len(sheet.quiz.items), minutes=sheet.quiz.minutes))
    if not _fill(desk, sitting, sheet):
        return None
    sitting.save()
    grade = _hand_in(desk, at, path, sitting.seconds)
    shown = number(grade.score)
    desk.say(said("take.handed_in"))
    if at.told:
        desk.say(said("take.score", score=shown, points=points, minutes=f"{sitting.seconds / 60:.0f}"))
        if at.quiz.shown is not Shown.AT_ONCE:
            _explain(desk, sheet, sitting)
    else:
        desk.say(feedback.later(sheet.quiz))
    return grade


def fill(path: Path, say: Say, ask: Ask) -> bool:
    """Fill in a sheet on a machine that has neither bank nor key. Whether it is complete."""
    sitting = open_sheet(path, words.load(_language(path)))
    said = sitting.words
    questions = _questions(sitting)
    say(said("take.keys"))
    place, names = 0, list(sitting.cells)
    if any(sitting.given.values()):
        say(said("take.resumed", count=sum(map(bool, sitting.given.values())), items=len(names)))
        place = next((n for n, name in enumerate(names) if not sitting.given[name]), 0)
    while place < len(names):
        name = names[place]
        say(f"\n{terminal.plain(questions[name], said)}\n")
        place = _answered(sitting, name, place, say, ask)
    missing = [name for name in names if not sitting.given[name]]
    sitting.save()
    if missing:
        say(said("take.left", names=", ".join(missing)))
    return not missing


def open_sheet(path: Path, said: Words) -> Sitting:
    """A sheet as it stands on the disk. Raises StudentError where it is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        plain = json.loads(path.read_text("utf-8"))
        cells = plain["cells"]
        code = [(n, _source(cell)) for n, cell in enumerate(cells) if cell.get("cell_type") == "code"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudentError(f"{path} is no answer sheet ({error}). Give the notebook that you were given.") from error
    places = {match["name"]: n for n, text in code if (match := _CELL.match(text))}
    values = answers.read(Cell(n, text) for n, text in code).values
    if not places or not any("quiz_sheet" in text for _, text in code):
        raise StudentError(f"{path} is no answer sheet: it has no cells for answers. Give the one that you were given.")
    given = {name: marking.text_of(values.get(name, "")) or "" for name in places}
    before = grading.taken(values) or 0.0
    return Sitting(path, plain, places, given, said, before)


def _fill(desk: Desk, sitting: Sitting, sheet: Sheet) -> bool:
    said, items = sitting.words, sheet.quiz.items
    desk.say(said("take.keys"))
    done = sum(bool(sitting.given.get(variable(item.id))) for item in items)
    if done:
        desk.say(said("take.resumed", count=done, items=len(items)))
    at_once = sheet.quiz.shown is Shown.AT_ONCE
    place = next((n for n, item in enumerate(items) if not sitting.given.get(variable(item.id))), len(items))
    only_missing = False
    while True:
        while place < len(items):
            item, name = items[place], variable(items[place].id)
            if (at_once or only_missing) and sitting.given[name]:  # at once: she was told what is right
                place += 1
                continue
            desk.say(f"\n{terminal.question(sheet, place + 1, said)}\n")
            before, here = sitting.given[name], place
            place = _answered(sitting, name, place, desk.say, desk.ask, said.hint(item))
            answer = sitting.given[name]
            if answer == before or not answer:
                continue
            mark = marking.mark(item, answer, sheet.shown.get(item.id, ()))
            if mark.trouble is Trouble.UNREAD:
                desk.say(said("take.unreadable", hint=said.hint(item)))
                sitting.keep(name, "")
                place = here
            elif at_once:
                desk.say("\n" + terminal.plain(feedback.compose(sheet, here + 1, mark), said))
        missing = [str(n) for n, item in enumerate(items, 1) if not sitting.given[variable(item.id)]]
        if missing:
            desk.say(said("take.left", names=", ".join(missing)))
        reply = marking.words(desk.ask(f"{said('take.submit')} "))
        if reply in (said("take.yes"), "y", "yes"):
            return True
        if reply in (said("take.no"), "n", "no"):
            desk.say(said("take.kept"))
            return False
        place, only_missing = 0, bool(missing)


def _answered(sitting: Sitting, name: str, place: int, say: Say, ask: Ask, hint: str = "") -> int:
    """Ask once, keep what is said, and tell which question comes next."""
    said = sitting.words
    if sitting.given[name]:
        say(said("take.again", answer=line(sitting.given[name])))
    typed = ask(f"{said('take.prompt')}{f' ({hint})' if hint else ''}: ")
    reply = visible(typed, marking.LONGEST).strip() if typed.strip() else ""
    if reply == "?":
        say(said("take.keys"))
        return place
    if reply == "<":
        return max(0, place - 1)
    if reply:
        sitting.keep(name, reply)
    return place + 1


def _explain(desk: Desk, sheet: Sheet, sitting: Sitting) -> None:
    for place, item in enumerate(sheet.quiz.items, 1):
        mark = marking.mark(item, sitting.given[variable(item.id)], sheet.shown.get(item.id, ()))
        text = terminal.plain(feedback.compose(sheet, place, mark), sitting.words)
        desk.say(f"\n{place}. {text}")


def _hand_in(desk: Desk, at: Press, path: Path, seconds: float) -> Grade:
    """Grade the sheet as `grade` would, and record it."""
    now = datetime.now(UTC)
    with private_folder("intake") as scratch:
        entries = intake.discover([desk.out / ANSWERS / at.quiz.name], scratch, at.quiz.name)
        entry = next(each for each in entries if each.path.samefile(path))
        grade = grading.graded(entry, at)
    with Gradebook.open(desk.out / gradebook.FILE) as book:
        book.record(grade, now, Origin(grading.basis_of(at), ".ipynb"))
        roll = book.roll(at.quiz.name)
        counts = dict(roll.counts) if roll else {}
        hers = {each.submission for each in book.latest(at.quiz.name) if each.student == grade.student}
        counts |= dict.fromkeys(hers & counts.keys(), False) | {grade.submission: True}
        book.call_the_roll(at.quiz.name, Roll(roll.folder if roll else desk.out, counts))
    return grade


def _used(book: Gradebook, at: Press, student: str) -> int:
    """How many attempts a student has handed in."""
    found = 0
    for attempt in book.attempts(at.quiz.name):
        sheet = feedback.kept(attempt.grade).get("sheet")
        if isinstance(sheet, dict) and sheet.get("student") == student:
            found = max(found, int(sheet.get("attempt", 0)))
    return found


def _refuse(at: Press, attempt: int, said: Words) -> None:
    if at.quiz.attempts and attempt > at.quiz.attempts:
        raise StudentError(said("take.none_left", attempts=at.quiz.attempts))
    if at.quiz.due is not None and at.now > at.quiz.due:
        raise StudentError(said("take.closed", due=when(at.quiz)))


def _questions(sitting: Sitting) -> dict[str, str]:
    """By name the Markdown that stands above each answer's cell, without its tags."""
    cells = sitting.plain["cells"]
    found = {}
    for name, place in sitting.cells.items():
        above = cells[place - 1] if place else {}
        text = html.unescape(_TAGS.sub("", _source(above))).strip()
        found[name] = visible(re.sub(r"\n{3,}", "\n\n", text.removeprefix("### ")), 20_000)
    return found


def _language(path: Path) -> str:
    """The language that a sheet's own first cell is in."""
    try:
        start = path.read_text("utf-8")[:20_000]
    except (OSError, ValueError):
        return "en"
    found = re.search(r'lang=\\"([A-Za-z-]{2,12})\\"', start)
    return found[1] if found else "en"


def _source(cell: Any) -> str:
    source = cell.get("source", "") if isinstance(cell, dict) else ""
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _languages(at: Press) -> list[str]:
    return bank.languages(at.root, at.quiz.name)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"{folder} can't be made ({error.strerror}). Give another folder with --out.") from error
