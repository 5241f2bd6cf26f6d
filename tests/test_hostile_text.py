"""A class whose names, cells and outputs attack whoever reads about them, graded by the command itself."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from classroom import scale, solution

from autograder.gradebook import Gradebook
from autograder.progress import JsonLines

TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J\x1b[31m"
BIDI = "\u202e\u2066"
NAMES = (
    b"<script>alert(1)<",
    b'"><img src=x onerror=alert(1)>',
    b"' onmouseover='alert(1)",
    b'=HYPERLINK("http:evil","x")',
    b"+cmd|' !A0",
    b"-rf",
    b"@SUM(1)",
    b"\t=1+1",
    b"x;=1+1",
    b"\xef\xbc\x9d1",
    TITLE.encode() + b"t",
    CLEAR.encode() + b"c",
    b"\xc2\x9b31mc1",
    b"two\nlines\rthree",
    f"{BIDI}gnp.exe".encode(),
    "zero\u200bwidth\u2028sep".encode(),
    b"..%2f..%2fx",
    b"con",
    b"{{ 7 * 7 }}{% raw %}",
    b"[bold red]x[ bold]",
    b"\xff\xfe\xfa",
    b"A" * 200,
    b" ",
    b"]]><!-- <",
    b"&lt;b&gt;&#60;",
    b"javascript:alert(1)",
    b"score: 10",
    b"__proto__",
)
EVIL = f"</code><script>alert(1)</script> `b` {BIDI} {TITLE}{CLEAR} =1+1 {{{{ 7 * 7 }}}} \x0c\x9b31m"
LINE = f'raise ValueError("{EVIL}")  # {EVIL}'
WORKS = {
    "raises": scale(LINE),
    "prints": solution(before=f"print({EVIL!r})\nimport sys\nprint({EVIL!r}, file=sys.stderr)"),
    "names": scale(f"raise type({EVIL!r}, (Exception,), {{}})({EVIL!r})"),
    "returns": scale(f"return type({EVIL!r}, (), {{}})()"),
    "fails": solution(before=f"raise type({EVIL!r}, (Exception,), {{}})({EVIL!r})  # {EVIL}"),
    "calls": scale(f"import torch\nreturn torch.nn.functional.linear(x, x)  # {EVIL}"),
    "ends": scale(f"import os, sys\nprint({EVIL!r}, flush=True)\nos.abort()  # {EVIL}"),
    "no name": f"# %%\n# {EVIL}\nprint({EVIL!r})\n",
}
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
TAGS = set(
    "a aside b bdi body code dd details div dl dt fieldset h1 h2 h3 head header html i input label legend li main meta "
    "ol p path rect section small span style summary svg symbol table tbody td th thead title tr ul use".split()
)


@pytest.fixture(scope="module")
def graded(quick_course, tmp_path_factory):
    """Where the command left its report on the class, and what it wrote to a terminal."""
    root = tmp_path_factory.mktemp("hostile")
    folder, out = root / "class", root / "out"
    folder.mkdir()
    honest = solution().encode()
    for name in NAMES:
        place = os.path.join(os.fsencode(folder), name)
        os.mkdir(place)
        with open(os.path.join(place, b"a.py"), "wb") as file:
            file.write(honest)
    for name, work in WORKS.items():
        (folder / name).mkdir()
        (folder / name / "a.py").write_text(work, "utf-8")
    (folder / "files").mkdir()
    for number, name in enumerate(NAMES):
        with open(os.path.join(os.fsencode(folder / "files"), name[:80] + b"%d.ipynb" % number), "wb") as file:
            file.write(b"no notebook")
    with zipfile.ZipFile(folder / "packed.zip", "w") as packed:
        packed.writestr(f"{CLEAR}<b>/a.py", honest)
        packed.writestr("../../out/evil.py", honest)
        packed.writestr(f"/{EVIL[:60]}.py", honest)
        packed.writestr("=1+1/a.ipynb", b"x")
    command = [sys.executable, "-m", "autograder.cli", "grade", "toy", str(folder), "--out", str(out)]
    command += ["--course", str(quick_course), "--isolation", "best", "--workers", "2"]
    return out, terminal(command)


def terminal(command):
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", "LINES": "50"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        written += data
    os.close(ours)
    assert process.wait(60) == 0, written[-3000:]
    return written.decode("utf-8")


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.words.append(data)


def test_every_one_of_them_has_a_row(graded):
    out, _ = graded
    with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    seen = [name for name in NAMES if not name.startswith(b".")]  # a hidden folder is nobody's
    assert len(rows) == 2 * len(seen) + len(WORKS) + 4
    assert {len(row) for row in rows} == {len(header)}
    assert len({row[0] for row in rows}) == len(rows)
    honest = [row for row in rows if row[3:6] == ["10", "10", "graded"]]
    assert len(honest) == len(seen) + 3
    for row in rows:
        for text in row:
            assert text.isprintable()
            for part in re.split(r"[;,|\t]", text):
                assert not part.lstrip().startswith(tuple("=+-@＝＋－＠")), row


def test_no_file_name_is_more_than_a_name(graded):
    out, _ = graded
    assert sorted(path.name for path in out.parent.iterdir()) == ["class", "out"]
    known = {"grades.csv", "gradebook.sqlite", "index.html", "results", "instructor", "pages"}
    assert {path.name for path in out.iterdir()} - {"gradebook.sqlite-wal", "gradebook.sqlite-shm"} == known
    for folder in ("results", "instructor", "pages"):
        for path in (out / folder).iterdir():
            assert path.name.isprintable() and path.name[0] not in "-.= +@" and len(os.fsencode(path.name)) < 255
            assert path.is_file() and not path.is_symlink() and not re.search(r"[<>\"'&:|*?\\;\x1b]", path.name)


def test_no_text_acts_in_a_result(graded):
    out, _ = graded
    paths = [*(out / "results").iterdir(), *(out / "instructor").iterdir()]
    assert len(paths) > 2 * len(NAMES)
    for path in paths:
        text = path.read_text("utf-8")
        assert json.loads(text)["submission"]
        assert not CONTROLS.search(text) and "\t" not in text


def test_no_tag_and_no_address_of_a_stranger_is_on_a_page(graded):
    out, _ = graded
    for path in [out / "index.html", *(out / "pages").iterdir()]:
        text = path.read_text("utf-8")
        assert not CONTROLS.search(text), path
        page = Page(text)
        assert set(page.tags) <= TAGS and page.tags.count("title") == page.tags.count("style") == 1
        for name, value in page.attributes:
            assert not name.startswith("on") and name not in (
                "style",
                "src",
                "srcset",
                "action",
                "formaction",
                "srcdoc",
            )
            if name == "href":
                local = re.fullmatch(r"#[\w.-]+|pages/[^/:?#]+\.html", value)
                assert local and (value[0] == "#" or (out / unquote(value)).is_file()), value
        assert "49" not in re.sub(r"\d{3,}|0\.49|149", "", " ".join(page.words))


def test_a_quoted_line_shows_what_it_hides(graded):
    out, _ = graded
    result = json.loads((out / "results" / "raises__a.json").read_text("utf-8"))
    (said,) = {check["feedback"] for check in result["checks"] if "scale" in check["name"] and check["feedback"]}
    assert said.startswith("Your code raised ValueError in code cell")
    assert "⟨U+202E⟩" in said and said.count("`") == 2 and said.endswith("`.")
    page = (out / "pages" / "raises__a.html").read_text("utf-8")
    shown = re.search(r"<code>(raise ValueError.*?)</code>", page)[1]
    assert "&lt;script&gt;" in shown and "⟨U+202E⟩" in shown and "\x1b" not in shown


def test_the_instructor_reads_what_was_printed_and_nothing_acts(graded):
    out, _ = graded
    detail = json.loads((out / "instructor" / "prints__a.json").read_text("utf-8"))["detail"]
    assert "<script>alert(1)</script>" in detail and "⟨U+202E⟩" in detail and "owned" not in detail


def test_the_log_has_one_object_a_line_and_nothing_else(graded):
    out, _ = graded
    stream = io.StringIO()
    with Gradebook.open(out / "gradebook.sqlite") as book, JsonLines(stream) as log:
        grades = book.latest("toy")
        for grade in grades:
            log.graded(replace(grade, submission=f"{grade.submission}{EVIL}"))
    assert stream.getvalue().isascii() and not CONTROLS.search(stream.getvalue())
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == ["graded"] * len(grades) + ["finished"]


def test_a_terminal_is_told_colours_and_nothing_else(graded):
    _, written = graded
    assert "ValueError" not in written and "packed" in written
    plain = re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[12]?K|\x1b\[\d*A|\r(?=\n|\x1b|$)|\r", "", written)
    assert not CONTROLS.search(plain), CONTROLS.findall(plain)
    assert "\x1b]" not in written and "\x1b[2J" not in written
