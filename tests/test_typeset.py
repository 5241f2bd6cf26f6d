"""typeset: cells of every kind as HTML, whatever is in them."""

import base64
import io
import json
import re
import time
from html.parser import HTMLParser

import nbformat
import pytest

from autograder import typeset
from autograder.typeset import Piece, Typesetter

for needed in ("nbconvert", "nh3", "latex2mathml"):
    pytest.importorskip(needed)

FORBIDDEN = {"script", "style", "svg", "iframe", "object", "embed", "form", "input", "button", "link", "meta", "base"}
LATEX_ONLY = "\\sqrt{d}"


def cells(*made):
    notebook = nbformat.v4.new_notebook(cells=list(made))
    return typeset.pieces(nbformat.writes(notebook).encode())


def prose(text, **more):
    (piece,) = cells(nbformat.v4.new_markdown_cell(text, **more))
    assert_harmless(piece.html)
    return piece.html


def outputs(*given):
    (piece,) = cells(nbformat.v4.new_code_cell("x", outputs=list(given)))
    for html in piece.outputs:
        assert_harmless(html)
    return piece.outputs


def shown(**data):
    made = nbformat.v4.new_output("display_data", {key.replace("_", "/"): value for key, value in data.items()})
    return "".join(outputs(made))


class Reader(HTMLParser):
    """Every tag and attribute, as a browser would see them."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]


def assert_harmless(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not FORBIDDEN & set(reader.tags), html
    for tag, name, value in reader.attributes:
        assert not name.startswith("on") and name not in ("style", "id", "name", "target", "srcset", "xlink:href"), html
        if name == "href":
            assert tag == "a" and re.match(r"https?://|mailto:", value), html
        if name == "src":
            assert re.fullmatch(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+", value), html
        if name == "class":
            assert tag in ("span", "code") and set(value.split()) <= typeset.COLOURED | {"inline", "block", "formula"}


def picture(width=3, height=2, kind="PNG"):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><animate onbegin=alert(1) /></svg>",
    '<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
    "[x](javascript:alert(1)) [y](data:text/html,<script>alert(1)</script>) [z](vbscript:x) [w](java\tscript:alert(1))",
    "<a href='jav&#x09;ascript:alert(1)'>x</a> <a href='//evil.example'>y</a> <a href='../other.html'>z</a>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<style>main { display: none } @import url(https://evil.example/x.css);</style>",
    "<div style='position: fixed; inset: 0' class='panel good' id='step-1'>20 of 20</div>",
    "</div></section></main></body></html><h1>Mine</h1>",
    "<!-- <main> --><plaintext>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><object data=x></object><embed src=x>",
    "<meta http-equiv=refresh content='0; url=https://evil.example'><base href=https://evil.example>",
    "<form action=https://evil.example><input name=password><button>Go on</button></form>",
    "$\\href{javascript:alert(1)}{x}$ $\\style{position:fixed}{x}$ $\\text{<img src=x onerror=alert(1)>}$",
    '![$x$](https://evil.example/pixel.png) ![" onerror="alert(1)](x)',
    "![a](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+) ![b](data:text/html;base64,PHNjcmlwdD4=)",
    "```html\n<script>alert(1)</script>\n```\n`<b onclick=alert(1)>`",
    '``` "><script>alert(1)</script>\nx\n```',
    "```mermaid\n<img src=x onerror=alert(1)>\n```",
    "<b><i><u>" * 300,
    "{{ 7 * 7 }} {% raw %} {{ self }}",
    "x0n x1n $a$",
)


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_nothing_in_prose_or_outputs_acts(attack):
    assert "49" not in prose(attack)
    shown(text_html=attack)
    shown(text_markdown=attack)
    shown(text_latex=attack)
    error = nbformat.v4.new_output("error", ename=attack, evalue=attack, traceback=[attack])
    outputs(nbformat.v4.new_output("stream", text=attack), error)
    for piece in cells(nbformat.v4.new_raw_cell(attack), nbformat.v4.new_code_cell(attack)):
        assert_harmless(piece.html)


def test_prose_reads_as_prose():
    html = prose("# Title\n\n*soft* and `a < b`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[link](https://x.org)")
    assert "<h3>Title</h3>" in html and "<em>soft</em>" in html and "<code>a &lt; b</code>" in html
    assert "<td>1</td>" in html and '<a href="https://x.org" rel="noopener noreferrer nofollow">link</a>' in html


def test_signs_of_a_formula_are_signs_and_what_hides_in_one_is_spelled_out():
    shown = typeset.formula("e_{ij} = -v_a^\\top (\\alpha + \\beta), \\sin x", "block")
    assert all(f">{sign}</m" in shown for sign in "=−⊤(α+β),")
    assert "&" not in shown and "sin" in shown
    hidden = typeset.formula("\\text{x&#x202E;y<b>}", "inline")
    assert "x⟨U+202E⟩y&lt;b&gt;" in hidden


def test_formulas_become_mathml_and_what_is_none_stays_as_typed():
    html = prose(f"Divide by ${LATEX_ONLY}$.\n\n$$\\frac{{a}}{{b}}$$\n\n$\\left( x$")
    assert '<span class="inline formula"><math' in html and "<msqrt>" in html and "<mfrac>" in html
    assert '<code class="formula">\\left( x</code>' in html or html.count("<math") == 3
    assert typeset.formula("x" * 3000, "inline") == f'<code class="formula">{"x" * 3000}</code>'


def test_code_is_coloured_and_numbered():
    made = cells(nbformat.v4.new_markdown_cell("x"), nbformat.v4.new_code_cell("def f():\n    return 1  # one"))
    assert [(piece.kind, piece.number) for piece in made] == [("markdown", 0), ("code", 1)]
    assert '<span class="k">def</span>' in made[1].html and made[1].outputs == ()


def test_what_hides_or_reorders_is_spelled_out():
    assert "⟨U+202E⟩" in prose("abc\u202edef") and "⟨U+202E⟩" in prose("&#x202e;")
    (piece,) = cells(nbformat.v4.new_code_cell("a = '\u202e'"))
    assert "⟨U+202E⟩" in piece.html


def test_pictures_are_shown_if_they_are_pictures():
    assert f"data:image/png;base64,{picture()}" in shown(image_png=picture())
    assert "data:image/jpeg;base64," in shown(image_jpeg=picture(kind="JPEG"))
    assert "<img" not in shown(image_png="AAAA", text_plain="plain")
    assert "<img" not in shown(image_png=picture(7000, 7000), text_plain="plain")
    html = prose("![mine](attachment:a.png)", attachments={"a.png": {"image/png": picture()}})
    assert f'src="data:image/png;base64,{picture()}"' in html and 'alt="mine"' in html


def test_of_several_forms_the_best_that_does_nothing_is_shown():
    assert "<table>" in shown(text_html="<table><tr><td>1</td></tr></table>", text_plain="plain")
    assert shown(text_html="<div></div><script>draw()</script>", text_plain="Figure()") == "<pre>Figure()</pre>"
    assert "can't be shown" in shown(application_javascript="alert(1)")


def test_what_is_too_much_is_cut_and_said():
    (long,) = outputs(nbformat.v4.new_output("stream", text="line\n" * 5000))
    assert "more lines are left out." in long and len(long) < 5000
    (wide,) = outputs(nbformat.v4.new_output("stream", text="x" * 10**6))
    assert "980000 more characters are left out." in wide
    many = outputs(*[nbformat.v4.new_output("stream", text="x", name=f"s{n}") for n in range(200)])
    assert len(many) == 51 and "150 more outputs are left out." in many[-1]
    big = base64.b64encode(base64.b64decode(picture()) + b"\0" * 4 * 2**20).decode()
    assert "a picture of 4.2 MB is left out." in shown(image_png=big)
    assert "more characters are left out." in prose("word " * 50_000)


def test_old_formats_are_read():
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": [
            {"cell_type": "heading", "level": 1, "source": ["Old"], "metadata": {}},
            {"cell_type": "code", "language": "python", "input": "x = 1", "outputs": [], "metadata": {}},
        ], "metadata": {}}],
    }  # fmt: skip
    first, second = typeset.pieces(json.dumps(old).encode())
    assert "<h3>Old</h3>" in first.html and second.number == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1]", b'{"cells": 3}', b"\xff\xfe", b'{"nbformat": 4, "cells": [{"cell_type": 7}]}', b"[" * 200_000],
    ids=range(7),
)
def test_what_is_no_notebook_gives_nothing_and_the_next_is_typeset(typesetter, data):
    assert typesetter.typeset(data) is None
    assert typesetter.typeset(notebook("1")) == (
        Piece("code", 1, '<div><pre><span></span><span class="mi">1</span>\n</pre></div>'),
    )


@pytest.fixture(scope="module")
def typesetter():
    with Typesetter() as typesetter:
        yield typesetter


def notebook(source):
    return json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": source}]}).encode()


def test_strange_cells_and_outputs_are_passed_over(typesetter):
    strange = [
        {"cell_type": "code", "source": ["a", 1], "outputs": [7, {"output_type": "display_data", "data": []}]},
        {"cell_type": "code", "source": ["a = ", "1"], "outputs": {"x": 1}},
        {"cell_type": "markdown", "source": None, "attachments": [1]},
        {"cell_type": "code", "source": "x", "outputs": [{"output_type": "error", "traceback": 3, "ename": "E"}]},
        {"cell_type": "code", "source": "\ud800"},
    ]
    found = typesetter.typeset(json.dumps({"nbformat": 4, "cells": strange}).encode())
    assert found is None or len(found) == len(strange)


def test_what_takes_too_long_is_ended_and_the_next_is_typeset():
    with Typesetter(seconds=6) as typesetter:
        typesetter.typeset(notebook("x"))  # it has begun
        began = time.monotonic()
        slow = {"cell_type": "markdown", "source": "[" * 50_000 + "`" * 50_000}
        slow_cells = [dict(slow) for _ in range(400)]
        assert typesetter.typeset(json.dumps({"nbformat": 4, "cells": slow_cells}).encode()) is None
        assert time.monotonic() - began < 20
        assert typesetter.typeset(notebook("x")) is not None
