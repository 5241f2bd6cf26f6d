"""The JSON of jupyterquiz, for a self-check inside a notebook, and the notebook that shows it.

jupyterquiz puts its texts into the page as HTML, turns `$` into formulas and `[…](…)` into links, even inside
formulas; so texts are written as HTML in which neither is left. It marks in the browser: the keys are in the file, so
nothing here is for grades.
"""

import base64
import html as entities
import json
import math
from collections.abc import Sequence
from typing import Any

from autograder.quiz.exchange import forms, limits, markup
from autograder.quiz.exchange.forms import Draft, Export, Found
from autograder.quiz.records import Choice, Item, Kind, Quiz

_TYPES = {
    Kind.SINGLE: "multiple_choice",
    Kind.MULTIPLE: "many_choice",
    Kind.NUMERIC: "numeric",
    Kind.SHORT: "string",
}


def write(drafts: Sequence[Draft]) -> Export:
    if len(drafts) != 1:
        raise limits.UnreadableExchange("jupyterquiz has no quizzes, only a list of questions. Export one at a time.")
    quiz = drafts[0].quiz
    questions, left_out = [], {}
    for item in quiz.items:
        if item.kind in _TYPES:
            questions.append(_question(item, quiz.language))
        else:
            left_out[f"{quiz.name}/{item.id}"] = f"since jupyterquiz knows no {item.kind} questions"
    notes = ["the keys are in the file, for whoever looks: a self-check, not for grades"]
    if any(item.kind is Kind.MULTIPLE for item in quiz.items):
        notes.append("jupyterquiz counts the right choices of a `multiple` question and takes nothing for wrong ones")
    return Export(json.dumps(questions, ensure_ascii=False, indent=1).encode() + b"\n", left_out, tuple(notes))


def cell(quiz: Quiz) -> str:
    """A notebook cell's source that shows the quiz; the questions are inside, less readable than the key deserves."""
    packed = base64.b64encode(write([Draft(quiz)]).data).decode()
    lines = "\n".join(f'    "{packed[start : start + 100]}"' for start in range(0, len(packed), 100))
    return (
        "# needs: pip install jupyterquiz\nimport base64\nimport json\n\nfrom jupyterquiz import display_quiz\n\n"
        f"questions = (\n{lines}\n)\n"
        "display_quiz(json.loads(base64.b64decode(questions)), shuffle_answers=True, max_width=800, "
        f'question_alignment="{"right" if markup.direction(quiz.language) == "rtl" else "left"}")\n'
    )


def notebook(quizzes: Sequence[Quiz]) -> str:
    """A whole notebook for self-checks, one cell for each quiz."""
    cells: list[dict[str, Any]] = []
    for number, quiz in enumerate(quizzes):
        title = markup.html(quiz.title, quiz.language)
        shown = quiz.title if quiz.language == "en" else title
        cells.append({"cell_type": "markdown", "id": f"title-{number}", "metadata": {}, "source": f"# {shown}"})
        cells.append(
            {
                "cell_type": "code",
                "id": f"quiz-{number}",
                "metadata": {"jupyter": {"source_hidden": True}},
                "source": cell(quiz),
                "execution_count": None,
                "outputs": [],
            }
        )
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def read(data: bytes, name: str, language: str) -> Found:
    items = []
    for place, question in enumerate(limits.Reader(limits.load_json(data, name), name).list(), 1):
        items.append(_item(question, f"q{place}"))
    said = " ".join(question.get("question").text("") for question in limits.Reader(json.loads(data), name).list())
    title = name.rpartition("/")[2].removesuffix(".json")
    spoken = language or markup.language(said) or "en"
    return Found((Quiz(forms.quiz_name(title, "quiz"), title, spoken, tuple(items)),))


def _question(item: Item, language: str) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    for each in item.choices:
        answer = _answer(item, each, language)
        answers.append(answer | ({"feedback": _shown(each.why, language)} if each.why else {}))
    if item.why and item.kind in forms.TYPED:
        answers.append({"type": "default", "feedback": _shown(item.why, language)})
    return {"question": _safe(forms.asked(item, language)), "type": _TYPES[item.kind], "answers": answers}


def _answer(item: Item, each: Choice, language: str) -> dict[str, Any]:
    if item.kind is Kind.NUMERIC:
        middle, width = forms.value(each), forms.around(each)
        if not width:
            return {"type": "value", "value": _whole(middle), "correct": each.right}
        ends = [_tidy(middle - width), _tidy(middle + width)]
        # a small value between far ends is lost in their rounding; other programs leave what they do not know alone
        kept = {} if math.isclose(_middle(ends), middle, rel_tol=1e-12) else {"middle": middle}
        return {"type": "range", "range": ends, "correct": each.right, **kept}
    if item.kind is Kind.SHORT:
        return {"answer": each.text, "correct": each.right, "match_case": False}
    return {"answer": _shown(each.text, language), "correct": each.right}


def _shown(text: str, language: str) -> str:
    return _safe(markup.html(text, language))


def _safe(whole: str) -> str:
    """HTML in which jupyterquiz finds neither a dollar nor a link of its own making."""
    return whole.replace("$", "&#36;").replace("](", "]&#40;").replace("&lt;http", "&lt;&#104;ttp")


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) and abs(number) < 2**53 else number


def _middle(ends: list[float]) -> float:
    return _tidy(math.fsum(ends) / 2)


def _tidy(number: float) -> float:
    """Without the last digits that a sum of decimals leaves."""
    return float(f"{number:.12g}")


def _item(question: limits.Reader, id_: str) -> Item:
    kinds = {said: kind for kind, said in _TYPES.items()}
    said = question.get("type").text()
    if said not in kinds:
        raise question.get("type").wrong(f"one of {', '.join(kinds)}")
    kind = kinds[said]
    text, unit = forms.unasked(question.get("question").text(""))
    code = question.get("code").text("")
    whole = text + (f"\n\n```\n{entities.unescape(code)}\n```" if code else "")
    choices, why = [], ""
    for answer in question.get("answers").list():
        feedback = markup.markdown(answer.get("feedback").text(""))
        if answer.get("type").value == "default":
            why = feedback
        else:
            choices.append(_choice(kind, answer, feedback))
    if kind is Kind.SINGLE and sum(each.right for each in choices) > 1:
        kind = Kind.MULTIPLE
    return Item(id_, kind, whole, tuple(choices), "", "", why=why, unit=unit)


def _choice(kind: Kind, answer: limits.Reader, why: str) -> Choice:
    correct = answer.get("correct")
    if not isinstance(correct.value, bool):
        raise correct.wrong("true or false, without quotation marks")
    if kind is Kind.SHORT:
        return forms.choice(answer.get("answer").text(), correct.value, why)
    if kind is not Kind.NUMERIC:
        code = answer.get("code").text("")
        text = markup.markdown(answer.get("answer").text("")) or f"`{' '.join(code.split())}`"
        return forms.choice(text, correct.value, why)
    if isinstance(answer.get("range").value, list):
        ends = [each.number() for each in answer.get("range").list()]
        if len(ends) != 2 or not ends[0] <= ends[1]:
            raise answer.get("range").wrong("a lower and an upper end")
        kept = answer.get("middle")
        middle = _middle(ends) if kept.value is None else kept.number()
        if not ends[0] <= middle <= ends[1]:
            raise kept.wrong("a number between the two ends")
        width = _tidy((ends[1] - ends[0]) / 2)
        return forms.choice(forms.numeral(middle), correct.value, why, tolerance=width)
    return forms.choice(forms.numeral(answer.get("value").number()), correct.value, why)
