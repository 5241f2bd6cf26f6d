"""scrutiny: which calls the source itself gives away, and what becomes of a submission that lives by one."""

import base64
import time

import classroom
import pytest
import torch
import torch.nn.functional
from classroom import lost, solution

from autograder.records import Cell
from autograder.scrutiny import search, without

CALLS = ("torch.nn.functional.scaled_dot_product_attention", "torch.nn.MultiheadAttention", "torch.nn.Transformer")
OPERATORS = ("aten::scaled_dot_product_attention", "aten::_native_multi_head_attention", "aten::mm.out")
HEAD = "import importlib, sys, torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def cells(*sources):
    return tuple(Cell(number, source) for number, source in enumerate(sources, 1))


def found(*sources):
    return [(mention.name, mention.cell, mention.line) for mention in search(cells(*sources), (*CALLS, *OPERATORS))]


USES = {
    "by its path": "torch.nn.functional.scaled_dot_product_attention(q, k, v)",
    "by a short name": "F.scaled_dot_product_attention(q, k, v)",
    "by another path": "torch._C._nn.scaled_dot_product_attention(q, k, v)",
    "of another module": "nn.modules.activation.MultiheadAttention(4, 2)",
    "by getattr": "getattr(F, 'scaled_dot_product_attention')(q, k, v)",
    "in two pieces": "getattr(F, 'scaled_dot_product' + '_attention', None)(q, k, v)  # scaled_dot_product_attention",
    "by vars": "vars(F)['scaled_dot_product_attention'](q, k, v)",
    "by dict": "F.__dict__['scaled_dot_product_attention'](q, k, v)",
    "by its operator": "torch.ops.aten.scaled_dot_product_attention(q, k, v)",
    "by an overload": "torch.ops.aten.scaled_dot_product_attention.default(q, k, v)",
    "by sys.modules": "sys.modules['torch.nn.functional'].scaled_dot_product_attention(q, k, v)",
    "by import_module": "importlib.import_module('torch.nn').functional.scaled_dot_product_attention(q, k, v)",
    "by __import__": "__import__('torch').nn.functional.scaled_dot_product_attention(q, k, v)",
    "a class": "nn.MultiheadAttention(4, 2)",
    "a method": "nn.MultiheadAttention.forward(self, x, x, x)",
    "in an argument": "print([F.scaled_dot_product_attention(q, k, v)])",
    "in a question": "isinstance(nn.MultiheadAttention(4, 2), nn.Module)",
    "in an f-string": "f'{F.scaled_dot_product_attention(q, k, v)}'",
    "kept": "[f := F.scaled_dot_product_attention]",
}


@pytest.mark.parametrize("name", USES)
def test_a_use_is_found_with_its_cell_and_line(name):
    places = found(HEAD, f"def f(q, k, v):\n    # here\n    return {USES[name]}\n")
    assert [place[1:] for place in places] == [(2, 3)]
    assert places[0][0] in (*CALLS, *OPERATORS)


@pytest.mark.parametrize(
    "source",
    [
        "from torch.nn.functional import scaled_dot_product_attention as f\nf(1)",
        "from torch.nn import (\n    Linear,\n    MultiheadAttention,\n)\nMultiheadAttention(1)",
        "from torch.nn.functional import *\nscaled_dot_product_attention(1)",
        "from torch.nn import MultiheadAttention\nclass Mine(MultiheadAttention): pass",
        "class Mine(nn.MultiheadAttention):\n    pass",
        "G = nn\nH = G.functional\nH.scaled_dot_product_attention(1)",
        "%matplotlib inline\n!ls\nx = !ls\nF.scaled_dot_product_attention?\nF.scaled_dot_product_attention(1)",
        "%%time\nF.scaled_dot_product_attention(1)",
        "%time y = F.scaled_dot_product_attention(1)",
        "def f():\n    import torch.nn.functional as g\n    def h():\n        return g.scaled_dot_product_attention(1)",
        "def f():\n    global g\n    g = F\ng.scaled_dot_product_attention(1)",
        "try:\n    pass\nexcept F.Error:\n    F.scaled_dot_product_attention(1)",
        "é = F.scaled_dot_product_attention(\n    1,\n)",
        "x = 1\r\ny = F.scaled_dot_product_attention(1)\rz = 2",
    ],
)
def test_other_ways_of_writing_are_found(source):
    assert len(found(HEAD, source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "# F.scaled_dot_product_attention(q, k, v)",
        '"""Like F.scaled_dot_product_attention(q, k, v)."""',
        "text = 'torch.nn.functional.scaled_dot_product_attention'",
        "isinstance(x, nn.MultiheadAttention)",
        "isinstance(x, (nn.Linear, nn.MultiheadAttention))",
        "type(x) is nn.MultiheadAttention",
        "def f(x: nn.MultiheadAttention) -> nn.Transformer:\n    y: nn.Transformer = x",
        "from torch.nn.functional import scaled_dot_product_attention",
        "from torch.nn import MultiheadAttention, Transformer",
        "def scaled_dot_product_attention(q, k, v):\n    return q\nscaled_dot_product_attention(1, 2, 3)",
        "class MultiheadAttention(nn.Module): pass\nm = MultiheadAttention()",
        "import mine\nmine.scaled_dot_product_attention(1)",
        "class A:\n    def MultiheadAttention(self): return self.MultiheadAttention()",
        "def f(torch, F):\n    return F.scaled_dot_product_attention(1)",
        "print(F.scaled_dot_product_attention.__doc__)\nhelp(F.scaled_dot_product_attention)",
        "F.scaled_dot_product_attention = None",
        "hasattr(F, 'scaled_dot_product_attention')",
        "nn.TransformerEncoder",
        "F.scaled_dot_product_attention(",
        "x = mm.out",
    ],
)
def test_a_mention_is_no_use(source):
    assert found(HEAD, source) == []


def test_a_cell_that_is_not_run_is_not_read():
    assert search((Cell(1, HEAD), Cell(2, "F.scaled_dot_product_attention(1)", skip=True)), CALLS) == ()


@pytest.mark.parametrize(
    "source",
    [
        "if old:\n    F = None\nF.scaled_dot_product_attention(1)",
        "F.scaled_dot_product_attention = mine\nF.scaled_dot_product_attention(1)",
        "setattr(F, 'scaled_dot_product_attention', mine)\nF.scaled_dot_product_attention(1)",
        "f'{F.scaled_dot_product_attention(1)}'",
    ],
)
def test_what_may_be_her_own_is_told_but_not_cut_out(source):
    given = cells(HEAD, source)
    (mention,) = search(given, CALLS)
    assert not mention.sure
    assert without(given, [mention]) == given


@pytest.mark.parametrize(
    "source",
    [
        "r = F.scaled_dot_product_attention(x, x, x)",
        "r = 'é', F.scaled_dot_product_attention(x,\n    x, x), F.scaled_dot_product_attention(x, x, x)",
        "f = (F\n    .scaled_dot_product_attention)\nr = f(x, x, x)",
        "class Mine(nn.MultiheadAttention):\n    def __init__(self):\n        nn.Module.__init__(self)\nr = Mine()",
        "from torch.nn.functional import scaled_dot_product_attention as f; r = f(x, x, x)",
        "from torch.nn.functional import (\n    relu,\n    scaled_dot_product_attention as f)  # here\nr = f(x, x, x)",
        "from torch.nn.functional import *\nr = scaled_dot_product_attention(x, x, x)",
        "import functools\nr = functools.partial(getattr(F, 'scaled_dot_product_attention'), x, x)(x)",
    ],
)
def test_what_is_cut_out_raises_in_its_place(source):
    given = cells(HEAD, source + "\nafter = 1")
    _, bare = without(given, search(given, CALLS))
    assert bare.source.count("\n") == given[1].source.count("\n")
    names = {"x": torch.ones(1, 1, 2, 4)}
    exec(HEAD, names)
    with pytest.raises(RuntimeError, match=r"not allowed in this assignment: torch\.nn"):
        exec(bare.source, names)
    assert "r" not in names


HARD = {
    "brackets": "(" * 190 + ")" * 190,
    "many brackets": "(" * 60_000,
    "signs": "-" * 30_000 + "1",
    "attributes": "a" + ".a" * 30_000,
    "calls": "a" + "()" * 30_000,
    "subscripts": "a" + "[0]" * 20_000,
    "sum": "1" + "+1" * 30_000,
    "lambdas": "lambda:" * 8_000 + "1",
    "not": "not " * 15_000 + "1",
    "choice": "1 if 1 else " * 5_000 + "1",
    "elif": "if a: pass\n" + "elif a: pass\n" * 4_500,
    "power": "1" + "**1" * 20_000,
    "getattrs": "getattr(" * 24 + "a" + ",'x')" * 24,
    "many attributes": "\n".join("a" + ".a" * 900 for _ in range(30)),
    "many calls": "\n".join("a" + "()" * 450 for _ in range(60)),
    "many names": "\n".join(f"a{n} = a{n + 1}" for n in range(4000)),
    "aliases": "\n".join(f"a{n} = a{n + 1}.b" for n in range(3000)) + "\na3000 = F",
    "mentions": "F.scaled_dot_product_attention\n" * 2000,
    "megabytes": "x = [1, 2, 3]\n" * 140_000,
    "deep and large": "(" * 199 + "\n" * 70_000,
    "null": "\0",
    "half": "'\\ud800'",
    "strings": "f'{f\"{a}\"}'\n" * 5000,
    "blocks": "".join(" " * depth + "if a:\n" for depth in range(99)) + " " * 99 + "pass",
    "integer": "9" * 60_000,
    "stars": "f(" + "**{" * 20 + "}" * 20 + ")",
}


@pytest.mark.parametrize("name", HARD)
def test_no_source_takes_long_or_brings_the_grader_down(name):
    began = time.process_time()
    search(cells(HEAD, f"F.scaled_dot_product_attention\n{HARD[name]}\n"), CALLS)
    assert time.process_time() - began < 4  # what a process apart may take is its own limit


def test_in_more_source_than_anybody_writes_a_name_is_told():
    given = cells(HEAD, HARD["megabytes"] + "F.scaled_dot_product_attention(1)")
    (mention,) = search(given, CALLS)
    assert (mention.cell, mention.line, mention.sure) == (2, 140_001, False)
    assert without(given, [mention]) == given


def test_a_clean_submission_costs_next_to_nothing():
    text = "def scaled_dot_product_attention(q, k, v):\n    return (q @ k.mT).softmax(-1) @ v\n" * 20
    given = cells(*[text] * 20)
    search(given, CALLS)
    began = time.process_time()
    for _ in range(20):
        assert search(given, (*CALLS, *OPERATORS)) == ()
    assert (time.process_time() - began) / 20 < 0.002


PRODUCT = "product = x @ self.weight.transpose(0, 1)"
CALL = "product = torch.nn.functional.linear(x, self.weight)"
UNDO = base64.b64encode(b"import torch; torch.nn.functional.linear = torch.ops.aten.linear").decode()
UNDONE = f"import base64\nexec(base64.b64decode('{UNDO}'))"
WAYS = {
    "own work": solution(before="import torch.nn.functional as F\n# F.linear(x, w)\ntext = 'F.linear(x)'"),
    "never called": solution((PRODUCT, f"{PRODUCT}\n        if x is None:\n            {CALL}")),
    "scratch cell": solution(after="torch.nn.functional.linear(torch.ones(2), torch.ones(2, 2))"),
    "given up": solution((PRODUCT, f"try:\n            {CALL}\n        except RuntimeError:\n            {PRODUCT}")),
    "called": solution((PRODUCT, CALL)),
    "undone": solution((PRODUCT, CALL), before=UNDONE),
    "undone and caught": solution(
        (PRODUCT, f"try:\n            {CALL}\n        except RuntimeError:\n            product = x"), before=UNDONE
    ),
    "undone, not needed": solution((PRODUCT, f"{PRODUCT}\n        if x is None:\n            {CALL}"), before=UNDONE),
    "her own": solution(
        (PRODUCT, CALL), before="import torch\ntorch.nn.functional.linear = lambda x, w: x @ w.transpose(0, 1)"
    ),
}
AGREES = "test_affine_agrees_with_the_reference"


@pytest.fixture(scope="module")
def grades(pool, tmp_path_factory):
    return classroom.grade(pool, tmp_path_factory.mktemp("ways"), WAYS)


@pytest.mark.parametrize(
    "name", ["own work", "never called", "scratch cell", "given up", "undone, not needed", "her own"]
)
def test_what_needs_no_forbidden_call_costs_no_point(grades, name):
    assert lost(grades[name]) == {}
    assert ("not allow" in grades[name].detail) == (name != "own work")


@pytest.mark.parametrize("name", ["called", "undone", "undone and caught"])
def test_a_forbidden_call_is_refused_also_where_the_worker_was_tampered_with(grades, name):
    grade = grades[name]
    assert lost(grade)[AGREES] == "refused"
    assert "test_affine_refuses_another_width" not in lost(grade)
    feedback = next(check.feedback for check in grade.checks if check.name == AGREES)
    assert "`torch.nn.functional.linear` may not be called in code cell" in feedback
    assert f"`{CALL}" in feedback
    assert "`torch.nn.functional.linear` in code cell" in grade.detail
