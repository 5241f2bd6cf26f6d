"""A small quiz with every kind of item and every awkward text, in two languages, and what generates more of them."""

from dataclasses import replace
from datetime import datetime

from hypothesis import strategies as st

from autograder.quiz.records import Choice, Item, Kind, Quiz, Shown


def key(text, why="So it is.", **more):
    return Choice(text, True, why, credit=1.0, **more)


def no(text, why="Not so.", **more):
    return Choice(text, False, why, **more)


def item(id_, kind, text, *choices, **more):
    return Item(id_, Kind(kind), text, choices, **{"objective": "Say it.", "source": "A paper, section 3.2", **more})


AWKWARD = (
    'A $x_i < y$ & "q" ]]> = ~ # { } : \\alpha -> `a<b` **b** [l](https://x.org/a_b) 50 % $\\frac{1}{\\sqrt{d_k}}$'
)
BLOCKS = """Two parts:

```python
x = {1: '#'}

print(x) # ~
```

- one $a_1$
- two

| a | b |
| --- | --- |
| $x$ | 2 |"""
PLAIN = Quiz(
    "sample",
    "A sample / with a slash",
    "en",
    (
        item("one-key", "single", "How many?", no("1"), key("2"), no("3", credit=0.5), why="Count again."),
        item("awkward", "single", AWKWARD, key(AWKWARD, AWKWARD), no("`x`", "No:\n\n" + BLOCKS), points=2.5),
        item("blocks", "multiple", BLOCKS, key("$a$"), no("b"), key("c {1}"), no("d"), shuffle=False),
        item(
            "number",
            "numeric",
            "How much?",
            key("0.25", tolerance=0.005),
            no("-31000", tolerance=0.02, relative=True),
            no("1e-07"),
            why="Neither of the known mistakes.",
            unit="MiB",
        ),
        item("word", "short", "Which?", key("softmax"), key("soft = max: {x}"), no("sig#moid ~ *"), why="Another."),
        item(
            "pairs",
            "matching",
            "Match $q$.",
            key("query", match="asks"),
            key("$k$", match="is asked: a~b"),
            key("", match="no"),
        ),
        item("steps", "ordering", "Order.", key("First, $a$"), key("then = b"), key("last"), why="In order."),
    ),
    assignment="toy",
    shown=Shown.AT_ONCE,
    attempts=2,
    minutes=7,
    due=datetime.fromisoformat("2027-01-31T23:59:00+01:00"),
)
HEBREW = replace(
    PLAIN,
    name="hebrew",
    title="דוגמה קצרה",
    language="he",
    items=(
        item(
            "weights",
            "single",
            "מה סכום המשקלים $\\sum_j \\alpha_{ij}$ של שאילתה?",
            key("תמיד $1$", "כי `softmax` מחלק בסכום.", mistake=""),
            no("מספר המפתחות", "זה סכום ־ אחר: {לא} ~ זה #."),
            objective="לומר מה הסכום.",
        ),
        item("number", "numeric", "כמה?", key("64"), unit="פרמטרים", why="לא נכון."),
        item("pairs", "matching", "התאימו.", key("שאילתה", match="שואלת"), key("מפתח", match="עונה")),
    ),
)

WORDS = """weights קשב $x_1$ $\\{a\\}$ **bold** *it* = ~ # { } : ]]> <b> &amp; " ' \\ \\n -> %50% $ [x] ![ _a_b_ 1. - +
漢字 — // :: é | * ^^ \\("""
PIECES = [*WORDS.split(), "`code {x}`", "100 $", "a\n\nb", "a\nb"]
texts = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map(" ".join).map("w {}".format)
plain = st.lists(st.sampled_from([each for each in PIECES if "\n" not in each]), max_size=4).map(
    lambda said: " ".join(["w", *said])
)
numbers = st.floats(-1e9, 1e9).map(lambda value: float(f"{value:.6g}"))
tolerances = st.sampled_from([0.0, 0.005, 1.0, 12.5])


@st.composite
def items(draw, number=0):
    kind = draw(st.sampled_from(list(Kind)))
    texts_of = draw(st.lists(plain, min_size=2, max_size=4, unique_by=str.casefold))
    whys = [draw(texts) for _ in texts_of]
    if kind is Kind.NUMERIC:
        values = draw(st.lists(numbers, min_size=2, max_size=4, unique=True))
        choices = [Choice(repr(each), place == 0, why, tolerance=draw(tolerances), credit=float(place == 0)) for place, (each, why) in enumerate(zip(values, [*whys, *whys], strict=False))]  # fmt: skip  # noqa: E501
    elif kind is Kind.SHORT:
        choices = [Choice(each, place == 0, why, credit=float(place == 0)) for place, (each, why) in enumerate(zip(texts_of, whys, strict=True))]  # fmt: skip  # noqa: E501
    elif kind is Kind.MATCHING:
        choices = [key(f"{each} left", why, match=f"{each} {place}") for place, (each, why) in enumerate(zip(texts_of, whys, strict=True))]  # fmt: skip  # noqa: E501
    elif kind is Kind.ORDERING:
        choices = [key(each, why) for each, why in zip(texts_of, whys, strict=True)]
    else:
        right = draw(st.integers(0, len(texts_of) - 1))
        rights = {right} | ({(right + 1) % len(texts_of)} if kind is Kind.MULTIPLE else set())
        choices = [key(each, why) if place in rights else no(each, why) for place, (each, why) in enumerate(zip(texts_of, whys, strict=True))]  # fmt: skip  # noqa: E501
    return Item(
        f"item-{number}",
        kind,
        draw(texts),
        tuple(choices),
        draw(plain),
        draw(plain),
        why=draw(texts),
        shuffle=draw(st.booleans()),
    )


@st.composite
def quizzes(draw):
    language = draw(st.sampled_from(["en", "he"]))
    made = tuple(draw(items(number)) for number in range(draw(st.integers(1, 3))))
    return Quiz("made", "Made up", language, made)
