"""returned: work given back with its results, whatever the work is, as it is and in a real browser."""

import base64
import io
import json
import re
import shutil
from itertools import pairwise

import classroom
import nbformat
import pytest
from classroom import SCALE, solution
from click.testing import CliRunner
from test_typeset import ATTACKS

from autograder import batch, build, course, lastword, returned
from autograder.cli import main
from autograder.errors import InstructorError, OperatorError
from autograder.lastword import Place, Word
from autograder.returned import Request

for needed in ("nbconvert", "nh3", "latex2mathml"):
    pytest.importorskip(needed)

LATE = '\n[policy]\ndue = 2020-01-01T12:00:00Z\npenalty_per_day = "10 %"\ncap = "20 %"\n'
ADDS = (SCALE, "return x + factor")
BIDI = "\u202e"


def notebook(root, *edits, cells=()):
    """The notebook as somebody hands it in, with these changes of the solution, and cells at its end."""
    assignment = course.load(root, "toy")
    text = course.source(assignment)
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    made = nbformat.reads(build.filled(assignment, text), 4)
    made.cells += cells
    return nbformat.writes(made).encode()


def picture():
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (2000, 30), "teal").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def hostile_cells():
    wide = "| " + " | ".join(["column"] * 60) + " |\n|" + "---|" * 60
    outputs = [
        nbformat.v4.new_output("display_data", {"image/png": picture()}),
        nbformat.v4.new_output("display_data", {"text/html": f"<table><tr>{'<td>cell</td>' * 200}</tr></table>"}),
        nbformat.v4.new_output("stream", text="x" * 5000 + "\n" + f"abc{BIDI}def\n" * 1000),
    ]
    attacks = [nbformat.v4.new_markdown_cell(attack) for attack in ATTACKS]
    html = [nbformat.v4.new_output("display_data", {"text/html": attack}) for attack in ATTACKS]
    return [
        nbformat.v4.new_markdown_cell(wide),
        nbformat.v4.new_code_cell("# autograder: skip\n" + "y = " + "1 + " * 500 + "1", outputs=outputs),
        *attacks,
        nbformat.v4.new_code_cell("# autograder: skip\n0", outputs=html),
    ]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course whose class has handed in good and bad work, graded, and adjusted once."""
    root = classroom.quick(tmp_path_factory.mktemp("returned"))
    note = nbformat.v4.new_markdown_cell("Half of $\\sqrt{2}$ is *mine*.")
    works = {
        "ada": notebook(root, cells=[note]),
        "alan": notebook(root, ADDS),
        "eve": notebook(root, ADDS, cells=hostile_cells()),
        "kim": notebook(root, ("def scale(", "def scaled(")),
        "mel": solution(ADDS),
        "vera": b"\x89PNG nothing",
    }
    classroom.hand_in(root / "class", works)
    grade(root)
    place = Place(root / "out", None, root)
    lastword.adjust(place, Word("alan", "test_scale_keeps_the_dtype", 0.5, "Look <again>.", "Emmy", "By heart."))
    return root


def grade(root):
    request = batch.Request(root, "toy", (root / "class",), root / "out", workers=1, isolation="best")
    batch.grade(request, batch.Watcher(lambda _: None, lambda _: None))


@pytest.fixture(scope="module")
def pages(graded):
    given = returned.give_back(Request(graded, "toy", (graded / "class",), graded / "pages", graded / "out"))
    assert given.missed == () and len(given.pages) == 6
    return {id_: path.read_text("utf-8") for id_, path in given.pages.items()}


def panel(page, name):
    """The results beside one answer, as text."""
    (found,) = [
        part
        for part in re.findall(r"<aside class=\"panel\".*?</aside>", page, re.DOTALL)
        if f"<code>{name}</code>" in part
    ]
    return " ".join(re.sub(r"<[^>]+>", " ", found).split())


def test_results_stand_beside_each_answer(pages):
    page = pages["alan"]
    scale = panel(page, "scale")
    assert scale.startswith("Results: scale 2.5 of 5 points, 3 of 4 checks passed.")
    assert "Multiplies each number, whatever the shape. 0 / 2 Not right yet".lower() in scale.lower()
    assert "Likely cause scale adds the factor to each number instead of multiplying by it." in scale
    assert "5 of 5 points, 3 of 3 checks passed." in panel(page, "Affine")
    answer, results = page.index(">scale</span>"), page.index('aria-labelledby="step-1-title"')
    assert answer < results < page.index(">Affine</span>"), "the results stand right below the cell that is judged"


def test_the_work_is_there_as_it_was_handed_in(pages):
    assert "<em>mine</em>" in pages["ada"] and "<msqrt>" in pages["ada"]
    assert pages["ada"].count('class="code"') == 7 and 'id="cell-7"' in pages["ada"]
    assert "10</b><span> of 10 points" in pages["ada"]


def test_the_last_word_and_lateness_are_told(graded, tmp_path, pages):
    scale = panel(pages["alan"], "scale")
    assert "Emmy gave 0.5 of 1, where the check gave 1: Look &lt;again&gt;. By heart." in scale
    root = shutil.copytree(graded, tmp_path / "course")
    toml = root / "solutions" / "toy" / "assignment.toml"
    toml.write_text(toml.read_text("utf-8") + LATE, "utf-8")
    given = returned.give_back(Request(root, "toy", (root / "class" / "ada.ipynb",), tmp_path / "pages", root / "out"))
    assert "<b>2</b> taken away for lateness." in given.pages["ada"].read_text("utf-8")


def test_work_whose_names_are_gone_has_its_results_in_front(pages):
    page = pages["kim"]
    assert "No code cell of this file defines <code>scale</code>." in page
    assert (
        page.index("Results: <code>scale</code>") < page.index('id="notebook"') < page.index("<code>Affine</code></h")
    )


def test_a_module_is_shown_as_its_code(pages):
    assert "adds the factor" in panel(pages["mel"], "scale") and '<span class="k">def</span>' in pages["mel"]


def test_what_could_not_be_read_has_a_page_that_says_so(pages):
    assert "This file could not be read" in pages["vera"] and "is a PNG picture" in pages["vera"]
    assert 'id="notebook"' not in pages["vera"]


def test_nothing_of_the_hidden_tests_is_told(graded, pages):
    hidden = (graded / "solutions" / "toy" / "test_hidden.py").read_text("utf-8")
    secret = [line.strip() for line in hidden.splitlines() if len(line.strip()) > 25 and '"""' not in line]
    assert len(secret) > 20
    for page in pages.values():
        assert not [line for line in secret if line in page]
        assert "test_hidden" not in page and "-1.5" not in page


def test_a_file_that_was_not_graded_has_no_page(graded, tmp_path):
    classroom.hand_in(tmp_path / "class", {"ada": notebook(graded, ADDS), "zoe": notebook(graded)})
    given = returned.give_back(Request(graded, "toy", (tmp_path / "class",), tmp_path / "pages", graded / "out"))
    unknown = "this file, as it is, has no grade in the gradebook. Grade it, then do this again."
    assert given.pages == {} and given.missed == (f"ada: {unknown}", f"zoe: {unknown}")


def test_a_notebook_that_can_not_be_set_is_shown_as_its_code(graded, tmp_path):
    sources = [cell.source for cell in nbformat.reads(notebook(graded).decode(), 4).cells if cell.cell_type == "code"]
    cells = [{"cell_type": "code", "language": "python", "input": source, "outputs": [7]} for source in sources]
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}
    classroom.hand_in(tmp_path / "class", {"ada": json.dumps(old).encode()})
    given = returned.give_back(Request(graded, "toy", (tmp_path / "class",), tmp_path / "pages", graded / "out"))
    page = given.pages["ada"].read_text("utf-8")
    assert returned.PLAIN in page and "def scale(x, factor):" in page and "Results: <code>scale</code>" in page


def test_where_nothing_can_be_written_it_is_said(graded, tmp_path):
    (tmp_path / "pages").write_text("a file")
    with pytest.raises(OperatorError, match=r"pages.* can't be written \(.*\)\. Make room, or name another folder"):
        returned.give_back(Request(graded, "toy", (graded / "class",), tmp_path / "pages", graded / "out"))


def test_without_nbconvert_it_says_what_to_install(graded, tmp_path, monkeypatch):
    monkeypatch.setattr(returned, "NEEDED", ("nbconvert", "a_module_that_is_not_there"))
    with pytest.raises(
        InstructorError, match=r"needs a_module_that_is_not_there: pip install 'attention-autograder\[feed"
    ):
        returned.give_back(Request(graded, "toy", (graded / "class",), tmp_path / "pages", graded / "out"))


def test_the_command(graded, tmp_path):
    out = tmp_path / "pages"
    words = ["feedback", "toy", str(graded / "class"), "--gradebook", str(graded / "out"), "--out", str(out)]
    run = CliRunner().invoke(main, [*words, "--course", str(graded)])
    assert (run.exit_code, run.output) == (0, f"6 pages in {out}\n")
    classroom.hand_in(tmp_path / "class", {"zoe": notebook(graded)})
    words[2] = str(tmp_path / "class")
    run = CliRunner().invoke(main, [*words, "--course", str(graded)])
    assert run.exit_code == 1 and "zoe: this file, as it is, has no grade" in run.output
    assert f"0 pages in {out}" in run.output


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, graded, name, **setting):
    """The page in a tab that can tell what it tried. Everything but the file itself is a request too many."""
    tab = browser.new_context(**setting).new_page()
    tab.tried = []
    for event in ("dialog", "console", "pageerror", "popup"):
        tab.on(event, lambda found, event=event: tab.tried.append((event, str(found))))
    tab.on("request", lambda request: tab.tried.append(("request", request.url)))
    tab.goto((graded / "pages" / f"{name}.html").as_uri())
    return tab


@pytest.mark.parametrize("width", [375, 1400])
def test_hostile_work_does_nothing_in_a_browser_and_stays_in_its_place(browser, graded, pages, width):
    tab = opened(browser, graded, "eve", viewport={"width": width, "height": 800})
    tab.wait_for_timeout(200)
    tab.mouse.click(20, 20)
    tried = [(kind, what) for kind, what in tab.tried if not what.startswith(("data:image/", "file:"))]
    assert tried == []
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    astray = tab.evaluate("""() => [...document.querySelectorAll('.hers, .hers *')].filter(element => {
        const style = getComputedStyle(element)
        return ['fixed', 'absolute', 'sticky'].includes(style.position)
    }).length""")
    assert astray == 0
    assert tab.locator("aside.panel").count() == 2 and tab.locator(".hers [id]:not(section.code)").count() == 0
    tab.context.close()


CONTRAST = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number)
    const light = colour => colour.slice(0, 3).map(v => v / 255)
        .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0)
    const ground = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = numbers(getComputedStyle(at).backgroundColor)
            if (colour.length < 4 || colour[3] === 1) return colour
        }
        return [255, 255, 255]
    }
    const found = []
    for (const element of document.querySelectorAll('main *, header *, footer *')) {
        if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue
        const [one, two] = [light(numbers(getComputedStyle(element).color)), light(ground(element))]
        const ratio = (Math.max(one, two) + .05) / (Math.min(one, two) + .05)
        if (ratio < 4.5) found.push([element.tagName, element.className, ratio])
    }
    return found
}"""


@pytest.mark.parametrize(
    "setting",
    [{}, {"color_scheme": "dark"}, {"contrast": "more"}, {"contrast": "more", "color_scheme": "dark"}],
    ids=["light", "dark", "more contrast", "more contrast, dark"],
)
def test_all_text_stands_out_enough_to_be_read(browser, graded, pages, setting):
    tab = opened(browser, graded, "alan", **setting)
    assert tab.evaluate("document.querySelectorAll('main *').length") > 100
    assert tab.evaluate(CONTRAST) == []
    tab.context.close()


def test_a_screen_reader_finds_its_way(browser, graded, pages):
    tab = opened(browser, graded, "alan")
    assert tab.evaluate("document.documentElement.lang") == "en"
    for role, name in (
        ("main", None),
        ("banner", None),
        ("contentinfo", None),
        ("navigation", "Step by step"),
        ("complementary", "Results: scale"),
        ("region", "Your work"),
        ("region", "Code cell 2"),
        ("link", "Skip to the notebook"),
    ):
        assert tab.get_by_role(role, name=name, exact=bool(name)).count() == 1, (role, name)
    levels = [
        int(each[1]) for each in tab.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(e => e.tagName)")
    ]
    assert levels.count(1) == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    text = tab.locator("aside.panel").first.inner_text()
    assert "Not right yet" in text and "passed" in text, "no status is told by a colour or a sign alone"
    assert tab.locator("img:not([alt])").count() == 0
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "notebook"
    tab.context.close()
