"""Tells the instructor how the questions did: difficulty, discrimination, and which answer drew whom.

Discrimination is the correlation of an item's points with those on all others, so that an item does not vouch for
itself. Reliability is Cronbach's alpha. For each item students are grouped into thirds by their points on the others.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, pvariance, stdev
from typing import Any

from markupsafe import Markup

from autograder import gradebook, site
from autograder.errors import InstructorError, OperatorError
from autograder.gradebook import Gradebook
from autograder.quiz import bank, catalog, charts, draw, feedback, words
from autograder.quiz.records import Item, Kind, Quiz, Trouble
from autograder.quiz.typesetting import html, inline
from autograder.quiz.words import Words
from autograder.records import Assignment, Grade, Outcome
from autograder.text import line, write_whole

FEW = 20
WEAK = 0.2
HARD, EASY = 0.3, 0.95
OTHERS = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """What one student did with one item. share: of its points.  chosen: as kept: places in the bank."""

    share: float
    points: float
    chosen: tuple[int, ...]
    text: str
    trouble: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One student's counted grade. total: of her points.  answers: by item."""

    student: str
    total: float
    answers: dict[str, Answer]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to an item. thirds: its share among the weakest, middle and best.  rest: its choosers' mean elsewhere.

    rest is a share of the other items' points, None where nobody chose it.
    """

    name: str
    text: Markup
    right: bool
    count: int
    share: float
    thirds: tuple[float, float, float]
    rest: float | None
    mistake: str = ""
    says: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Studied:
    """How one item did. difficulty: the mean share of its points.  discrimination: None where it can't be told."""

    number: int
    item: Item
    title: Markup
    text: Markup
    difficulty: float
    discrimination: float | None
    blank: int
    options: tuple[Option, ...]
    others: tuple[tuple[str, int], ...]
    advice: tuple[str, ...]
    picture: str = ""
    alt: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """How a quiz did."""

    quiz: Quiz
    sheets: tuple[Sheet, ...]
    items: tuple[Studied, ...]
    alpha: float | None


def write(root: Path, name: str, place: Path | None, out: Path, language: str) -> Path:
    """Write `items.<language>.html` to `out`. Raises InstructorError for what is not there."""
    quiz = bank.load(root, name, language)
    said = words.load(language)
    with Gradebook.open(gradebook.find(place)) as book:
        book.meant(name)
        roll = book.roll(name)
        grades = book.latest(name)
    counts = roll.counts if roll else {}
    counted = [grade for grade in grades if counts.get(grade.submission, not counts)]
    assignment = catalog.load(root, name)
    example = draw.fill(quiz, draw.draws(root, name), 0, bank.load(root, name))
    study = analyse(example, counted, said, assignment)
    page = site.templates()
    policy = str(page.globals["policy"]).replace("default-src 'none'", "default-src 'none'; img-src data:")
    path = out / f"items.{language}.html"
    text = page.get_template("quiz_report.html").render(
        study=study, said=said, language=language, direction=said.direction, policy=policy, **_whole(study, said)
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise OperatorError(f"{path} can't be written ({error.strerror}). Give another --out.") from error
    return path


def analyse(quiz: Quiz, grades: Sequence[Grade], said: Words, assignment: Assignment | None = None) -> Study:
    """The figures of a class. quiz: with values filled in, in the bank's order. Raises InstructorError for no sheet."""
    sheets = [_sheet(grade, quiz) for grade in grades if grade.status is Outcome.GRADED]
    if not sheets:
        raise InstructorError(f"{quiz.name}: {said('report.none')}")
    sheets.sort(key=lambda sheet: (sheet.total, sheet.student))
    says = {mistake.id: mistake.says for mistake in assignment.mistakes} if assignment else {}
    study = [_studied(n, item, quiz, sheets, said, says) for n, item in enumerate(quiz.items, 1)]
    return Study(quiz, tuple(sheets), tuple(study), alpha([[_of(s, i).points for s in sheets] for i in quiz.items]))


def alpha(columns: Sequence[Sequence[float]]) -> float | None:
    """Cronbach's alpha of the points by item and student; None where it is not defined."""
    if len(columns) < 2 or len(columns[0]) < 2:
        return None
    whole = float(pvariance([sum(row) for row in zip(*columns, strict=True)]))
    if whole <= 1e-12:
        return None
    parts = sum(float(pvariance(column)) for column in columns)
    return len(columns) / (len(columns) - 1) * (1 - parts / whole)


def correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Pearson's; None where one of the two does not vary."""
    if len(xs) < 3:
        return None
    mean_x, mean_y = fmean(xs), fmean(ys)
    spread_x = math.sqrt(sum((x - mean_x) ** 2 for x in xs))
    spread_y = math.sqrt(sum((y - mean_y) ** 2 for y in ys))
    if spread_x < 1e-9 or spread_y < 1e-9:
        return None
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread_x / spread_y


def _sheet(grade: Grade, quiz: Quiz) -> Sheet:
    seconds = feedback.kept(grade).get("seconds")
    known = {item.id for item in quiz.items}
    answers = {}
    for check in grade.checks:
        if check.name not in known:
            continue
        try:
            plain = json.loads(check.detail or "{}")
        except ValueError:
            plain = {}
        share = check.points / check.max_points if check.max_points else 0.0
        chosen = tuple(place for place in plain.get("chosen", ()) if isinstance(place, int))
        text, trouble = str(plain.get("answer", "")), str(plain.get("trouble", ""))
        answers[check.name] = Answer(share, check.points, chosen, text, trouble)
    total = sum(answer.points for answer in answers.values())
    return Sheet(grade.student, total, answers, float(seconds) if isinstance(seconds, int | float) else None)


def _of(sheet: Sheet, item: Item) -> Answer:
    return sheet.answers.get(item.id) or Answer(0.0, 0.0, (), "", str(Trouble.BLANK))


def _studied(
    number: int, item: Item, quiz: Quiz, sheets: Sequence[Sheet], said: Words, says: dict[str, str]
) -> Studied:
    answers = [_of(sheet, item) for sheet in sheets]
    points = [answer.points for answer in answers]
    rests = [sheet.total - point for sheet, point in zip(sheets, points, strict=True)]
    most = sum(each.points for each in quiz.items) - item.points
    difficulty = fmean(answer.share for answer in answers)
    discrimination = correlation(points, rests)
    ranked = sorted(range(len(sheets)), key=lambda place: rests[place])
    shares = [rests[place] / most if most else 0.0 for place in ranked]
    options = _options(item, [answers[place] for place in ranked], shares, said, says)
    known = item.kind in (Kind.NUMERIC, Kind.SHORT)
    others = Counter(line(each.text, 60) for each in answers if known and not each.chosen and each.text.strip())
    picture, alt = _picture(number, options, said)
    return Studied(
        number=number,
        item=item,
        title=inline(item.text.split("\n\n")[0]),
        text=html(item.text),
        difficulty=difficulty,
        discrimination=discrimination,
        blank=sum(answer.trouble == Trouble.BLANK for answer in answers),
        options=options,
        others=tuple(others.most_common(OTHERS)),
        advice=tuple(_advice(difficulty, discrimination, len(sheets), said)),
        picture=picture,
        alt=alt,
    )


def _options(
    item: Item, answers: Sequence[Answer], rests: Sequence[float], said: Words, says: dict[str, str]
) -> tuple[Option, ...]:
    """Each answer that the bank knows: of matching items each pair that was made, of ordering ones each neighbours."""
    thirds = _thirds(len(answers))

    def option(name: str, text: str, right: bool, chose: Callable[[Answer], bool], mistake: str = "") -> Option:
        who = [place for place, answer in enumerate(answers) if chose(answer)]
        parts = [sum(place in third for place in who) / len(third) if third else 0.0 for third in thirds]
        rest = fmean(rests[place] for place in who) if who else None
        advice = ""
        if not right and len(answers) >= FEW and parts[2] > parts[0] + 0.1:
            advice = said("report.advice_distractor")
        elif not right and not who and len(answers) >= FEW and item.kind in bank.PICKED:
            advice = said("report.advice_unused")
        three = (parts[0], parts[1], parts[2])
        sentence = says.get(mistake, "")
        share = len(who) / len(answers)
        return Option(name, inline(text), right, len(who), share, three, rest, mistake, sentence, advice)

    if item.kind is Kind.MATCHING:
        return tuple(_pairs(item, said, option))
    if item.kind is Kind.ORDERING:
        return tuple(_steps(item, said, option))
    names = said.letters if item.kind in bank.PICKED else "".join(map(str, range(1, 10)))
    found = []
    for place, choice in enumerate(item.choices):
        text = f"${choice.text}$" if item.kind is Kind.NUMERIC else choice.text
        name = names[place] if place < len(names) else str(place + 1)

        def chose(answer: Answer, place: int = place) -> bool:
            return place in answer.chosen

        found.append(option(name, text, choice.right, chose, choice.mistake))
    return tuple(found)


def _pairs(item: Item, said: Words, option: Callable[..., Option]) -> Iterable[Option]:
    left = [place for place, choice in enumerate(item.choices) if choice.text]
    for row, place in enumerate(left):
        mine = item.choices[place]
        for letter, other in zip(said.letters, draw.options(item), strict=False):
            right = item.choices[other].match == mine.match

            def chose(answer: Answer, row: int = row, match: str = item.choices[other].match) -> bool:
                given = answer.chosen[row] if row < len(answer.chosen) else -1
                return given >= 0 and item.choices[given].match == match

            found = option(f"{row + 1}{letter}", f"{mine.text} {said.arrow} {item.choices[other].match}", right, chose)
            if right or found.count:
                yield found


def _steps(item: Item, said: Words, option: Callable[..., Option]) -> Iterable[Option]:
    for place in range(1, len(item.choices)):

        def chose(answer: Answer, place: int = place) -> bool:
            pairs = zip(answer.chosen, answer.chosen[1:], strict=False)
            return (place - 1, place) in pairs

        yield option(
            f"{place}–{place + 1}",
            f"{item.choices[place - 1].text} {said.arrow} {item.choices[place].text}",
            True,
            chose,
        )


def _thirds(count: int) -> tuple[range, range, range]:
    """Places of the weakest, the middle and the best, of students in the order of their points."""
    low, high = round(count / 3), count - round(count / 3)
    return range(low), range(low, high), range(high, count)


def _picture(number: int, options: Sequence[Option], said: Words) -> tuple[str, str]:
    if not options:
        return "", ""
    legend = [said(f"report.{third}_third") for third in ("weakest", "middle", "best")]
    names = [charts.drawn(option.name, "ltr") for option in options]
    shares = [option.thirds for option in options]
    shown = [charts.drawn(text, said.direction) for text in legend]
    told = "; ".join(
        f"{option.name}{' ✓' if option.right else ''} {', '.join(percent(share) for share in option.thirds)}"
        for option in options
    )
    picture = charts.thirds(names, [option.right for option in options], shares, shown)
    return picture, said("report.choices_alt", number=number, shares=told)


def _advice(difficulty: float, discrimination: float | None, count: int, said: Words) -> Iterable[str]:
    if difficulty < HARD:
        yield said("report.advice_hard")
    if difficulty > EASY:
        yield said("report.advice_easy")
    if discrimination is None or count < FEW:
        return
    if discrimination < 0:
        yield said("report.advice_negative")
    elif discrimination < WEAK and difficulty <= EASY:
        yield said("report.advice_weak")


def _whole(study: Study, said: Words) -> dict[str, Any]:
    """What the page says of the class as a whole."""
    totals = [sheet.total for sheet in study.sheets]
    most = sum(item.points for item in study.quiz.items)
    times = [sheet.seconds for sheet in study.sheets if sheet.seconds]
    bands = Counter(min(9, int(10 * total / most + 1e-9)) for total in totals)
    listed = "; ".join(f"{most * n / 10:g}–{most * (n + 1) / 10:g}: {bands[n]}" for n in range(10) if bands[n])
    labels = [charts.drawn(said(f"report.{key}"), said.direction) for key in ("axis_score", "axis_students")]
    both = [charts.drawn(said(f"report.{key}"), said.direction) for key in ("difficulty", "discrimination")]
    known = [(each.difficulty, each.discrimination or 0.0) for each in study.items]
    points = "; ".join(
        f"{each.number}: {percent(each.difficulty)}, {number(each.discrimination)}" for each in study.items
    )
    return {
        "most": most,
        "mean": fmean(totals),
        "median": median(totals),
        "spread": stdev(totals) if len(totals) > 1 else 0.0,
        "minutes": median(times) / 60 if times else None,
        "histogram": charts.histogram(totals, most, (labels[0], labels[1])),
        "histogram_alt": said("report.scores_alt", bands=listed),
        "scatter": charts.scatter(known, (both[0], both[1])),
        "scatter_alt": said("report.overview_alt", points=points),
        "few": len(totals) < FEW,
        "percent": percent,
        "number": number,
    }


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}%"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")
