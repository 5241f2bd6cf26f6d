"""The report of a class as plain pages: no script, no address outside, and every word of a stranger escaped."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from autograder.records import Assignment, CheckResult, Grade, Isolation, Outcome, Status
from autograder.text import file_names, line, visible, write_whole

WORDS = {
    Status.PASSED: "passed",
    Status.FAILED: "not right yet",
    Status.RAISED: "stopped with an error",
    Status.TIMED_OUT: "took too long",
    Status.OUT_OF_MEMORY: "used too much memory",
    Status.CRASHED: "crashed",
    Status.REFUSED: "used something not allowed",
    Status.INTERNAL: "pending, through a fault of ours",
    Status.WAITING: "to be graded by hand",
}
TONES = {Status.PASSED: "good", Status.FAILED: "bad", Status.INTERNAL: "wait", Status.WAITING: "wait"}
WEAK = {Isolation.NONE, Isolation.NO_OPEN}

_ORDER = ("good", "bad", "stop", "wait")
_STRIP = 7
_PAIRS = {"+": "Two things at once. {} And: {}", "|": "One of two things. Either: {} Or: {}"}


@dataclass(frozen=True, slots=True)
class Cause:
    """A misconception on a student's page: its number there, its sentence, and the checks that it explains."""

    number: int
    says: str
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A submission in the class table."""

    grade: Grade
    href: str
    counts: bool
    passed: int
    strips: tuple[tuple[str, str], ...]

    @property
    def show(self) -> str:
        """Which of the table's choices hold this row, as CSS classes."""
        full = self.grade.score is not None and self.grade.score == self.grade.max_score
        kind = "lost" if self.grade.status is not Outcome.GRADED else "full" if full else "part"
        return kind if self.counts else f"{kind} older"

    @property
    def adjusted(self) -> int:
        """How many checks have their points from the instructor."""
        return sum(check.adjusted is not None for check in self.grade.checks)

    @property
    def review(self) -> int:
        """How many of these were decided of something else than what is there now."""
        return sum(check.adjusted is not None and check.adjusted.review for check in self.grade.checks)


@dataclass(frozen=True, slots=True)
class Band:
    """A column of the histogram: scores from `low` to below `high`; the last one holds full marks alone."""

    low: float
    high: float
    rows: tuple[Row, ...]
    height: float


@dataclass(frozen=True, slots=True)
class Hardness:
    """How the class fared in one check."""

    title: str
    points: float
    counts: tuple[tuple[Status, int], ...]
    passed: int
    judged: int
    parts: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True)
class Misconception:
    """A mistake and who made it."""

    says: str
    rows: tuple[Row, ...]


def render(out: Path, assignment: Assignment, grades: Sequence[Grade], counting: Collection[str]) -> None:
    """Write `index.html`, for the instructor, and `pages/*.html`, each for the student whose work it is.

    counting: ids of the submissions that count; a student's others have a page and a row, but are in no figure.
    """
    (out / "pages").mkdir(parents=True, exist_ok=True)
    names = file_names(grade.submission for grade in grades)
    environment = templates()
    page = environment.get_template("submission.html")
    for grade in grades:
        text = page.render(assignment=assignment, grade=grade, causes=causes(assignment, grade))
        write_whole(out / "pages" / f"{names[grade.submission]}.html", text)
    write_index(out, assignment, grades, counting)


def write_index(out: Path, assignment: Assignment, grades: Sequence[Grade], counting: Collection[str]) -> None:
    """Write `index.html` alone."""
    names = file_names(grade.submission for grade in grades)
    ordered = sorted(grades, key=lambda grade: (line(grade.student).casefold(), grade.student, grade.submission))
    rows = [_row(grade, names[grade.submission], grade.submission in counting) for grade in ordered]
    write_whole(out / "index.html", templates().get_template("class.html").render(**_class(assignment, rows)))


def causes(assignment: Assignment, grade: Grade) -> tuple[Cause, ...]:
    """The misconceptions of one submission, the one that explains most first."""
    found: dict[str, list[str]] = {}
    for check in grade.checks:
        if check.misconception:
            found.setdefault(_says(assignment, check.misconception), []).append(check.title)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    return tuple(Cause(n, says, tuple(titles)) for n, (says, titles) in enumerate(ordered, start=1))


def hardness(grades: Iterable[Grade]) -> list[Hardness]:
    """One entry for each check, the hardest first. What is pending counts neither for nor against it."""
    results: dict[str, list[CheckResult]] = {}
    for grade in grades:
        for check in grade.checks:
            results.setdefault(check.name, []).append(check)
    return sorted(
        (_hardness(checks) for checks in results.values()),
        key=lambda entry: entry.passed / entry.judged if entry.judged else 1.0,
    )


def _class(assignment: Assignment, rows: Sequence[Row]) -> dict[str, Any]:
    counted = [row for row in rows if row.counts]
    scored = [row for row in counted if row.grade.status is Outcome.GRADED and row.grade.score is not None]
    scores = [row.grade.score for row in scored if row.grade.score is not None]
    return {
        "assignment": assignment,
        "rows": rows,
        "counted": len(counted),
        "scored": len(scored),
        "full": sum(row.show == "full" for row in scored),
        "mean": fmean(scores) if scores else None,
        "median": median(scores) if scores else None,
        "ungraded": [row for row in rows if row.grade.status is not Outcome.GRADED or row.grade.score is None],
        "review": [row for row in rows if row.review],
        "isolation": sorted({row.grade.isolation for row in rows}),
        "devices": sorted({row.grade.device for row in rows}),
        "weak": sum(row.grade.isolation in WEAK for row in rows),
        "bands": _bands(assignment.points, scored),
        "checks": hardness(row.grade for row in counted),
        "mistakes": _mistakes(assignment, counted),
    }


def _row(grade: Grade, name: str, counts: bool) -> Row:
    strokes: dict[str, str] = {}
    for place, check in enumerate(grade.checks):
        tone = TONES.get(check.status, "stop")
        top, height = (0, 14) if tone == "good" else (9, 5)
        strokes[tone] = strokes.get(tone, "") + f"M{place * _STRIP} {top}h5v{height}h-5z"
    return Row(
        grade=grade,
        href=quote(f"pages/{name}.html"),
        counts=counts,
        passed=sum(check.status is Status.PASSED for check in grade.checks),
        strips=tuple((tone, strokes[tone]) for tone in _ORDER if tone in strokes),
    )


def _bands(points: float, scored: Sequence[Row]) -> tuple[Band, ...]:
    """Ten equal bands and one for full marks. Shares, not points, decide: part of a grade may be out of fewer."""
    found: list[list[Row]] = [[] for _ in range(11)]
    for row in scored:
        found[min(10, max(0, int(10 * _share(row.grade) + 1e-9)))].append(row)
    most = max(map(len, found)) or 1
    return tuple(
        Band(points * n / 10, points * min(n + 1, 10) / 10, tuple(band), round(100 * len(band) / most, 2))
        for n, band in enumerate(found)
    )


def _hardness(checks: Sequence[CheckResult]) -> Hardness:
    counts = Counter(check.status for check in checks)
    tones: Counter[str] = Counter()
    for status, count in counts.items():
        tones[TONES.get(status, "stop")] += count
    parts, start = [], 0.0
    for tone in _ORDER:
        width = 100 * tones[tone] / len(checks)
        if width:
            parts.append((tone, round(start, 3), round(width, 3)))
        start += width
    return Hardness(
        title=checks[0].title,
        points=checks[0].max_points,
        counts=tuple((status, counts[status]) for status in Status if counts[status]),
        passed=counts[Status.PASSED],
        judged=len(checks) - counts[Status.INTERNAL] - counts[Status.WAITING],
        parts=tuple(parts),
    )


def _mistakes(assignment: Assignment, rows: Sequence[Row]) -> list[Misconception]:
    made: dict[str, list[Row]] = {}
    for row in rows:
        for cause in causes(assignment, row.grade):
            made.setdefault(cause.says, []).append(row)
    ordered = sorted(made.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Misconception(says, tuple(who)) for says, who in ordered]


def _says(assignment: Assignment, misconception: str) -> str:
    """The sentence for a known mistake's id, or for two (`a+b`: both, `a|b`: one or the other); else the text."""
    says = {mistake.id: mistake.says for mistake in assignment.mistakes}
    if misconception in says:
        return says[misconception]
    for sign, words in _PAIRS.items():
        one, _, two = misconception.partition(sign)
        if one in says and two in says:
            return words.format(says[one], says[two])
    return misconception


def _share(grade: Grade) -> float:
    return grade.score / grade.max_score if grade.score is not None and grade.max_score else 0.0


def templates() -> Environment:
    """Pages, and what they say things with. Everything is escaped."""
    environment = Environment(
        loader=PackageLoader("autograder", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        code=code,
        line=line,
        name=lambda text: line(text, 80) or "(blank)",
        paragraphs=paragraphs,
        points=lambda points: "" if points is None else f"{round(points, 2):.15g}",
        share=_share,
        words=lambda status: WORDS[status],
        tone=lambda status: TONES.get(status, "stop"),
        says=_says,
    )
    style = environment.get_template("page.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals.update(
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        statuses=tuple(Status),
        outcomes=Outcome,
        weak_levels=WEAK,
    )
    return environment


def code(text: str) -> Markup:
    """The text, escaped, with what stands between backquotes set as code."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def paragraphs(text: str) -> list[str]:
    """The text, made visible, in parts that stood apart by an empty line."""
    return [part.strip("\n") for part in re.split(r"\n[ \t]*\n", visible(text)) if part.strip()]
