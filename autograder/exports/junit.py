"""Grades as JUnit XML, which build servers and IDEs show: a suite for each student, a case for each check."""

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from autograder.adjustments import sentence
from autograder.records import CheckResult, Grade, Outcome, Status
from autograder.reports import number
from autograder.standing import Standings
from autograder.text import line, visible

ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(standings: Standings) -> bytes:
    """UTF-8 with its XML declaration. A check that was lost is a failure, a fault of ours an error."""
    grades = list({row.grade.submission: row.grade for row in standings.rows}.values())
    root = ElementTree.Element("testsuites", name=legal(line(standings.assignment.name)))
    for grade in grades:
        root.append(_suite(grade))
    _count(root, [check for grade in grades for check in _checks(grade)], sum(grade.seconds for grade in grades))
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def legal(text: str) -> str:
    """The text without the characters that XML 1.0 has no way to write."""
    return ILLEGAL.sub("", text)


def _suite(grade: Grade) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=legal(line(grade.submission)))
    _count(suite, _checks(grade), grade.seconds)
    late = grade.late
    _properties(
        suite,
        {
            "student": line(grade.student),
            "assignment": line(grade.assignment),
            "status": str(grade.status),
            "raw_score": number(late.raw_score if late else grade.score),
            "penalty": number(late.penalty) if late else "",
            "lateness": visible(late.says) if late else "",
            "score": number(grade.score),
            "max_score": number(grade.max_score),
        },
    )
    for check in _checks(grade):
        suite.append(_case(grade, check))
    return suite


def _checks(grade: Grade) -> list[CheckResult]:
    """Its checks; where there are none because nothing could be judged, one that says so."""
    if grade.checks or grade.status is Outcome.GRADED:
        return list(grade.checks)
    ours = grade.status is Outcome.INTERNAL
    said = "\n".join(grade.notes)
    return [CheckResult("grading", "Grading", 0.0, 0.0, Status.INTERNAL if ours else Status.FAILED, said)]


def _case(grade: Grade, check: CheckResult) -> ElementTree.Element:
    where = legal(f"{line(grade.assignment)}.{line(grade.submission)}")
    case = ElementTree.Element("testcase", name=legal(line(check.name)), classname=where)
    points = {"score": number(check.points), "max_score": number(check.max_points)}
    _properties(case, {"title": line(check.title, 400), **points, "adjusted": sentence(check)})
    kind = _kind(check)
    if kind:
        found = ElementTree.SubElement(case, kind, message=legal(line(check.feedback, 400) or str(check.status)))
        if kind != "skipped":
            found.set("type", str(check.status))
            found.text = legal(visible(check.feedback))
    return case


def _kind(check: CheckResult) -> str:
    if check.status is Status.PASSED:
        return ""
    return {Status.INTERNAL: "error", Status.WAITING: "skipped"}.get(check.status, "failure")


def _count(element: ElementTree.Element, checks: Iterable[CheckResult], seconds: float) -> None:
    kinds = [_kind(check) for check in checks]
    counts = {"tests": len(kinds), "failures": kinds.count("failure"), "errors": kinds.count("error")}
    for key, value in {**counts, "skipped": kinds.count("skipped")}.items():
        element.set(key, str(value))
    element.set("time", f"{seconds:.3f}")


def _properties(element: ElementTree.Element, known: dict[str, str]) -> None:
    properties = ElementTree.SubElement(element, "properties")
    for name, text in known.items():
        if text:
            ElementTree.SubElement(properties, "property", name=name, value=legal(text))
