"""A small course with one quiz of all six kinds, in English and Hebrew, and sheets filled in by made-up students."""

import json
import random
from pathlib import Path

from autograder.quiz import bank, draw, sheet
from autograder.quiz.records import Kind

ENGLISH = """+++
title = "Toy quiz"
assignment = "toy"
shown = "after submission"
attempts = 0
minutes = 5
+++

# sum-of-weights
kind: single
objective: Say what the weights add up to.
source: A paper, section 3.2.1

What do the weights $\\alpha_{ij}$ of one query add up to?

- [x] 1
  > A softmax divides by its own sum.
- [ ] The number of keys
  > That is the sum over all queries of a square matrix.
  mistake: wrong-axis
- [ ] It depends on $d_k$
  > The scale changes the weights, not their sum.
  credit: 0.5
- [ ] 0
  > Softmax gives positive numbers.

# what-holds
kind: multiple
points: 2
objective: Tell what holds of softmax.
source: A textbook

Which of these hold of `softmax(x)`?

- [x] All entries are positive.
  > An exponential is.
- [x] A constant added to all of $x$ changes nothing.
  > It cancels.
- [ ] It is linear.
  > $e^{2x}$ is not $2e^x$.
- [ ] It needs sorted input.
  > Order only permutes the output.

# scaled-score
kind: numeric
unit: units
draw: scaled_score
objective: Scale a score.
source: A paper, equation 1

What is the score {{dot}} divided by $\\sqrt{{{width}}}$?

> Divide by the square root of the width.

- [x] {{key:.4f}} ± 1%
  > $q \\cdot k / \\sqrt{d_k}$.
- [ ] {{unscaled}}
  > This is not scaled at all.
  mistake: no-scale

# name-it
kind: short
objective: Name the function.
source: A paper

Which function turns scores into weights?

> It is the one with the exponentials.

- [x] softmax
  > Yes.
- [x] soft-max function
  > Yes.
- [ ] sigmoid
  > That looks at each score by itself.
  mistake: no-scale

# who-is-who
kind: matching
objective: Tell the three apart.
source: A paper

Match.

- [x] query -> what a position looks for
  > It asks.
- [x] key -> what a position offers
  > It is compared with.
- [x] value -> what a position hands on
  > It is mixed.
- [x] -> what a position forgets
  > Nothing is.

# in-order
kind: ordering
objective: Put the steps in order.
source: A paper

Order the steps.

1. dot products
  > They come first.
2. scale
  > Before the softmax.
3. softmax
  > Over the keys.
4. weighted sum
  > Last.
"""

HEBREW = """+++
title = "בוחן קטן"
+++

# sum-of-weights

לכמה מסתכמים המשקלים $\\alpha_{ij}$ של שאילתה אחת?

- [x] 1
  > סופטמקס מחלק בסכום שלו עצמו.
- [ ] מספר המפתחות
  > זה הסכום על פני כל השאילתות.
- [ ] תלוי ב־$d_k$
  > הסקלה משנה את המשקלים, לא את סכומם.
- [ ] 0
  > סופטמקס נותן מספרים חיוביים.

# what-holds

מה נכון על `softmax(x)`?

- [x] כל הערכים חיוביים.
  > כך האקספוננט.
- [x] קבוע שמתווסף לכל $x$ אינו משנה דבר.
  > הוא מצטמצם.
- [ ] היא לינארית.
  > לא.
- [ ] היא דורשת קלט ממוין.
  > לא.

# scaled-score
unit: יחידות

מהו הציון {{dot}} חלקי $\\sqrt{{{width}}}$?

> חלקו בשורש הרוחב.

- [x] {{key:.4f}} ± 1%
  > כך במאמר.
- [ ] {{unscaled}}
  > זה בלי סקלה.

# name-it

איזו פונקציה הופכת ציונים למשקלים?

> זו שיש בה אקספוננטים.

- [x] softmax
  > כן.
- [x] סופטמקס
  > כן.
- [ ] סיגמואיד
  > זו מביטה בכל ציון לבדו.

# who-is-who

התאימו.

- [x] שאילתה -> מה המקום מחפש
  > היא שואלת.
- [x] מפתח -> מה המקום מציע
  > אליו משווים.
- [x] ערך -> מה המקום מוסר
  > אותו מערבבים.
- [x] -> מה המקום שוכח
  > דבר אינו נשכח.

# in-order

סדרו את הצעדים.

1. מכפלות
  > ראשונות.
2. סקלה
  > לפני הסופטמקס.
3. סופטמקס
  > על פני המפתחות.
4. סכום משוקלל
  > אחרון.
"""

DRAWS = '''"""Draws of the toy quiz."""

import math


def scaled_score(rng):
    """A dot product over the root of the width."""
    dot, width = rng.randint(100, 10**7), rng.choice([4, 16, 64, 256])
    return {"dot": dot, "width": width, "key": dot / math.sqrt(width), "unscaled": dot}
'''

TOML = """title = "Toy"

[[mistakes]]
id = "no-scale"
says = "The scores are not divided by the root of `d_k`."

[[mistakes]]
id = "wrong-axis"
says = "The softmax runs over the queries."
"""


def course(root: Path, name: str = "toy_quiz", english: str = ENGLISH, draws: str = DRAWS) -> Path:
    """A course with that quiz; its secret is made at the first call that needs it."""
    (root / "solutions").mkdir(parents=True)
    (root / "quizzes" / name).mkdir(parents=True)
    (root / "quizzes" / name / "en.md").write_text(english, "utf-8")
    (root / "quizzes" / name / "he.md").write_text(HEBREW, "utf-8")
    (root / "quizzes" / name / "draws.py").write_text(draws, "utf-8")
    return root


def changed(root: Path, old: str, new: str, name: str = "toy_quiz", language: str = "en") -> None:
    """Replace a piece of a bank."""
    path = root / "quizzes" / name / f"{language}.md"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def sheets(root: Path, *students: str, language: str = "en", attempt: int = 1, name: str = "toy_quiz"):
    """Each student's sheet, drawn."""
    deck = draw.deck(root, bank.load(root, name, language))
    return [draw.deal(deck, student, attempt) for student in students]


def right_answers(dealt) -> dict[str, str]:
    """The key, by item, as a student would type it in Latin letters."""
    found = {}
    for item in dealt.quiz.items:
        shown = dealt.shown.get(item.id, ())
        letters = "abcdefgh"
        if item.kind in (Kind.NUMERIC, Kind.SHORT):
            found[item.id] = next(choice.text for choice in item.choices if choice.right)
        elif item.kind is Kind.MATCHING:
            sides = [item.choices[place].match for place in shown]
            left = [choice for choice in item.choices if choice.text]
            found[item.id] = " ".join(f"{n}{letters[sides.index(c.match)]}" for n, c in enumerate(left, 1))
        elif item.kind is Kind.ORDERING:
            found[item.id] = " ".join(letters[shown.index(place)] for place in range(len(item.choices)))
        else:
            found[item.id] = ", ".join(letters[n] for n, choice in enumerate(item.choices) if choice.right)
    return found


def filled(root: Path, dealt, answers: dict[str, object]) -> dict:
    """The student's notebook with these answers, by item, in it."""
    from autograder import course as courses

    notebook = sheet.notebook(dealt, courses.secret(root))
    for item, answer in answers.items():
        name = sheet.variable(item)
        cell = next(cell for cell in notebook["cells"] if cell["source"].startswith(f'{name} = ""'))
        cell["source"] = f"{name} = {json.dumps(answer, ensure_ascii=False)}"
    return notebook


def hand_in(folder: Path, notebook: dict, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps(notebook, ensure_ascii=False), "utf-8")
    return path


def class_of(root: Path, folder: Path, count: int, language: str = "en", name: str = "toy_quiz") -> Path:
    """Sheets of made-up students, from weak to strong."""
    rng = random.Random(1)
    for number, dealt in enumerate(sheets(root, *(f"s{n:03}" for n in range(count)), language=language, name=name)):
        strength = (number + 1) / (count + 1)
        answers: dict[str, object] = {}
        for item, key in right_answers(dealt).items():
            answers[item] = key if rng.random() < 0.2 + 0.75 * strength else rng.choice(["", "a", "17", "b c", "no"])
        hand_in(folder, filled(root, dealt, answers), dealt.student)
    return folder
