"""What axe-core, the checker of accessibility that browsers' own tools are built on, finds wrong with our pages."""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = Path(sys.prefix) / "peers" / "node_modules" / "axe-core" / "axe.min.js"


@contextmanager
def violations():
    """Has a function that opens a page and says what is wrong: a sentence for each rule that is broken."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("chromium is not installed")
    if not SOURCE.exists():
        pytest.skip("axe-core is not installed")

    def found(path, **setting):
        tab = browser.new_context(bypass_csp=True, **setting).new_page()
        tab.goto(path.as_uri())
        tab.evaluate(SOURCE.read_text("utf-8"))
        results = tab.evaluate("axe.run()")
        tab.context.close()
        assert results["passes"], "it looked at the page"
        return [
            f"{path.name}: {rule['help']}: {node['html'][:200]}"
            for rule in results["violations"]
            for node in rule["nodes"]
        ]

    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        browser.close()
