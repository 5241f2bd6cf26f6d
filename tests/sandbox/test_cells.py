"""Cells as students write them run as they do in Jupyter, and one that fails takes nothing with it but itself."""

import inspect
import linecache
import os
import sys
import time

import IPython
import IPython.core.display_functions
import IPython.display
import pytest
import torch
from torch.utils.data import DataLoader

from autograder.sandbox import cells


@pytest.fixture
def runner(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(linecache, "cache", {**linecache.cache})
    monkeypatch.setenv("MPLBACKEND", "Agg")
    for module, name in (
        (IPython, "get_ipython"),
        (IPython.core.getipython, "get_ipython"),
        (IPython.display, "display"),
        (IPython.core.display_functions, "display"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.chdir(tmp_path)
    return cells.Runner(str(tmp_path))


@pytest.fixture
def stand_ins(monkeypatch):
    answered = ("otter", "google", "nest_asyncio")
    for name in [name for name in sys.modules if name.split(".")[0] in answered]:
        monkeypatch.delitem(sys.modules, name)
    before = {*sys.modules}
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(DataLoader, "__init__", DataLoader.__init__)
    monkeypatch.setattr(torch, "compile", torch.compile)
    cells.install_stand_ins()
    yield
    for name in {*sys.modules} - before:
        if name.split(".")[0] in answered:
            del sys.modules[name]


def run(runner, *sources):
    """Runs the cells in order; none may fail."""
    for number, source in enumerate(sources, 1):
        error = runner.run(number, source)
        assert error is None, f"cell {number}: {error.traceback}"
    return runner.namespace


def fail(runner, source, number=1):
    error = runner.run(number, source)
    assert error is not None
    return error


def test_names_stay_for_later_cells(runner):
    assert run(runner, "x = 1", "def f():\n    return x + 1", "y = f()")["y"] == 2


def test_cells_run_as_main(runner):
    names = run(
        runner,
        "import sys\nhere = sys.modules['__main__'].__dict__ is globals()",
        "if __name__ == '__main__':\n    seen = True",
    )
    assert names["here"] and names["seen"]
    assert sys.modules["__main__"] is runner.module and names is runner.namespace


@pytest.mark.parametrize(
    "source",
    [
        "%matplotlib inline\nx = 1",
        "%load_ext autoreload\n%autoreload 2\nx = 1",
        "%config InlineBackend.figure_format = 'retina'\nx = 1",
        "%%time\nx = 1",
        "%%time\n\n# remark\nx = 1",
        "\n\n%%capture\nprint(3)\nx = 1",
        "%time x = 1",
        "%timeit -n 1 1 / 0\nx = 1",
        "!pip install einops\nx = 1",
        "%pip install einops\nx = 1",
        "files = !ls\nx = 1 + len(files) + len(files.s)",
        "x = 1\nx?",
        "x = 1\n?print\nprint??",
        "for x in range(2):\n    %time x\n    !echo {x}",
        "   x = 0\n   x = 1",
        ">>> x = 1",
        "x = 0\nasync def f():\n    return 1\nx = await f()",
        "import asyncio\nawait asyncio.sleep(0)\nx = 1",
        "%env SOME_NAME=3\nimport os\nx = int(os.environ['SOME_NAME']) - 2",
        "get_ipython().run_line_magic('matplotlib', 'inline')\nx = 1",
        "get_ipython().system('ls')\nget_ipython().magic('pip list')\nx = 1",
        "if 'IPKernelApp' not in get_ipython().config:\n    x = 1",
        "from IPython import get_ipython\nget_ipython().run_cell('x = 1')",
        "from IPython.display import display, HTML, clear_output\ndisplay(HTML('a'))\nclear_output()\nx = 1",
        "handle = display(3, display_id=True)\nhandle.update(4)\nx = 1",
        "%unheard_of thing\nx = 1",
        "%%unheard_of thing\nx = 1",
        "%cd /content\nx = 1",
    ],
)
def test_what_ipython_allows_is_allowed(runner, source, capfd):
    assert run(runner, source)["x"] == 1


@pytest.mark.parametrize(
    "source",
    [
        "%%bash\nrm -rf x",
        "%%html\n<b>",
        "%%timeit\n1 / 0",
        "%%unheard_of\na b c",
        "pip install x",
        "!exit 1",
        "",
        "# x",
    ],
)
def test_what_is_not_python_does_nothing(runner, source, capfd):
    run(runner, source)


def test_a_note_tells_what_was_not_run(runner, capfd):
    run(runner, "!pip install einops", "%%bash\nls", "%pip list", "!pip install einops")
    assert runner.notes == [
        "`pip install einops` was not run: the grader's environment is fixed.",
        "%%bash in code cell 2 was not run: only Python is run while grading.",
        "`pip list` was not run: the grader's environment is fixed.",
    ]
    assert "[autograder] `pip install einops` was not run" in capfd.readouterr().out
    run(runner, *(f"!echo {n}" + "x" * 1000 for n in range(200)))
    assert len(runner.notes) == cells.NOTES_CAP and max(map(len, runner.notes)) <= cells.NOTE_CAP


def test_capture_keeps_what_was_printed(runner):
    names = run(runner, "%%capture out\nprint('seen')\nx = 1", "text = out.stdout\nout.show()")
    assert names["text"] == "seen\n" and names["x"] == 1


def test_files_that_a_cell_writes_can_be_imported_and_run(runner, tmp_path):
    names = run(
        runner,
        "%%writefile model_of_mine.py\nimport math\nwidth = 3\n",
        "%%writefile -a model_of_mine.py\nheight = 4\n",
        "import model_of_mine\narea = model_of_mine.width * model_of_mine.height",
        "%run model_of_mine.py\nperimeter = 2 * (width + height)",
    )
    assert names["area"] == 12 and names["perimeter"] == 14
    sys.modules.pop("model_of_mine")


def test_the_last_expression_is_kept(runner):
    names = run(runner, "3", "x = _ + 1", "x;", "None", "y = _, __, Out[1], In[1]")
    assert names["y"] == (4, 3, 3, "3")


def test_an_underscore_of_the_students_own_is_left_alone(runner):
    assert run(runner, "_, x = 7, 8", "x", "y = _")["y"] == 7


def test_sources_can_be_inspected(runner):
    names = run(runner, "x = 1\n\ndef f():\n    return 'here'", "import inspect\ntext = inspect.getsource(f)")
    assert names["text"] == "def f():\n    return 'here'"
    assert inspect.getsource(names["f"]) == names["text"]


def test_dataclasses_and_pickle_work(runner):
    names = run(
        runner,
        "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int = 1",
        "import pickle, copy\nsame = pickle.loads(pickle.dumps(Point(3))) == Point(3) == copy.deepcopy(Point(3))",
    )
    assert names["same"]


def test_future_imports_last(runner):
    run(runner, "from __future__ import annotations", "def f(x: Nowhere) -> Nothing:\n    return x", "f(1)")
    assert fail(cells.Runner(runner.folder), "def f(x: Nowhere): pass").type == "NameError"


def test_figures_are_closed_after_each_cell(runner, capfd):
    pytest.importorskip("matplotlib")
    names = run(runner, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", "left = plt.get_fignums()")
    assert names["left"] == []


def test_an_error_is_told_with_its_line_and_only_the_students_frames(runner):
    run(runner, "import torch\ndef double(x):\n    return torch.matmul(x, x)")
    error = fail(runner, "x = 1\n\ndouble(torch.ones(2, 3))", number=2)
    assert (error.cell, error.type, error.line) == (2, "RuntimeError", 3)
    assert "mat1 and mat2" in error.message
    assert error.traceback.splitlines()[:4] == [
        "  cell 2, line 3, in <module>",
        "    double(torch.ones(2, 3))",
        "  cell 1, line 3, in double",
        "    return torch.matmul(x, x)",
    ]
    assert "site-packages" not in error.traceback and "cells.py" not in error.traceback


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("x = 1\ndef f(:\n    pass", "SyntaxError", 2),
        ("x = 1\n  y = 2", "IndentationError", 2),
        ("%matplotlib inline\nx = = 1", "SyntaxError", 2),
        ("x = (1,\n", "SyntaxError", 1),
        ("\n\n%config x = 1\n1 / 0", "ZeroDivisionError", 4),
        ("%%time\nx = 1\n1 / 0", "ZeroDivisionError", 3),
        ("%time 1 / 0", "ZeroDivisionError", 1),
        ("async def f():\n    1 / 0\nawait f()", "ZeroDivisionError", 2),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", 1),
        ("raise BaseException('odd')", "BaseException", 1),
        ("x = 1\ninput('name? ')", "EOFError", 2),
        ("def f(): f()\nf()", "RecursionError", 1),
        ("x = 1\0", "ValueError", 0),
        ("return 3", "SyntaxError", 1),
        ("%run nowhere.py", "FileNotFoundError", 1),
        ("import nowhere_at_all", "ModuleNotFoundError", 1),
        ("raise GeneratorExit", "GeneratorExit", 1),
        ("(" * 300, "SyntaxError", 1),
    ],
)
def test_any_error_is_caught_and_the_next_cell_runs(runner, source, kind, line):
    error = fail(runner, source)
    assert error.type == kind or (kind == "ValueError" and error.type == "SyntaxError")
    assert error.line == line or kind in ("RecursionError", "SyntaxError")
    assert run(runner, "after = 1")["after"] == 1


def test_hostile_exceptions_are_told_within_bounds(runner):
    error = fail(runner, "class Odd(Exception):\n    def __str__(self):\n        raise SystemExit\nraise Odd")
    assert error.type == "Odd" and "can't be read" in error.message
    error = fail(runner, "raise ValueError('x' * 10**6)")
    assert len(error.message) == cells.MESSAGE_CAP and len(error.traceback) <= cells.TRACEBACK_CAP
    error = fail(runner, "raise ValueError('\\ud800')")
    error.message.encode()
    error = fail(runner, "import sys\nsys.setrecursionlimit(5000)\ndef f(n): f(n + 1)\nf(0)")
    assert len(error.traceback) <= cells.TRACEBACK_CAP


@pytest.mark.parametrize(
    "source", ["exit()", "quit()", "import sys; sys.exit(1)", "raise SystemExit('bye')", "exit(0)"]
)
def test_leaving_is_a_note_and_later_cells_run(runner, source, capfd):
    names = run(runner, f"x = 1\n{source}\nx = 2", "y = x")
    assert names["y"] == 1
    assert runner.notes == ["Code cell 1 asked Python to exit; the cells after it were run all the same."]


def test_stand_ins_answer_for_otter_and_colab(runner, stand_ins, capfd):
    names = run(
        runner,
        "import sys\nat_colab = 'google.colab' in sys.modules",
        "import otter\ngrader = otter.Notebook('a1.ipynb')",
        "shown = repr(grader.check('q1'))\ngrader.check_all()\ngrader.export(run_tests=True)",
        "from google.colab import drive, files, userdata\ndrive.mount('/content/drive')",
        "for name in files.upload():\n    1 / 0",
        "from google.colab.patches import cv2_imshow\ncv2_imshow(3)",
        "import nest_asyncio\nnest_asyncio.apply()",
    )
    assert names["shown"] == "" and names["at_colab"] is False
    assert not capfd.readouterr().out


def test_a_data_loader_loads_in_its_own_process(runner, stand_ins):
    names = run(
        runner,
        "from torch.utils.data import DataLoader\ndata = list(range(10))",
        "a = len(list(DataLoader(data, batch_size=2, num_workers=4, prefetch_factor=2, persistent_workers=True)))",
        "b = DataLoader(data, 2, False, None, None, 3).num_workers, len(DataLoader(data, 5))",
        "class Mine(DataLoader):\n    def __init__(self, data):\n        super().__init__(data, num_workers=2)",
        "c = Mine(data).num_workers",
    )
    assert (names["a"], names["b"], names["c"]) == (5, (0, 2), 0)


def test_compiling_gives_back_what_it_is_given(runner, stand_ins):
    names = run(
        runner,
        "import torch\n@torch.compile\ndef f(x):\n    return x + 1",
        "@torch.compile(fullgraph=True)\ndef g(x):\n    return f(x)\nx = g(1)\nm = torch.nn.Linear(1, 1)",
        "same = torch.compile(m) is m",
    )
    assert names["x"] == 2 and names["same"]


def test_stand_ins_are_installed_once(stand_ins):
    before = [*sys.meta_path]
    cells.install_stand_ins()
    assert sys.meta_path == before


def test_a_cell_costs_next_to_nothing(runner):
    source = "def f(x):\n    return x + 1\n\n\ny = f(3)\n" * 4
    run(runner, source)
    began = time.process_time()
    for number in range(100):
        runner.run(number, source)
    assert (time.process_time() - began) / 100 < 0.003


def test_nothing_here_changes_the_folder(runner, tmp_path):
    run(runner, "%cd /tmp\n!cd /", "import os\nhere = os.getcwd()")
    assert os.path.samefile(runner.namespace["here"], tmp_path)
