"""Grading of answer sheets: by the same `grade`, with the same outputs, and a clear verdict on what is not right."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import quizroom

from autograder import lastword
from autograder.errors import OperatorError
from autograder.exports import order
from autograder.gradebook import Gradebook
from autograder.quiz import catalog, feedback, grading, press
from autograder.records import Outcome, Request, Status, Watcher
from autograder.repeat import Wanted, repeat

ITEMS = ["sum-of-weights", "what-holds", "scaled-score", "name-it", "who-is-who", "in-order"]


@pytest.fixture
def root(tmp_path):
    return quizroom.course(tmp_path / "course")


def grade(root, *paths, out=None):
    """What came of it, by submission, and what was said when it began."""
    starts = []
    out = out or root / "out"
    request = Request(root, "toy_quiz", paths or (root / "class",), out)
    graded = grading.grade(request, Watcher(starts.append, lambda _: None))
    return graded, starts[0]


def one(root, **answers):
    """Ada's sheet, right in all but these answers."""
    (dealt,) = quizroom.sheets(root, "ada")
    given = quizroom.right_answers(dealt) | {name.replace("_", "-"): answer for name, answer in answers.items()}
    quizroom.hand_in(root / "class", quizroom.filled(root, dealt, given), "ada")
    graded, _ = grade(root)
    return graded.grades[0]


def source(notebook, start):
    return next(cell for cell in notebook["cells"] if start in cell["source"])


@pytest.mark.parametrize("language", ["en", "he"])
def test_the_key_earns_all_points(root, language):
    (dealt,) = quizroom.sheets(root, "ada", language=language)
    quizroom.hand_in(root / "class", quizroom.filled(root, dealt, quizroom.right_answers(dealt)), "ada")
    graded, start = grade(root)
    (found,) = graded.grades
    assert (found.score, found.max_score, found.status, found.notes) == (7.0, 7.0, Outcome.GRADED, ())
    assert [check.name for check in found.checks] == ITEMS
    assert {check.status for check in found.checks} == {Status.PASSED}
    assert (start.total, start.known, start.isolation) == (1, 0, "not needed")


def test_a_wrong_answer_names_the_mistake_and_what_is_right(root):
    (dealt,) = quizroom.sheets(root, "ada")
    wrong = next(n for n, choice in enumerate(dealt.quiz.items[0].choices) if choice.mistake)
    right = next(n for n, choice in enumerate(dealt.quiz.items[0].choices) if choice.right)
    found = one(root, sum_of_weights="abcd"[wrong], scaled_score=dealt.quiz.items[2].choices[1].text, name_it="relu")
    first, third, fourth = found.checks[0], found.checks[2], found.checks[3]
    assert first.misconception == "wrong-axis" and first.points == 0
    assert first.feedback == (
        f"Not right.\n\nThat is the sum over all queries of a square matrix.\n\nRight: {'abcd'[right]}) 1\n\n"
        "A softmax divides by its own sum."
    )
    assert third.misconception == "no-scale" and "± 1%" in third.feedback
    assert fourth.feedback.startswith("Not right.\n\nIt is the one with the exponentials.\n\nRight: softmax")


def test_the_chosen_answers_are_kept_for_the_instructor_alone(root):
    found = one(root, sum_of_weights="a", name_it="")
    kept = json.loads(found.checks[0].detail)
    (dealt,) = quizroom.sheets(root, "ada")
    assert kept["chosen"] == [dealt.origin["sum-of-weights"][0]] and kept["answer"] == "a"
    assert json.loads(found.checks[3].detail)["trouble"] == "blank" and found.checks[3].feedback.startswith(
        "No answer."
    )
    assert '"chosen"' not in (root / "out" / "results" / "ada.json").read_text()
    assert "chosen" in (root / "out" / "instructor" / "ada.json").read_text()


def test_the_outputs_are_those_of_an_assignment(root):
    quizroom.class_of(root, root / "class", 6)
    graded, _ = grade(root)
    rows = list(csv.DictReader((root / "out" / "grades.csv").open()))
    assert [row["submission"] for row in rows] == [f"s00{n}" for n in range(6)]
    assert float(rows[3]["score"]) == graded.grades[3].score
    for name in ("index.html", "pages/s003.html", "results/s003.json", "instructor/s003.json", "gradebook.sqlite"):
        assert (root / "out" / name).is_file()
    page = (root / "out" / "pages" / "s003.html").read_text()
    assert "<math" in page and "Question 6" in page and "script" not in page


def test_graded_again_nothing_is_recorded_twice(root):
    quizroom.class_of(root, root / "class", 4)
    first, _ = grade(root)
    again, start = grade(root)
    assert start.known == 4 and not again.before
    assert [each.score for each in again.grades] == [each.score for each in first.grades]
    with Gradebook.open(root / "out" / "gradebook.sqlite") as book:
        assert len(book.attempts("toy_quiz")) == 4


def test_a_mended_key_regrades_and_says_who_moved(root):
    before = one(root, name_it="relu")
    quizroom.changed(root, "- [ ] sigmoid", "- [x] relu")
    quizroom.changed(root, "- [ ] סיגמואיד", "- [x] רלו", language="he")
    graded, start = grade(root)
    assert start.known == 0 and graded.before[0].score == before.score
    assert graded.grades[0].score == 7.0 and graded.review == ()


def test_a_changed_sheet_is_pointed_out(root):
    quizroom.hand_in(root / "class", quizroom.filled(root, quizroom.sheets(root, "ada")[0], {}), "ada")
    quizroom.changed(root, "- [ ] 0\n", "- [ ] 8\n")
    graded, _ = grade(root)
    assert "changed after this sheet was made" in graded.grades[0].notes[0]
    assert "was changed after its sheet was made" in graded.review[0]


def test_missing_and_renamed_cells_are_named(root):
    (dealt,) = quizroom.sheets(root, "ada")
    notebook = quizroom.filled(root, dealt, quizroom.right_answers(dealt))
    notebook["cells"] = [cell for cell in notebook["cells"] if not cell["source"].startswith("name_it")]
    renamed = source(notebook, "in_order = ")
    renamed["source"] = renamed["source"].replace("in_order", "my_order")
    quizroom.hand_in(root / "class", notebook, "ada")
    checks = grade(root)[0].grades[0].checks
    assert checks[3].feedback.startswith("No answer was found: no cell of this sheet says name_it = ...")
    assert checks[5].points == 0 and "in_order = ..." in checks[5].feedback


def verdict(root, notebook, name="ada"):
    quizroom.hand_in(root / "class", notebook, name)
    grades = {each.submission: each for each in grade(root)[0].grades}
    found = grades[name]
    assert (found.status, found.score, found.max_score) == (Outcome.UNREADABLE, 0.0, 7.0)
    return found.notes[0]


def sheet_of(root, student="ada", **more):
    (dealt,) = quizroom.sheets(root, student, **more)
    return quizroom.filled(root, dealt, quizroom.right_answers(dealt))


def test_a_sheet_without_its_line_is_refused(root):
    notebook = sheet_of(root)
    notebook["metadata"] = {}
    notebook["cells"] = [cell for cell in notebook["cells"] if "quiz_sheet" not in cell["source"]]
    assert "does not say whose sheet it is" in verdict(root, notebook)


def test_the_line_in_the_metadata_will_do(root):
    notebook = sheet_of(root)
    notebook["cells"] = [cell for cell in notebook["cells"] if "quiz_sheet" not in cell["source"]]
    quizroom.hand_in(root / "class", notebook, "ada")
    assert grade(root)[0].grades[0].score == 7.0


def test_the_line_in_a_cell_will_do_where_metadata_are_dropped(root):
    notebook = sheet_of(root)
    notebook["metadata"] = {}
    quizroom.hand_in(root / "class", notebook, "ada")
    assert grade(root)[0].grades[0].score == 7.0


def test_a_forged_line_is_refused(root, tmp_path):
    notebook = sheet_of(root)
    cell = source(notebook, "quiz_sheet")
    cell["source"] = cell["source"].replace('quiz_sheet = "e', 'quiz_sheet = "f')
    assert "was changed" in verdict(root, notebook)
    assert "was changed" in verdict(root, sheet_of(quizroom.course(tmp_path / "other")))


def test_two_lines_are_refused(root):
    notebook = sheet_of(root)
    notebook["cells"].append(source(sheet_of(root, "alan"), "quiz_sheet"))
    assert "two different sheets" in verdict(root, notebook)


def test_another_quiz_s_sheet_is_refused(root):
    folder = root / "quizzes" / "other_quiz"
    folder.mkdir()
    for path in (root / "quizzes" / "toy_quiz").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert "a sheet of another quiz, other_quiz" in verdict(root, sheet_of(root, name="other_quiz"))


def test_an_attempt_too_many_is_refused(root):
    quizroom.changed(root, "attempts = 0", "attempts = 2")
    assert "This is attempt 3, and 2 are allowed" in verdict(root, sheet_of(root, attempt=3))


def test_someone_else_s_sheet_is_refused_where_the_class_list_tells(root):
    (root / "solutions" / "roster.csv").write_text("student,name\nada,Ada\nalan,Alan\n")
    assert "was made for ada" in verdict(root, sheet_of(root, "ada"), "alan")


def test_the_class_list_knows_a_student_by_any_of_her_names(root):
    (root / "solutions" / "roster.csv").write_text("student,name,email\n7001,Ada Lovelace,ada@x.org\n")
    quizroom.hand_in(root / "class" / "Ada Lovelace", sheet_of(root, "7001"), "quiz")
    graded, _ = grade(root)
    assert graded.grades[0].score == 7.0 and graded.review == ()


def test_one_sheet_under_two_names_counts_for_its_owner(root):
    quizroom.hand_in(root / "class", sheet_of(root), "ada")
    assert "handed in under several names" in verdict(root, sheet_of(root), "mallory")
    grades = {each.submission: each for each in grade(root)[0].grades}
    assert grades["ada"].score == 7.0


def test_one_sheet_under_two_strange_names_counts_for_nobody(root):
    quizroom.hand_in(root / "class", sheet_of(root), "x1")
    assert "several names" in verdict(root, sheet_of(root), "x2")


def test_a_sheet_of_nobody_knows_whom_is_graded_and_pointed_out(root):
    quizroom.hand_in(root / "class", sheet_of(root), "upload")
    graded, _ = grade(root)
    assert graded.grades[0].score == 7.0 and "made for 'ada'" in graded.review[0]


def test_what_is_no_notebook_is_said(root):
    (root / "class").mkdir()
    (root / "class" / "ada.ipynb").write_text("{")
    (root / "class" / "alan.ipynb").write_text("")
    graded, _ = grade(root)
    assert [each.status for each in graded.grades] == [Outcome.UNREADABLE] * 2
    assert "cut off" in graded.grades[0].notes[0]


def test_nothing_of_a_sheet_is_run(root, tmp_path):
    notebook = sheet_of(root)
    target = tmp_path / "made"
    source(notebook, "name_it")["source"] = f"name_it = open({str(target)!r}, 'w')"
    notebook["cells"].insert(
        0, {"cell_type": "code", "source": f"open({str(target)!r}, 'w')", "metadata": {}, "outputs": []}
    )
    quizroom.hand_in(root / "class", notebook, "ada")
    assert grade(root)[0].grades[0].score == 6.0
    assert not target.exists()


def test_hostile_text_acts_nowhere(root):
    found = one(root, name_it="<script>alert(1)</script>=cmd()\u202e\x1b[2J")
    page = (root / "out" / "pages" / "ada.html").read_text()
    assert "<script" not in page and "\x1b" not in page and "\u202e" not in page
    assert "\x1b" not in found.checks[3].detail


def late(root, when, shown="after the due date", attempts=0):
    quizroom.changed(
        root,
        'shown = "after submission"\nattempts = 0',
        f'shown = "{shown}"\nattempts = {attempts}\ndue = {when.isoformat()}',
    )


def test_after_the_due_date_nothing_is_accepted(root):
    late(root, datetime(2020, 1, 1, tzinfo=UTC))
    found = one(root)
    assert found.score == 0.0 and found.late.raw_score == 7.0 and "Nothing was accepted after" in found.late.says


def test_an_extension_is_an_extension(root):
    late(root, datetime(2020, 1, 1, tzinfo=UTC))
    (root / "solutions" / "roster.csv").write_text("student,extension toy_quiz\nada,2100-01-01\n")
    assert one(root).score == 7.0


def test_before_the_due_date_a_student_reads_neither_score_nor_key(root):
    late(root, datetime.now(UTC).replace(microsecond=0) + timedelta(days=1))
    found = one(root, name_it="relu", in_order="")
    assert found.score == 5.0  # the instructor's
    told = json.loads((root / "out" / "results" / "ada.json").read_text())
    assert told["score"] is None and {check["status"] for check in told["checks"]} == {"waiting"}
    assert {check["points"] for check in told["checks"]} == {0.0}
    page = (root / "out" / "pages" / "ada.html").read_text()
    for text in (json.dumps(told), page):
        assert "exponentials" not in text and "It is shown" not in text and "Right" not in text
    assert "An answer was handed in." in page and "No answer." in page
    assert not any("exponentials" in check.feedback for check in found.checks)


def test_after_the_due_date_the_same_run_tells_everything(root):
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    late(root, due)
    found = one(root, name_it="relu")
    at = press.press(root, "toy_quiz", due + timedelta(seconds=1))
    (entry,) = _entries(root)
    told = grading.graded(entry, at)
    assert told.score == found.score and "exponentials" in told.checks[3].feedback
    assert not grading._stands(told, None)


def _entries(root):
    from autograder import intake

    return intake.discover([root / "class"], root / "scratch", "toy_quiz")


def test_where_attempts_are_limited_the_first_answers_to_a_sheet_count(root):
    quizroom.changed(root, "attempts = 0", "attempts = 2")
    first = one(root, name_it="relu")
    second = one(root)
    assert second.score == first.score == 6.0 and "Its first answers count" in second.notes[-1]
    quizroom.hand_in(root / "class", sheet_of(root, attempt=2), "ada")
    assert grade(root)[0].grades[0].score == 7.0


def test_where_nothing_was_told_answers_may_be_changed(root):
    late(root, datetime.now(UTC).replace(microsecond=0) + timedelta(days=1), attempts=1)
    assert one(root, name_it="relu").score == 6.0
    assert one(root).score == 7.0


def test_without_a_limit_the_last_answers_count(root):
    assert one(root, name_it="relu").score == 6.0
    assert one(root).score == 7.0


def test_the_instructor_has_the_last_word(root):
    one(root, name_it="relu")
    place = lastword.Place(root / "out", None, root)
    heard = lastword.adjust(place, lastword.Word("ada", "name-it", 0.5, "Near enough."))
    assert heard.after.score == 6.5 and heard.report == root / "out"
    assert "Near enough." in (root / "out" / "pages" / "ada.html").read_text()
    assert grade(root)[0].grades[0].score == 6.5


@pytest.mark.parametrize("form", ["csv", "json", "junit", "nbgrader"])
def test_grades_are_handed_on(root, form):
    one(root, name_it="relu")
    delivery = order.deliver(order.Order(form, root, root / "out"))
    assert b"toy_quiz" in delivery.content and not delivery.missed


def test_any_grade_can_be_given_once_more(root):
    one(root, name_it="relu")
    found = repeat(Wanted(root / "out", None, "ada", None, root))
    assert found.differences == () and found.now.score == 6.0


def test_a_quiz_and_an_assignment_are_told_apart(root):
    assert catalog.is_quiz(catalog.load(root, "toy_quiz"))
    (root / "solutions" / "toy_quiz").mkdir()
    with pytest.raises(Exception, match="both an assignment and a quiz"):
        catalog.load(root, "toy_quiz")


def test_the_mistakes_of_the_assignment_speak(root):
    (root / "solutions" / "toy").mkdir()
    (root / "solutions" / "toy" / "assignment.toml").write_text(quizroom.TOML)
    assert [each.id for each in catalog.load(root, "toy_quiz").mistakes] == ["no-scale", "wrong-axis"]
    (dealt,) = quizroom.sheets(root, "ada")
    one(root, scaled_score=dealt.quiz.items[2].choices[1].text)
    assert "not divided by the root of <code>d_k</code>" in (root / "out" / "pages" / "ada.html").read_text()


def test_a_folder_that_can_not_be_written_is_said(root):
    quizroom.hand_in(root / "class", sheet_of(root), "ada")
    (root / "file").write_text("")
    with pytest.raises(OperatorError, match="nothing can be written"):
        grade(root, out=root / "file" / "out")


def test_a_python_file_will_do(root):
    notebook = sheet_of(root)
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (root / "class").mkdir()
    (root / "class" / "ada.py").write_text("\n".join(f"# %%\n{cell}" for cell in code))
    assert grade(root)[0].grades[0].score == 7.0


def test_the_time_that_was_taken_is_kept(root):
    notebook = sheet_of(root)
    source(notebook, "quiz_sheet")["source"] += "\nquiz_seconds = 300"
    quizroom.hand_in(root / "class", notebook, "ada")
    assert feedback.kept(grade(root)[0].grades[0])["seconds"] == 300


def test_no_torch_is_needed(root):
    quizroom.hand_in(root / "class", sheet_of(root), "ada")
    words = ["grade", "toy_quiz", str(root / "class"), "--out", str(root / "out"), "--course", str(root)]
    program = (
        "import sys\nfrom autograder.cli import main\ntry:\n"
        f"    main({words!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'matplotlib', 'nbformat', 'pytest'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "7 / 7" in done.stdout
