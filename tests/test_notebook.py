"""Every file is either read or refused with a sentence for the student; nothing else comes out of `extract`."""

import json
import os
import resource
import time

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.errors import UnreadableSubmission
from autograder.notebook import FILE_CAP, extract
from autograder.records import Entry, Submission


@pytest.fixture
def read(tmp_path):
    def read(data, name="alice.ipynb"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return extract(Entry("alice", "Alice", path))

    return read


def code(*sources, **notebook):
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells, **notebook})


def sources(submission):
    return [cell.source for cell in submission.cells]


def test_code_cells_are_numbered_from_one(read):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("import torch\n%matplotlib inline"),
        nbformat.v4.new_raw_cell("raw"),
        nbformat.v4.new_code_cell(""),
        nbformat.v4.new_code_cell("x = 1"),
    ]
    submission = read(nbformat.writes(notebook))
    assert submission.id == "alice" and submission.student == "Alice"
    assert [(cell.number, cell.source) for cell in submission.cells] == [
        (1, "import torch\n%matplotlib inline"),
        (2, ""),
        (3, "x = 1"),
    ]


@pytest.mark.parametrize(
    ("source", "skip"),
    [
        ("# autograder: skip\nx", True),
        ("\n  \n  #autograder :  skip  \nx", True),
        ("# autograder: skip (build)\nx", True),
        ("# autograder: skipping\nx", False),
        ("x = 1\n# autograder: skip", False),
        ("'# autograder: skip'", False),
    ],
)
def test_skip_is_read_from_the_first_line(read, source, skip):
    assert [cell.skip for cell in read(code(source, "y = 1")).cells] == [skip, False]


def test_the_digest_follows_the_code_and_nothing_else(read):
    first = read(code("x = 1", "y = 2")).digest
    assert len(first) == 64
    assert read(code("x = 1", "y = 2", metadata={"kernelspec": {"name": "python3"}})).digest == first
    others = {read(code(*cells)).digest for cells in (("x = 1y = 2",), ("x = 1", "y = 3"), ("y = 2", "x = 1"))}
    assert len(others | {first}) == 4


@pytest.mark.parametrize(
    "old",
    [
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [
            {"cell_type": "heading", "source": "h"}, {"cell_type": "code", "input": ["x = 1\n", "y = 2"]}]}]},
        {"nbformat": 2, "worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1\ny = 2"}]}]},
        {"nbformat": 1, "cells": [{"cell_type": "text"}, {"cell_type": "code", "code": "x = 1\ny = 2"}]},
    ],
)  # fmt: skip
def test_old_formats_are_upgraded(read, old, caplog):
    assert sources(read(json.dumps(old))) == ["x = 1\ny = 2"]
    assert not caplog.records


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": []},
        {"metadata": {"kernelspec": None, "language_info": 7}},
        {"metadata": {"kernelspec": {"name": "my-env", "language": "python"}, "language_info": {"name": "ipython"}}},
        {"metadata": {"kernelspec": {"name": "python3"}, "language_info": {"name": "sage"}}},
        {"nbformat_minor": 99, "unknown": {"deep": [1, 2.5, None]}},
        {"nbformat_minor": None},
        {"nbformat": None},
        {"metadata": {"big": 4321}},
    ],
)
def test_honest_odd_notebooks_pass(read, odd):
    text = code("x = 1", **odd).replace("4321", "9" * 10_000)
    assert sources(read(text)) == ["x = 1"]


@pytest.mark.parametrize(
    "cell",
    [
        {"cell_type": "code", "source": "x = 1"},
        {"cell_type": "code", "source": ["x ", "= 1"], "metadata": None, "outputs": 3, "id": 4, "extra": {}},
        {"cell_type": "code", "source": "x = 1", "outputs": [{"output_type": "stream", "text": "\ud800"}]},
    ],
)
def test_cells_without_ids_or_with_bad_outputs_pass(read, cell):
    new_kind = {"cell_type": "a kind of tomorrow", "source": 1}
    assert sources(read(code(cells=[cell, new_kind]))) == ["x = 1"]


def test_a_byte_order_mark_is_no_trouble(read):
    assert sources(read(b"\xef\xbb\xbf" + code("x = 1").encode())) == ["x = 1"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n\0\0", "is empty"),
        (b"\x89PNG\r\n\x1a\n1234", "PNG picture"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"abc\0def", "binary data"),
        (b"import torch\n", r"ends? in \.py"),
        (b'{"cells": [\xe9]}', "not UTF-8"),
        (b"[1, 2]", "a list was found"),
        (b"{}", "no 'cells'"),
        (b'{"cells": {}}', "an object as 'cells'"),
        (b'{"nbformat": 3}', "nothing as 'worksheets'"),
        (b'{"nbformat": 3, "worksheets": [3]}', "nothing as 'cells'"),
        (b'{"nbformat": 5, "cells": []}', "format 5"),
        (b'{"nbformat": "4", "cells": []}', "format text"),
        (b'{"nbformat": true, "cells": []}', "format true or false"),
        (b'{"nbformat": ' + b"9" * 100_000 + b', "cells": []}', "format a number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"cells": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"a": 1,}', "not valid JSON"),
        (b'{"cells": [{"cell_type": "code", "source": "a', "cut off in line 1"),
        (b'{"cells": [{"cell_type": "code", "source": "a"}', "cut off in line 1"),
        (b'{\n<<<<<<< HEAD\n"a": 1\n', "merge conflicts"),
        (b'{"cells": [], "cells": []}', "'cells' twice"),
        (b'{"cells": [{"cell_type": "code", "source": "a", "source": "b"}]}', "'source' twice"),
        (b'{"cells": [3]}', "'cell_type' in cell 1"),
        (b'{"cells": [{"cell_type": ["code"]}]}', "'cell_type' in cell 1"),
        (b'{"cells": [{"cell_type": "code", "source": {"a": 1}}]}', "an object as the source of cell 1"),
        (b'{"cells": [{"cell_type": "code", "source": ["a", 1]}]}', "a list as the source of cell 1"),
        (b'{"cells": [{"cell_type": "code", "source": "a\\nb\\ud800"}]}', r"half a character \(\\ud800\) .* line 2"),
        (b'{"nbformat": 4, "cells": []}', "has no code"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "markdown", "source": "a"}]}', "has no code"),
        (b'{"cells": [{"cell_type": "code", "source": " \\n"}]}', "has no code"),
        (code("x", metadata={"kernelspec": {"name": "ir", "language": "R"}}).encode(), "language 'R'"),
        (code("x", metadata={"language_info": {"name": "julia"}}).encode(), "language 'julia'"),
        (code(*["x"] * 5001).encode(), "5001 code cells"),
        (code("x" * 1_000_000, "y" * 1_500_000).encode(), "2.5 MB of code"),
    ],
)
def test_what_can_not_be_read_is_refused_with_a_sentence(read, data, says):
    with pytest.raises(UnreadableSubmission, match=says) as refused:
        read(data)
    text = str(refused.value)
    assert text.startswith("alice.ipynb ") and text.endswith(".") and len(text) < 300


def test_fifty_megabytes_of_outputs_are_graded_quickly(read):
    pictures = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBOR" * 1_000_000}}] * 10
    text = code(cells=[{"cell_type": "code", "source": "x = 1", "metadata": {}, "outputs": pictures}])
    began = time.monotonic()
    assert len(text) > 50e6 and sources(read(text + " ")) == ["x = 1"]
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[" * 3_000_000, "nested too deeply"),
        (b"{" * 3_000_000, "not valid JSON"),
        (b'{"cells": [' + b"[]," * 25_000_000 + b"[]]}", "more (memory|time)"),
    ],
)
def test_a_bomb_harms_nobody(read, data, says):
    with pytest.raises(UnreadableSubmission, match=says):
        read(data)


def test_a_file_beyond_the_cap_is_refused_unread(tmp_path):
    path = tmp_path / "big.ipynb"
    with path.open("wb") as file:
        file.truncate(FILE_CAP + 1)
    with pytest.raises(UnreadableSubmission, match=r"is 105 MB large; at most 104 MB .* Clear its outputs"):
        extract(Entry("a", "a", path))


def test_only_ordinary_files_are_opened(tmp_path):
    target = tmp_path / "target.ipynb"
    target.write_text(code("x"))
    (tmp_path / "link.ipynb").symlink_to(target)
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    for name, says in (
        ("link", "is a link"),
        ("folder", "no ordinary file"),
        ("pipe", "ordinary"),
        ("no", "No such"),
    ):
        with pytest.raises(UnreadableSubmission, match=says):
            extract(Entry("a", "a", tmp_path / f"{name}.ipynb"))


def test_an_entry_with_a_problem_is_refused_with_it(tmp_path):
    with pytest.raises(UnreadableSubmission, match=r"^It is a picture\.$"):
        extract(Entry("a", "a", tmp_path / "x", problem="It is a picture."))


def test_an_odd_file_name_does_not_spoil_the_sentence(read):
    with pytest.raises(UnreadableSubmission) as refused:
        read(b"", "a\n\u202e\x1b[31m.ipynb")
    assert str(refused.value).isprintable() or "\ufffd" in str(refused.value)
    assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value)


PERCENT = """# ---
# jupyter: {}
# ---

# %% [markdown]
# Some prose, with `code`

# %%
import torch

# %% a title
# autograder: skip
train()

#%%
def f():
    return "100 %%"  # %% not a marker

# %%
# a remark
if __name__ == "__main__":
    plot()
# %% [raw]
raw
"""


def test_percent_cells_of_a_python_file(read):
    cells = read(PERCENT, "alice.py").cells
    assert [cell.skip for cell in cells] == [False, True, False, True]
    assert cells[0].source == "import torch\n" and cells[1].source.startswith("# autograder: skip\ntrain()")
    assert cells[2].source.startswith("def f():") and cells[3].source.startswith("if __name__")


def test_a_python_file_without_markers_is_one_cell(read):
    text = "import torch\r\n\r\n\r\ndef f():\r\n    return 1\r\n"
    assert sources(read(text, "alice.py")) == ["import torch\n\n\ndef f():\n    return 1\n"]


def test_a_main_guard_is_not_run(read):
    text = 'x = 1\nif __name__ == "__main__":\n    train()\n\n    print(x)\n# remark\n    more()\ny = 2\n'
    assert [(cell.source, cell.skip) for cell in read(text, "alice.py").cells] == [
        ("x = 1\n", False),
        ('if __name__ == "__main__":\n    train()\n\n    print(x)\n# remark\n    more()\n', True),
        ("y = 2\n", False),
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"# only remarks\n", "has no code"),
        (b"\x89PNG", "PNG"),
        (code("x").encode(), r"notebook under a Python name.*\.ipynb"),
        (b"x = '\xe9'", "not UTF-8"),
        (b"x = 1\n" * 400_000, "2 MB of code"),
    ],
)
def test_python_files_that_can_not_be_read(read, data, says):
    with pytest.raises(UnreadableSubmission, match=says):
        read(data, "alice.py")


def test_a_typical_notebook_takes_a_millisecond(read, tmp_path):
    read(code(*["import torch\nx = torch.ones(3)\n" * 10] * 20))
    entry = Entry("a", "a", tmp_path / "alice.ipynb")
    began = time.process_time()
    for _ in range(50):
        extract(entry)
    assert (time.process_time() - began) / 50 < 0.005


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
keys = st.sampled_from(
    ["cells", "worksheets", "cell_type", "source", "input", "code", "nbformat", "metadata", "outputs"]
)
cells = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "code", "markdown", "x"]) | values, "source": st.text() | values},
    optional={"metadata": values, "outputs": values, "id": values, "input": values},
)
notebooks = st.fixed_dictionaries(
    {"nbformat": st.sampled_from([1, 2, 3, 4, 4, 4, 5]) | values, "cells": st.lists(cells | values) | values},
    optional={
        "worksheets": st.lists(st.fixed_dictionaries({"cells": st.lists(cells)})) | values,
        "metadata": st.dictionaries(st.sampled_from(["kernelspec", "language_info", "x"]), values) | values,
        "nbformat_minor": values,
    },
)
quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def only_known_ends(read, data, name="alice.ipynb"):
    try:
        submission = read(data, name)
    except UnreadableSubmission:
        return
    assert isinstance(submission, Submission) and submission.cells
    assert all(type(cell.source) is str and cell.source.encode() is not None for cell in submission.cells)


@quick
@given(notebook=notebooks | st.dictionaries(keys, values))
def test_any_json_is_read_or_refused(read, notebook):
    only_known_ends(read, json.dumps(notebook))


@quick
@given(position=st.floats(0, 1), inserted=st.binary(max_size=8), removed=st.integers(0, 20))
def test_any_damage_is_read_or_refused(read, position, inserted, removed):
    data = code("x = 1\nprint('\u00e9\U0001f600')", "y", metadata={"kernelspec": {"language": "python"}}).encode()
    at = int(position * len(data))
    only_known_ends(read, data[:at] + inserted + data[at + removed :])


@quick
@given(data=st.binary(max_size=200) | st.text(alphabet="#% \n[]markdown'\"if_:x=", max_size=200).map(str.encode))
def test_any_python_file_is_read_or_refused(read, data):
    only_known_ends(read, data, "alice.py")


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4, 5, 6])
def test_every_minor_version_is_read(read, minor):
    assert sources(read(code("x = 1", nbformat_minor=minor))) == ["x = 1"]


def bombs():
    stream = {"output_type": "stream", "name": "stdout", "text": "x"}
    cell = {"cell_type": "code", "source": "x = 1", "metadata": {}, "outputs": []}
    head = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}})[:-1]
    one = head + ', "cells": [' + json.dumps(cell)[:-3] + "["
    yield "a million outputs", one + ",".join([json.dumps(stream)] * 1_000_000) + "]}]}", ["x = 1"]
    yield "a million keys", code("x = 1", metadata={"a": {str(n): n for n in range(1_000_000)}}), ["x = 1"]
    yield (
        "one key a million times",
        head + ', "a": {' + ",".join(['"b": 1'] * 1_000_000) + "}" + code("x = 1")[-1:],
        None,
    )
    yield "enormous integers", code("x = 1", metadata={"a": [1]}).replace("[1]", f"[{'9' * 5_000_000}]"), ["x = 1"]
    yield "an enormous float", code("x = 1", metadata={"a": [1]}).replace("[1]", f"[{'9' * 1_000_000}.5e5]"), ["x = 1"]
    yield "a million cells", head + ', "cells": [' + ",".join([json.dumps(cell)] * 300_000) + "]}", None
    yield (
        "a million lines",
        code(cells=[{**cell, "source": ["\n"] * 1_000_000 + ["x = 1"]}]),
        ["\n" * 1_000_000 + "x = 1"],
    )
    yield "deep outputs", one + '{"a":' * 900 + "1" + "}" * 900 + "]}]}", ["x = 1"]
    yield "very deep outputs", one + '{"a":' * 500_000 + "1" + "}" * 500_000 + "]}]}", None
    yield "surrogates in outputs", one + '"\\ud800"' + "]}]}", ["x = 1"]


@pytest.mark.parametrize(("data", "expected"), [each[1:] for each in bombs()], ids=[each[0] for each in bombs()])
def test_size_is_bounded_in_time_and_memory(read, data, expected):
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    if expected is None:
        with pytest.raises(UnreadableSubmission):
            read(data)
    else:
        assert sources(read(data)) == expected
    assert time.monotonic() - began < 20
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 300 * 2**20
