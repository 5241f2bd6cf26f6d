import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from autograder import site
from autograder.records import Assignment, CheckResult, Grade, Limits, Mistake, Outcome, Status
from autograder.text import file_names

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=https://evil.example/x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "=1+1",
    'O\'Neil, Zoë "Zo"',
    "נועה לוי",
    "abc\u202egnp.exe\u2066",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "two\nlines",
    "A" * 10_000,
    "../../x",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!-- </style></title>",
    "con",
    ".hidden",
    "50%#?.html",
    "\ud800",
)

CHECKS = (
    ("test_agrees", "Agrees with the reference for any number of leading dimensions.", 3),
    ("test_sums", "The weights of every query sum to one.", 1),
    ("test_scale", "Keeps the spread of the scores when the width grows.", 2),
    ("test_mask", "Never reads a masked key, whatever it holds.", 3),
    ("test_empty", "Gives finite numbers and gradients when a query may look nowhere.", 2),
    ("test_permute", "Permuted keys and values change nothing.", 2),
    ("test_gradient", "Has the right gradient with respect to queries, keys and values.", 3),
    ("test_half", "Keeps the type of its input, also in half precision.", 1),
    ("test_arguments", "Leaves its arguments as they were.", 1),
    ("test_additive", "Additive attention learns from the weights it was given.", 2),
)

MISTAKES = (
    Mistake(
        "no-scale", "The scores are not divided by √d: the wider the vectors, the more one key takes it all.", (), ()
    ),
    Mistake(
        "softmax-over-queries",
        "The softmax runs over the queries: columns of the weights sum to one, not rows.",
        (),
        (),
    ),
    Mistake(
        "mask-inverted", "The mask is read the other way round: hidden keys get the weight, visible ones none.", (), ()
    ),
)

ASSIGNMENT = Assignment("a1_attention", "Attention", Path("a1"), 20, 90, "gentle", (), (), (), Limits(), MISTAKES, "v1")

FEEDBACK = {
    Status.FAILED: "Right without a mask, wrong with one.\n\nCompare the row sums: $\\sum_j w_{ij} = 1$.",
    Status.RAISED: "Your function raised ValueError in cell 4, line 7: not enough values to unpack.",
    Status.TIMED_OUT: "Used more than 10 seconds of CPU time. Is there a loop over the batch?",
    Status.OUT_OF_MEMORY: "Used more than 2 GB of memory.",
    Status.CRASHED: "The process that ran your code ended (signal 11).",
    Status.REFUSED: "Cell 3 calls scaled_dot_product_attention, which this assignment asks you to write.",
}


def grade(submission, student=None, lost=(), status=Outcome.GRADED, notes=(), isolation="namespaces", **more):
    """A grade in which the checks in `lost` (name → status, mistake) earned nothing."""
    lost = dict(lost)
    checks = []
    for name, title, points in CHECKS if status is Outcome.GRADED else ():
        how, mistake = lost.get(name, (Status.PASSED, None))
        earned = points if how is Status.PASSED else 0
        checks.append(CheckResult(name, title, earned, points, how, FEEDBACK.get(how, ""), mistake, "SECRET detail"))
    pending = status is Outcome.INTERNAL
    return Grade(
        submission=submission,
        student=submission if student is None else student,
        assignment="a1_attention",
        status=status,
        score=None if pending else sum(check.points for check in checks),
        max_score=None if pending else 20,
        isolation=isolation,
        device="cpu",
        seconds=0.51234,
        checks=tuple(checks),
        notes=notes,
        detail="SECRET detail",
        digest="SECRET digest",
        version="SECRET version",
        **more,
    )


def classroom():
    """About thirty grades as a class would give them, and then the hostile ones."""
    names = [
        "Ada",
        "Grace",
        "Alan",
        "Emmy",
        "Sofia",
        "Niels",
        "Chen",
        "Priya",
        "Omar",
        "Yuki",
        "Lena",
        "Tomás",
        "Aoife",
        "Björn",
        "Mei",
        "Kofi",
        "Ines",
        "Ravi",
    ]
    scale = dict.fromkeys(("test_agrees", "test_scale", "test_gradient"), (Status.FAILED, "no-scale"))
    mask = dict.fromkeys(("test_mask", "test_empty"), (Status.FAILED, "mask-inverted"))
    axis = dict.fromkeys(("test_sums", "test_permute", "test_mask"), (Status.FAILED, "softmax-over-queries"))
    stub = {name: (Status.RAISED, None) for name, *_ in CHECKS}
    unlucky = {
        "test_empty": (Status.TIMED_OUT, None),
        "test_half": (Status.OUT_OF_MEMORY, None),
        "test_additive": (Status.CRASHED, None),
        "test_arguments": (Status.REFUSED, None),
    }
    stories = ({}, scale, {}, mask, {"test_empty": (Status.FAILED, None)}, axis, scale | mask, {}, unlucky)
    found = [grade(name.lower(), name, stories[n % len(stories)]) for n, name in enumerate(names)]
    found += [
        grade("blank", "Blank Stub", stub, notes=("The notebook is as it was handed out.",)),
        grade("dora__attention", "dora", scale),
        grade("dora__attention_2", "dora", notes=("Cell 4 failed: SyntaxError: '(' was never closed (line 3).",)),
        grade(
            "broken",
            "Broken File",
            status=Outcome.UNREADABLE,
            notes=("broken.ipynb is no notebook: line 1 is not JSON.",),
        ),
        grade("later", "Our Fault", status=Outcome.INTERNAL),
    ]
    evil = "<b>x</b>\x1b[31m\n\n=cmd() {{ 7*7 }} \u202e https://evil.example/ javascript:alert(1) $x$"
    for n, name in enumerate(HOSTILE):
        wrong = CheckResult("test_agrees", name, 0, 20, Status.FAILED, evil, name if n % 2 else evil, "SECRET detail")
        bad = grade(name, notes=(name, evil))
        found.append(Grade(**{field: getattr(bad, field) for field in Grade.__slots__} | {"checks": (wrong,)}))
    return found


def written(tmp_path, grades, counting=None):
    site.render(tmp_path, ASSIGNMENT, grades, {g.submission for g in grades} if counting is None else counting)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.words = [], [], set(), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids |= {value for name, value in attrs if name == "id"}

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(tmp_path, submission):
    return Page((tmp_path / "pages" / f"{file_names([submission])[submission]}.html").read_text(encoding="utf-8"))


def test_nothing_of_a_stranger_acts_on_any_page(tmp_path):
    written(tmp_path, classroom())
    known = {"a", "aside", "b", "bdi", "body", "code", "dd", "details", "div", "dl", "dt", "fieldset", "h1", "h2", "h3"}
    known |= {
        "head",
        "header",
        "html",
        "i",
        "input",
        "label",
        "legend",
        "li",
        "main",
        "meta",
        "ol",
        "p",
        "path",
        "rect",
    }
    known |= {"section", "small", "span", "style", "summary", "svg", "symbol", "table", "tbody", "td", "th", "thead"}
    known |= {"title", "tr", "ul", "use"}
    pages = [tmp_path / "index.html", *(tmp_path / "pages").iterdir()]
    assert len(pages) == 1 + len(classroom())
    for path in pages:
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert set(page.tags) <= known
        assert not any(name.startswith("on") or name == "style" for _, name, _ in page.attributes)
        assert page.tags.count("style") == page.tags.count("title") == 1
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert "49" not in page.text
        assert "\ufffd" not in text


def test_every_link_leads_to_a_file_or_a_place_on_the_page(tmp_path):
    written(tmp_path, classroom())
    for path in [tmp_path / "index.html", *(tmp_path / "pages").iterdir()]:
        page = Page(path.read_text(encoding="utf-8"))
        for _, name, value in page.attributes:
            if name not in ("href", "src", "xlink:href", "action", "data", "srcset"):
                continue
            assert name == "href"
            if value.startswith("#"):
                assert value[1:] in page.ids
            else:
                assert re.fullmatch(r"pages/[^/:?#]+\.html", value)
                assert (tmp_path / unquote(value)).is_file()
        assert not re.search(r"url\(|@import|http-equiv=.refresh", path.read_text(encoding="utf-8"))


def test_the_policy_allows_our_own_style_and_nothing_else(tmp_path):
    text = written(tmp_path, classroom())
    page = Page(text)
    policy = next(v for t, n, v in page.attributes if t == "meta" and n == "content" and "default-src" in v)
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'", policy
    )


def test_a_students_page_holds_nothing_for_the_instructor_and_nobody_else(tmp_path):
    written(tmp_path, classroom())
    for path in (tmp_path / "pages").iterdir():
        assert "SECRET" not in path.read_text(encoding="utf-8")
    assert "SECRET" not in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Emmy" not in page_of(tmp_path, "ada").text


def test_a_students_page_names_status_points_feedback_and_cause(tmp_path):
    written(tmp_path, classroom())
    text = page_of(tmp_path, "grace").text
    assert "12 of 20 points" in text
    assert "Keeps the spread of the scores when the width grows." in text
    assert "not right yet" in text and "passed" in text
    assert MISTAKES[0].says in text and "no-scale" not in text
    assert "Explains 3 checks below" in text
    assert "$\\sum_j w_{ij} = 1$" in text
    text = page_of(tmp_path, "omar").text
    assert "used too much memory" in text and "Used more than 2 GB of memory." in text


@pytest.mark.parametrize(
    ("misconception", "said"),
    [
        ("no-scale", MISTAKES[0].says),
        ("no-scale+mask-inverted", f"Two things at once. {MISTAKES[0].says} And: {MISTAKES[2].says}"),
        ("no-scale|mask-inverted", f"One of two things. Either: {MISTAKES[0].says} Or: {MISTAKES[2].says}"),
        ("no-scale|unknown {}", "no-scale|unknown {}"),
        ("A sentence + another | one.", "A sentence + another | one."),
    ],
)
def test_a_known_mistake_is_told_in_its_sentence(misconception, said):
    lost = {"test_mask": (Status.FAILED, misconception), "test_empty": (Status.FAILED, misconception)}
    (cause,) = site.causes(ASSIGNMENT, grade("a", lost=lost))
    assert (cause.says, len(cause.checks)) == (said, 2)


def test_every_status_has_words_and_a_mark(tmp_path):
    for status in Status:
        written(tmp_path, [grade("one", lost={"test_mask": (status, None)})])
        page = page_of(tmp_path, "one")
        assert site.WORDS[status] in page.text
        assert f"#{status}" in {value for tag, name, value in page.attributes if tag == "use"}


def test_the_class_page_counts_what_counts(tmp_path):
    scale = {"test_scale": (Status.FAILED, "no-scale")}
    grades = [grade("d__1", "dora", scale), grade("d__2", "dora"), grade("e", "emmy", scale)]
    text = Page(written(tmp_path, grades, counting={"d__2", "e"})).text
    assert "Graded 2 of 2" in text
    assert "Full marks 1 of 2" in text
    assert "does not count" in text
    assert "1 student: " + MISTAKES[0].says in text
    assert "1 passed · 1 not right yet" in text


def test_the_hardest_check_comes_first_and_what_is_pending_counts_for_nothing():
    grades = [
        grade("a", lost={"test_mask": (Status.RAISED, None), "test_half": (Status.INTERNAL, None)}),
        grade("b"),
        grade("c", lost={"test_mask": (Status.FAILED, None)}),
    ]
    first, *rest = site.hardness(grades)
    assert (first.title, first.passed, first.judged) == (CHECKS[3][1], 1, 3)
    assert first.counts == ((Status.PASSED, 1), (Status.FAILED, 1), (Status.RAISED, 1))
    half = next(entry for entry in rest if entry.title == CHECKS[7][1])
    assert (half.passed, half.judged) == (2, 2)


def test_unreadable_and_pending_rows_are_shown_with_their_reason(tmp_path):
    text = Page(written(tmp_path, classroom())).text
    assert "Needs your attention" in text
    assert "broken.ipynb is no notebook: line 1 is not JSON." in text
    assert "A fault of ours: it costs no point." in text
    assert "The score is pending" in page_of(tmp_path, "later").text
    assert "This file could not be read" in page_of(tmp_path, "broken").text


@pytest.mark.parametrize(
    ("level", "warned"), [("none", True), ("no-open", True), ("self", False), ("namespaces", False)]
)
def test_weak_isolation_is_warned_of(tmp_path, level, warned):
    text = written(tmp_path, [grade("a", isolation=level)])
    assert f"isolation <b>{level}</b>" in text
    assert ("Graded without full isolation" in text) is warned
    assert ("Graded without full isolation" in page_of(tmp_path, "a").text) is warned


def test_an_empty_class_has_a_page(tmp_path):
    assert "No submissions." in written(tmp_path, [])


def test_a_class_of_pending_grades_has_a_page(tmp_path):
    assert "pending" in written(tmp_path, [grade("a", status=Outcome.INTERNAL)])


def test_pages_do_not_depend_on_order_or_time(tmp_path):
    grades = classroom()
    one, two = tmp_path / "one", tmp_path / "two"
    written(one, grades)
    slower = [Grade(**{f: getattr(g, f) for f in Grade.__slots__} | {"seconds": g.seconds + 1}) for g in grades]
    written(two, slower[::-1])
    files = sorted(path.relative_to(one) for path in one.rglob("*.html"))
    assert files == sorted(path.relative_to(two) for path in two.rglob("*.html"))
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)


def test_a_thousand_students_take_seconds(tmp_path):
    scale = {"test_scale": (Status.FAILED, "no-scale")}
    grades = [grade(f"s{n:04}", f"Student {n}", scale if n % 3 else {}) for n in range(1000)]
    began = time.process_time()
    text = written(tmp_path, grades)
    assert time.process_time() - began < 15
    assert len(text) < 3_000_000


def test_a_browser_shows_the_page(tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed")
    written(tmp_path, classroom())
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    address = (tmp_path / "index.html").as_uri()
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [chromium, *flags, profile, "--dump-dom", address], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Most common mistakes" in Page(done.stdout).text
