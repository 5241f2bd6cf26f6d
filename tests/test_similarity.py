"""similarity: a copy is found under other names, and what was given or is common is nobody's."""

import csv
import io
import re
import sys

import pytest
import toycourse
from classroom import AFFINE, SCALE, solution
from rich.console import Console

from autograder import build, course, similarity
from autograder.errors import InstructorError, OperatorError
from autograder.similarity import Request

pytest.importorskip("copydetect")

MINE = '''
class Tracker:
    """Remembers {a}."""

    def __init__(self, {a}, limit=10):
        self.{a}, self.limit, self.seen = {a}, limit, []

    def {b}(self, value):
        if len(self.seen) >= self.limit and value not in self.seen:
            self.seen = self.seen[-self.limit // 2 :] + [value * 2]
        for number, old in enumerate(self.seen):
            if old % 3 == 0 or number > 7:
                self.seen[number] = old + value  # {c}
        return sum(self.seen) / max(1, len(self.seen))
'''
OTHER = """
import math

def spread(values, weights):
    centre = sum(v * w for v, w in zip(values, weights)) / sum(weights)
    return math.sqrt(sum((v - centre) ** 2 for v in values))

while (n := len([])) < 0:
    print({"n": n, **{str(k): k // 2 for k in range(9)}}, end="", flush=True)
try:
    assert isinstance(spread, object), lambda x: x[::-1]
except (AssertionError, KeyError) as problem:
    raise SystemExit from problem
"""


@pytest.fixture
def root(tmp_path):
    root = toycourse.make(tmp_path)
    build.write(root, build.build(course.load(root, "toy")))
    return root


def hand_in(root, works):
    for name, text in works.items():
        (root / "class").mkdir(exist_ok=True)
        (root / "class" / f"{name}.py").write_text(text, "utf-8")


def mine(a="count", b="follow", c="a comment"):
    return solution(after=MINE.format(a=a, b=b, c=c))


def find(root, **more):
    return similarity.find(Request(root, (root / "class",), **more))


def named(findings):
    return [{pair.one.student, pair.other.student} for pair in findings.pairs]


def test_a_copy_with_other_names_and_comments_is_found_and_marked(root):
    hand_in(root, {"ada": mine(), "bo": mine("amount", "pursue", "no idea"), "cy": solution(after=OTHER)})
    findings = find(root)
    assert named(findings) == [{"ada", "bo"}] and findings.compared == 3
    (pair,) = findings.pairs
    assert pair.share > 0.95
    for side, name in ((pair.one, "count"), (pair.other, "amount")):
        code = "".join(text for text, _ in side.parts)
        marked = "".join(text for text, shared in side.parts if shared)
        assert f"def __init__(self, {name}, limit" in marked and "def scale(x, factor)" in code
        assert marked.rstrip().endswith("max(1, len(self.seen))") and len(marked) < 0.8 * len(code)


def test_what_was_given_and_what_half_of_a_class_wrote_is_nobodys(root):
    stub = (root / "assignments" / "toy" / "toy.py").read_text("utf-8")
    hand_in(root, {"ada": stub, "bo": stub + "\nx = 1\n"})
    findings = find(root, assignment="toy")
    assert (findings.pairs, findings.compared) == ((), 0)
    assert "ada: has too little code of its own." in findings.notes
    hand_in(root, {f"student{number}": solution(after=MINE) for number in range(11)})
    assert find(root).pairs == ()
    hand_in(root, {f"other{number}": solution(after=OTHER) for number in range(2)})
    assert named(find(root)) == [{"other0", "other1"}]


def test_a_student_may_be_like_herself_and_a_part_may_be_the_whole_of_another(root):
    hand_in(root, {"cy": mine() + OTHER})
    for name in ("first", "second"):
        (root / "class" / "ada").mkdir(exist_ok=True)
        (root / "class" / "ada" / f"{name}.py").write_text(mine(), "utf-8")
    findings = find(root)
    assert named(findings) == [{"ada", "cy"}] * 2
    cy = next(side for side in (findings.pairs[0].one, findings.pairs[0].other) if side.student == "cy")
    assert cy.share < 0.7 and findings.pairs[0].share == 1.0
    assert find(root, least=1.0).pairs and find(root).pairs == find(root, least=0.9).pairs


def test_what_cant_be_read_is_named_and_stops_nothing(root):
    hand_in(root, {"ada": mine(), "bo": mine(), "cy": "x", "dot": "", "broken": "def f(:\n    '''\n" + MINE})
    findings = find(root)
    assert {"ada", "bo"} in named(findings)
    assert any(note.startswith("dot: dot.py is empty.") for note in findings.notes)
    assert "cy: has too little code of its own." in findings.notes


def test_pages_and_table_are_written_and_nothing_in_them_acts(root):
    evil = "=1+1 <script>"
    said = MINE.replace("# {c}", "# {c}\u202e </mark><script>alert(2)</script>")
    hand_in(root, {evil: solution(after=said), "bo": solution(after=said)})
    findings = find(root)
    out = root / "similar"
    (out / "pairs").mkdir(parents=True)
    (out / "pairs" / "002.html").write_text("of an earlier run")
    similarity.write(out, findings)
    assert sorted(path.name for path in (out / "pairs").iterdir()) == ["001.html"]
    index, page = (path.read_text("utf-8") for path in (out / "index.html", out / "pairs" / "001.html"))
    assert "<script" not in index + page and "\u202e" not in page and "&lt;script&gt;alert(2)" in page
    assert page.count("<pre") == 2 and re.search(r"<mark>[^<]*def __init__", page)
    assert 'href="pairs/001.html"' in index and "default-src &#39;none&#39;" in page.replace("'", "&#39;")
    (row,) = csv.DictReader(io.StringIO((out / "similar.csv").read_text("utf-8")))
    assert {row["student"], row["other_student"]} == {"bo", f"'{evil}"}
    assert float(row["share"]) == findings.pairs[0].share and row["page"] == "pairs/001.html"
    console = Console(file=io.StringIO(), width=160)
    console.print(similarity.table(findings))
    assert "100 %" in console.file.getvalue() and "2 works compared, 1 pairs alike." in console.file.getvalue()


def test_many_pairs_are_shown_in_part_and_counted_whole(root, monkeypatch):
    monkeypatch.setattr(similarity, "MOST", 2)
    monkeypatch.setattr(similarity, "SHOWN", 1)
    hand_in(root, {name: mine() for name in "abc"})
    findings = find(root)
    assert (len(findings.pairs), findings.more) == (2, 1)
    console = Console(file=io.StringIO(), width=160)
    console.print(similarity.table(findings))
    assert "... and 2 more." in console.file.getvalue() and "3 pairs alike" in console.file.getvalue()
    similarity.write(root / "out", findings)
    assert "And 1 more, less alike." in (root / "out" / "index.html").read_text("utf-8")


def test_what_is_missing_says_what_to_do(root, monkeypatch, tmp_path):
    hand_in(root, {"ada": mine(), "bo": solution((SCALE, "return x"), (AFFINE, "return x"))})
    with pytest.raises(InstructorError, match=r"assignments/tay holds no stub, .*: run `autograder build tay` first"):
        find(root, assignment="tay")
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match=r"file/out can't be written \(Not a directory\)\. Give another folder"):
        similarity.write(tmp_path / "file" / "out", find(root))
    monkeypatch.setitem(sys.modules, "copydetect", None)
    with pytest.raises(OperatorError, match=r"copydetect is not installed here.*pip install 'attention-autograder\[si"):
        find(root)
