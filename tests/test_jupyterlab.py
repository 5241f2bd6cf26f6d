"""The student notebooks in JupyterLab itself: opened in a browser, answered by typing, run, and looked at."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder import course, master, selfcheck

ROOT = Path(__file__).parent.parent
NAME = "a1_attention"
FIGURE = "Every word may look everywhere"
TOKEN = "a-token-of-this-test"
PLAIN = {"@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"}}
QUIET = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False}
}

RIGHT = """\
def masked_softmax(scores, mask=None):
    if mask is None:
        return scores.softmax(dim=-1)
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return weights * mask"""
WRONG = RIGHT.replace("dim=-1", "dim=-2")
ATTENTION = """\
def scaled_dot_product_attention(query, key, value, mask=None):
    weights = masked_softmax(query @ key.transpose(-2, -1) / math.sqrt(query.size(-1)), mask)
    return weights @ value, weights"""

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("jupyterlab")
chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if chromium is None:
    pytest.skip("chromium is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A student's folder: the notebook as it is published, and the one with `grader` in a folder of its own."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "assignments" / NAME, folder / "published")
    (folder / "graded").mkdir()
    if shutil.which("otter", path=Path(sys.executable).parent):
        assigned = master.assign(course.load(ROOT, NAME), [], tmp_path_factory.mktemp("otter"))
        (folder / "graded" / f"{NAME}.ipynb").write_text(assigned.notebook, "utf-8")
    return folder


@contextmanager
def jupyterlab(desk, home):
    """Its address. It has settings, data and kernels of its own, and is ended with all that it began."""
    for path, settings in (PLAIN | QUIET).items():
        file = home / "settings" / path
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(settings))
    folders = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **folders, "JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={desk}"]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        *options,
        f"--IdentityProvider.token={TOKEN}",
        "--expose-app-in-browser",
    ]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=desk, stdout=log, stderr=log)
        try:
            yield address(server, home)
        finally:
            server.terminate()
            server.wait(30)


def address(server, home):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        for file in (home / "runtime").glob("jpserver-*.json"):
            return json.loads(file.read_text())["url"]
        time.sleep(0.1)
    raise AssertionError((home / "log").read_text()[-2000:])


@pytest.fixture(scope="module")
def lab(desk, tmp_path_factory):
    """A browser's window on JupyterLab."""
    with jupyterlab(desk, tmp_path_factory.mktemp("home")) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": 1300, "height": 1000})
        window.address = address
        yield window
        browser.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Where screenshots are left to be looked at."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def opened(lab, path):
    lab.goto(f"{lab.address}lab/workspaces/{path.partition('/')[0]}/tree/{path}?token={TOKEN}")
    lab.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    lab.get_by_text(re.compile(r"\| Idle")).first.wait_for(timeout=60_000)


def cell(lab, text):
    """The one code cell with this in it."""
    found = lab.locator(".jp-CodeCell", has=lab.locator(".jp-InputArea-editor", has_text=text))
    assert found.count() == 1, (text, found.count())
    return found


def type_answer(lab, name, answer):
    place = cell(lab, f"def {name}(").locator(".cm-content")
    place.scroll_into_view_if_needed()
    place.click()
    lab.keyboard.press("ControlOrMeta+a")
    lab.keyboard.insert_text(answer)
    assert place.inner_text().split() == answer.split()


def run_all(lab):
    lab.get_by_role("menuitem", name="Run", exact=True).click()
    lab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    lab.wait_for_function(
        """() => {
            const marks = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(mark => mark.textContent)
            return marks.length > 5 && marks.every(mark => /^\\[\\d+\\]:$/.test(mark))
        }""",
        timeout=120_000,
    )
    marks = lab.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
    assert len(marks) == len(set(marks)), "every cell has run, and once"


def said(lab, text):
    """What the cell with this in it has shown."""
    return cell(lab, text).locator(".jp-OutputArea-output").all_inner_texts()


def look(lab, pictures, name, text):
    cell(lab, text).locator(".jp-OutputArea-output").last.scroll_into_view_if_needed()
    lab.screenshot(path=pictures / f"{name}.png")


@pytest.mark.slow
def test_the_published_notebook_is_answered_and_run(lab, desk, pictures):
    opened(lab, f"published/{NAME}.ipynb")
    tests = "def test_each_row_is_shared_out"

    type_answer(lab, "masked_softmax", WRONG)
    run_all(lab)
    shown = "".join(said(lab, tests))
    assert "✗ Each query shares out exactly 1 among the keys." in shown and "should sum to 1" in shown
    assert "… The answer is the pair (context, weights)" in "".join(said(lab, "def test_context_and_weights_come_back"))
    assert "This cell waits for your code." in "".join(said(lab, FIGURE))
    look(lab, pictures, "published-wrong", tests)

    type_answer(lab, "masked_softmax", RIGHT)
    type_answer(lab, "scaled_dot_product_attention", ATTENTION)
    run_all(lab)
    for source in (tests, "def test_context_and_weights_come_back"):
        shown = "".join(said(lab, source))
        assert "✓" in shown and "✗" not in shown and "…" not in shown, shown
    assert_drawn(lab)
    look(lab, pictures, "published-figure", FIGURE)

    lab.keyboard.press("ControlOrMeta+s")
    assert_saved(desk / "published" / f"{NAME}.ipynb", "masked_fill(~mask")
    report = selfcheck.check(desk / "published" / f"{NAME}.ipynb")
    verdicts = {result.title: result.passed for result in report.results}
    assert verdicts["Each query shares out exactly 1 among the keys."] and not report.passed  # a class is to be written


def test_grader_check_shows_what_is_right_and_what_is_wrong(lab, desk, pictures):
    if not (desk / "graded" / f"{NAME}.ipynb").exists():
        pytest.skip("Otter-Grader is not installed")
    opened(lab, f"graded/{NAME}.ipynb")

    type_answer(lab, "masked_softmax", WRONG)
    run_all(lab)
    shown = "".join(said(lab, 'grader.check("q1")'))
    assert "q1 results:" in shown and "Each query shares out exactly 1 among the keys." in shown
    assert "should sum to 1" in shown and "passed!" not in shown
    look(lab, pictures, "grader-wrong", 'grader.check("q1")')

    type_answer(lab, "masked_softmax", RIGHT)
    type_answer(lab, "scaled_dot_product_attention", ATTENTION)
    run_all(lab)
    assert "q1 passed!" in "".join(said(lab, 'grader.check("q1")'))
    assert "q2 passed!" in "".join(said(lab, 'grader.check("q2")'))
    assert "q3 results:" in "".join(said(lab, 'grader.check("q3")'))
    look(lab, pictures, "grader-right", 'grader.check("q1")')
    assert_drawn(lab)
    look(lab, pictures, "grader-figure", FIGURE)


def assert_drawn(lab):
    picture = cell(lab, FIGURE).locator(".jp-OutputArea-output img")
    assert picture.count() == 1 and picture.evaluate("image => image.naturalWidth") > 500


def assert_saved(path, text):
    deadline = time.monotonic() + 20
    while text not in path.read_text("utf-8") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert text in path.read_text("utf-8")
