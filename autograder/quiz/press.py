"""The press that sheets are graded with: a quiz in all its languages, the course's secret, the class list, the hour."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from autograder import course, standing
from autograder.quiz import bank, catalog, draw, feedback
from autograder.quiz.draw import Deck
from autograder.quiz.records import Quiz, Sheet, Shown
from autograder.quiz.token import Token
from autograder.records import Assignment, Grade
from autograder.roster import Roster


@dataclass
class Press:
    """All that the sheets of one quiz are graded with. now: what has come due by then is told."""

    root: Path
    quiz: Quiz
    assignment: Assignment
    secret: bytes
    known: Roster
    now: datetime
    decks: dict[str, Deck] = field(default_factory=dict)
    _sheets: dict[tuple[str, str, int], Sheet] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether students are told what is right."""
        return tells(self.quiz, self.now)

    def deck(self, language: str) -> Deck:
        if language not in self.decks:
            there = language in bank.languages(self.root, self.quiz.name)
            quiz = bank.load(self.root, self.quiz.name, language if there else bank.SOURCE)
            self.decks[language] = draw.deck(self.root, quiz)
        return self.decks[language]

    def sheet(self, said: Token) -> Sheet:
        """A sheet once more, from what its line says."""
        key = (said.language, said.student, said.attempt)
        if key not in self._sheets:
            self._sheets[key] = draw.deal(self.deck(said.language), said.student, said.attempt)
        return self._sheets[key]

    def sheet_of(self, grade: Grade) -> Sheet | None:
        """The sheet that a grade was given for; None where it was for none."""
        sheet = feedback.kept(grade).get("sheet")
        if not isinstance(sheet, dict):
            return None
        said = Token(self.quiz.name, str(sheet["student"]), int(sheet["attempt"]), str(sheet["language"]), "")
        return self.sheet(said)


def press(root: Path, name: str, now: datetime | None = None) -> Press:
    """Everything that is needed to grade a quiz. Raises InstructorError where it is not as it should be."""
    quiz = bank.load(root, name)
    known = standing.class_list(root)
    return Press(root, quiz, catalog.load(root, name), course.secret(root), known, now or datetime.now(UTC))


def tells(quiz: Quiz, now: datetime) -> bool:
    """Whether students are told what is right, and why."""
    return quiz.shown is not Shown.DUE or (quiz.due is not None and now > quiz.due)
