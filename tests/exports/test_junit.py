"""junit: what an XML parser and a JUnit library read of it."""

import xml.etree.ElementTree as ET

import pytest
from gradesheets import DECIDED, EVIL, LATE, PENDING, POLICY, grade, standings, whole_class

from autograder.exports import junit
from autograder.records import CheckResult, Outcome, Status


def check(name, status, feedback="Look again."):
    return CheckResult(name, f"Title of {name}.", 1.0 if status is Status.PASSED else 0.0, 1.0, status, feedback)


def cases(content):
    return {case.get("name"): [child.tag for child in case if child.tag != "properties"] for case in content.iter("testcase")}  # fmt: skip  # noqa: E501


def test_each_status_is_a_failure_an_error_or_skipped():
    checks = tuple(check(f"test_{status}", status) for status in Status)
    root = ET.fromstring(junit.document(standings(grade("ada", 1.0, checks=checks, max_score=9.0))))
    found = cases(root)
    assert found.pop("test_passed") == [] and found.pop("test_internal") == ["error"]
    assert found.pop("test_waiting") == ["skipped"]
    assert set(map(tuple, found.values())) == {("failure",)} and len(found) == 6
    counts = {"tests": "9", "failures": "6", "errors": "1", "skipped": "1"}
    assert {key: root.get(key) for key in counts} == {key: root[0].get(key) for key in counts} == counts
    failure = root.find(".//testcase[@name='test_raised']/failure")
    assert (failure.get("type"), failure.get("message"), failure.text) == ("raised", "Look again.", "Look again.")


def test_points_and_lateness_are_properties():
    late = grade("ada", 8.0, handed_in=LATE, clock="gradescope")
    root = ET.fromstring(junit.document(standings(late, policy=POLICY)))
    known = {each.get("name"): each.get("value") for each in root[0].find("properties")}
    assert (known["raw_score"], known["penalty"], known["score"], known["max_score"]) == ("8", "1", "7", "10")
    assert "1 day late" in known["lateness"]
    first = {each.get("name"): each.get("value") for each in root[0].find("testcase/properties")}
    assert first == {"title": "Multiplies each number.", "score": "6", "max_score": "6"}


def test_the_last_word_of_an_instructor_is_a_property():
    root = ET.fromstring(junit.document(standings(grade("ada", 3.0, checks=(DECIDED,)))))
    known = {each.get("name"): each.get("value") for each in root.find(".//testcase/properties")}
    assert known["adjusted"].startswith("Emmy gave 3 of 4, where the check gave 1: A good idea.")


def test_what_could_not_be_judged_is_an_error_of_ours_or_a_failure():
    lost = grade("bo", 0.0, status=Outcome.UNREADABLE, checks=(), notes=("The upload broke off.",))
    root = ET.fromstring(junit.document(standings(grade("ada", **PENDING), lost)))
    assert [[child.tag for child in case] for case in root.iter("testcase")] == [["properties", "error"], ["properties", "failure"]]  # fmt: skip  # noqa: E501
    assert (root.get("errors"), root.get("failures")) == ("1", "1")
    assert root.find(".//failure").text == "The upload broke off."


def test_nothing_that_xml_forbids_is_left_and_no_text_is_markup():
    assert junit.legal("a\x00\x0b\ufffe\uffff\ud800b\t\n\U0001f600") == "ab\t\n\U0001f600"
    worse = f"{EVIL}\ufffe\uffff"
    evil = CheckResult(worse, worse, 0.0, 1.0, Status.FAILED, worse)
    data = junit.document(standings(grade(worse, submission=worse, checks=(evil,), notes=(worse,))))
    assert data.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n<testsuites")
    root = ET.fromstring(data)
    assert root[0].get("name").startswith("red ]]> <b>&amp; =1+1") and "\x1b" not in data.decode()
    assert "<b>&amp; =1+1" in root.find(".//failure").text


def test_a_junit_library_reads_every_suite_and_writes_it_back():
    junitparser = pytest.importorskip("junitparser")
    class_ = whole_class()
    read = junitparser.JUnitXml.fromstring(junit.document(class_))
    suites = list(read)
    assert [suite.name for suite in suites] == [row.grade.submission for row in class_.rows]
    assert (read.tests, read.failures, read.errors, read.skipped) == (24, 12, 0, 0)
    for suite, row in zip(suites, class_.rows, strict=True):
        known = {each.name: each.value for each in suite.properties()}
        assert float(known["score"]) == row.grade.score and known["student"] == row.grade.student
        assert [case.name for case in suite] == ["test_scale", "test_affine"]
        assert [[type(result).__name__ for result in case.result] for case in suite] == [[], ["Failure"]]
        assert sum(float(each.value) for case in suite for each in case.iterchildren(junitparser.Properties) for each in each if each.name == "score") == row.grade.score  # fmt: skip  # noqa: E501
    again = junitparser.JUnitXml.fromstring(read.tostring())
    again.update_statistics()
    assert (again.tests, again.failures, again.errors) == (24, 12, 0)
