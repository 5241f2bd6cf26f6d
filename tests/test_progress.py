"""progress: a bar on a terminal, one line elsewhere, JSON lines for a machine."""

import io
import json
import sys

import pytest

from autograder.batch import Start
from autograder.progress import JsonLines, Screen
from autograder.records import Grade, Outcome

START = Start(total=3, known=1, workers=2, device="cpu", isolation="self")
GRADED = Grade("ada", "ada", "toy", Outcome.GRADED, 8.0, 10.0, "self", "cpu", 0.25)
PENDING = Grade("alan", "alan", "toy", Outcome.INTERNAL, None, None, "self", "cpu", 1.5)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_json_lines_are_one_object_each():
    stream = io.StringIO()
    with JsonLines(stream) as shown:
        shown.started(START)
        shown.graded(GRADED)
        shown.graded(PENDING)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"event": "started", "total": 3, "known": 1, "partly": 0, "workers": 2, "device": "cpu", "isolation": "self"},
        {"event": "graded", "submission": "ada", "status": "graded", "score": 8.0, "max_score": 10.0, "seconds": 0.25},
        {
            "event": "graded",
            "submission": "alan",
            "status": "internal",
            "score": None,
            "max_score": None,
            "seconds": 1.5,
        },
        {"event": "finished", "reason": ""},
    ]


def test_json_lines_say_why_they_stopped():
    stream = io.StringIO()
    with pytest.raises(RuntimeError), JsonLines(stream):
        raise RuntimeError("the disk is full")
    assert json.loads(stream.getvalue()) == {"event": "stopped", "reason": "the disk is full"}


def test_without_a_terminal_one_line_is_shown(capsys):
    with Screen("toy") as shown:
        shown.started(START)
        shown.graded(GRADED)
    out, err = capsys.readouterr()
    assert out == ""
    line = "toy: 3 submissions, 1 of them known from the gradebook; 2 at once on cpu, isolation: self"
    assert " ".join(err.split()) == line


def test_on_a_terminal_a_bar_shows_rate_and_trouble(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "160")
    with Screen("toy") as shown:
        shown.started(START)
        shown.graded(GRADED)
        shown.graded(PENDING)
        drawn = terminal.getvalue()
    assert "2/2" in drawn and "/s" in drawn and "1 in trouble" in drawn
