"""Questions in a terminal and on a page: formulas can be read, and each direction keeps to itself."""

import pytest
import quizroom

from autograder.quiz import key, terminal, typesetting, words


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"\frac{QK^\top}{\sqrt{d_k}}", "QKᵀ/√dₖ"),
        (r"\alpha_{ij} = \operatorname{softmax}_j(e_{ij})", "αᵢⱼ = softmaxⱼ(eᵢⱼ)"),
        (r"x^2 + x^{10}", "x² + x¹⁰"),
        (r"e^{-x/2}", "e^(-x/2)"),
        (r"\sin(pos / 10000^{2i/d})", "sin(pos / 10000^(2i/d))"),
        (r"d_{\text{model}} = 512", "d_model = 512"),
        (r"\hat{y} \in \mathbb{R}^{n \times d}", "ŷ ∈ ℝ^(n × d)"),
        (r"\max(0, xW_1 + b_1)", "max(0, xW₁ + b₁)"),
        (r"a \le b \cdot c \approx 3", "a ≤ b · c ≈ 3"),
        (r"\left( \frac{1}{2} \right)", "( 1/2 )"),
        (r"\log_2 p", "log₂ p"),
        ("x", "x"),
        ("{" * 50, ""),
        ("\\", ""),
        (r"\frac{1", "1/"),
    ],
)
def test_formulas_on_one_line(tex, shown):
    assert terminal.formula(tex) == shown


def test_markdown_loses_its_signs_and_code_stays():
    said = words.load("en")
    text = "The **bold** and *slanted* `a*b*c`, see [this](https://x.org), $x_1$.\n\n```python\n# code\n```"
    assert terminal.plain(text, said) == "The bold and slanted a*b*c, see this, x₁.\n\n    # code"


def test_hebrew_keeps_formulas_and_code_together():
    shown = terminal.plain("הציון `x[:, 1]` הוא $a_1 + b$", words.load("he"))
    assert shown == "\u200fהציון \u2066x[:, 1]\u2069 הוא \u2066a₁ + b\u2069"


@pytest.mark.parametrize("language", ["en", "he"])
def test_every_kind_is_shown_with_what_there_is_to_choose_from(tmp_path, language):
    (dealt,) = quizroom.sheets(quizroom.course(tmp_path / "course"), "ada", language=language)
    said = words.load(language)
    for number, item in enumerate(dealt.quiz.items, 1):
        text = terminal.question(dealt, number, said)
        assert all(terminal.plain(choice.match or choice.text, said).strip("\u200f") in text
                   for choice in item.choices if item.kind not in ("numeric", "short"))  # fmt: skip


def test_the_instructor_sees_sheet_and_key(tmp_path):
    root = quizroom.course(tmp_path / "course")
    shown = key.show(root, "toy_quiz", "ada", 1, "en")
    (dealt,) = quizroom.sheets(root, "ada")
    assert shown.count("✓") == 1 + 2 + 1 + 2 + 3 + 4
    assert dealt.quiz.items[2].choices[0].text + " ± 1% units" in shown
    assert "[credit 0.5]" in shown and "[mistake no-scale]" in shown and "scaled_score in draws.py" in shown


def test_html_of_markdown_and_formulas():
    found = typesetting.html("What is $x_1^2$ in `a<b`?\n\n$$y$$\n\n<script>alert(1)</script>")
    assert "<math" in found and 'dir="ltr" alttext="x₁²"' in found and 'display="block"' in found
    assert '<code dir="ltr">a&lt;b</code>' in found and "<script" not in found
    assert typesetting.inline("just **this**") == "just <strong>this</strong>"
    assert "$5 and $6" in typesetting.inline("costs $5 and $6")


@pytest.mark.parametrize(
    "tex", ["\\frac{", "\\begin{matrix}", "^", "_", "<img src=x onerror=alert(1)>", "\\unknown{a}", "&<\"'"]
)
def test_what_is_no_formula_harms_nothing(tex):
    found = typesetting.formula(tex)
    assert "<img" not in found and found


def test_a_language_without_words_has_english_ones_in_its_own_direction():
    assert words.load("fr").direction == "ltr" and words.load("ar").direction == "rtl"
    assert words.load("fr")("mark.right") == "Right." and words.load("he")("mark.right") == "נכון."
    assert list(words.known()) == ["en", "he"]


def _keys(table, above=""):
    for name, value in table.items():
        yield from _keys(value, f"{above}{name}.") if isinstance(value, dict) else [f"{above}{name}"]


def test_every_word_is_there_in_every_language_with_the_same_blanks():
    import re
    import tomllib

    english = tomllib.loads((words.FOLDER / "en.toml").read_text("utf-8"))
    for language in words.known():
        other = tomllib.loads((words.FOLDER / f"{language}.toml").read_text("utf-8"))
        assert sorted(_keys(other)) == sorted(_keys(english))
        for name in _keys(english):
            section, _, word = name.partition(".")
            texts = [table[section][word] if word else table[section] for table in (english, other)]
            blanks = [sorted(set(re.findall(r"\{\w+\}", text))) for text in texts]
            assert blanks[0] == blanks[1], name
