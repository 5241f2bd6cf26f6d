"""Answer sheets as notebooks: valid, in both directions, with no key in them."""

import json

import nbformat
import pytest
import quizroom

from autograder import course as courses
from autograder.errors import InstructorError, OperatorError
from autograder.quiz import bank, draw, sheet


@pytest.fixture
def root(tmp_path):
    return quizroom.course(tmp_path / "course")


def made(root, tmp_path, **more):
    paths = sheet.make(sheet.Order(root, "toy_quiz", tmp_path / "out", **{"students": ("ada",), **more}))
    return [nbformat.read(path, as_version=4) for path in paths]


def test_a_sheet_is_a_notebook_with_a_cell_for_each_answer(root, tmp_path):
    (notebook,) = made(root, tmp_path)
    nbformat.validate(notebook)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert cells[0].startswith("# Leave this cell as it is") and '\nquiz_sheet = "' in cells[0]
    assert cells[1:] == [
        'sum_of_weights = ""  # one of a, b, c or d',
        'what_holds = ""  # all that apply, such as a, c',
        'scaled_score = ""  # a number',
        'name_it = ""  # one or a few words',
        'who_is_who = ""  # such as 1b 2a 3c',
        'in_order = ""  # the letters in order, such as b c a',
    ]
    compile("\n".join(cells), "sheet", "exec")


def test_no_key_is_in_it(root, tmp_path):
    for language in ("en", "he"):
        (notebook,) = made(root, tmp_path, language=language)
        text = json.dumps(notebook, ensure_ascii=False)
        (dealt,) = quizroom.sheets(root, "ada", language=language)
        key = dealt.quiz.items[2].choices[0].text
        assert key not in text and "softmax function" not in text and "soft-max" not in text
        seed = draw.seed(courses.secret(root), "toy_quiz", "ada", 1)
        for secret in (str(seed), f"{seed:x}", courses.secret(root).hex(), "correct", "[x]", "mistake", "no-scale"):
            assert secret not in text
        for item in bank.load(root, "toy_quiz", language).items:
            assert not any(choice.why and choice.why in text for choice in item.choices)


def test_two_students_see_other_numbers_and_orders(root, tmp_path):
    one, other = made(root, tmp_path, students=("ada", "alan"))
    assert one.cells[6].source != other.cells[6].source


def test_hebrew_runs_from_right_to_left_with_code_and_formulas_the_other_way(root, tmp_path):
    quizroom.changed(root, "סדרו את הצעדים.", "סדרו.\n\n```python\nx[:, 1]  # code\n```", language="he")
    (notebook,) = made(root, tmp_path, language="he")
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert all(text.startswith('<div dir="rtl" lang="he">\n\n') and text.endswith("\n\n</div>") for text in texts)
    assert '<code dir="ltr">softmax(x)</code>' in texts[2] and '<div style="margin: .6em 0">' in texts[2]
    assert '<div dir="ltr">\n\n```python\nx[:, 1]  # code\n```\n\n</div>' in texts[6]
    assert r"$\alpha_{ij}$" in texts[1] and "**א)**" in texts[1]


def test_a_class_list_gives_a_sheet_for_everyone(root, tmp_path):
    roster = tmp_path / "roster.csv"
    roster.write_text("student,name,email\nada,Ada Lovelace,ada@x.org\n,Alan Turing,alan@x.org\n")
    order = sheet.Order(root, "toy_quiz", tmp_path / "out", ("ada",), roster)
    assert [path.name for path in sheet.make(order)] == ["ada.ipynb", "alan@x.org.ipynb"]


def test_what_can_not_be_made_is_said(root, tmp_path):
    with pytest.raises(InstructorError, match="Nobody is named"):
        made(root, tmp_path, students=())
    quizroom.changed(root, "attempts = 0", "attempts = 2")
    with pytest.raises(InstructorError, match="allows 2 attempts, and --attempt says 3"):
        made(root, tmp_path, attempt=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="nothing can be written"):
        sheet.make(sheet.Order(root, "toy_quiz", tmp_path / "file" / "out", ("ada",)))


@pytest.mark.parametrize(
    ("id_", "name"), [("a-b", "a_b"), ("is", "is_"), ("match", "match_"), ("2-heads", "q_2_heads")]
)
def test_names_are_names_of_python(id_, name):
    assert sheet.variable(id_) == name and sheet.variable(id_).isidentifier()


@pytest.mark.parametrize(
    ("shown", "says"),
    [("at once", "As soon as"), ("after submission", "Once it has been"), ("after the due date", "after the due date")],
)
def test_the_first_cell_says_the_rules(root, tmp_path, shown, says):
    quizroom.changed(
        root,
        'shown = "after submission"\nattempts = 0',
        f'shown = "{shown}"\nattempts = 3\ndue = 2027-01-31T23:59:00+02:00',
    )
    (notebook,) = made(root, tmp_path)
    text = notebook.cells[0].source
    assert says in text and "Attempt 1 of 3." in text and "Due 2027-01-31 23:59 (UTC+0200)." in text
