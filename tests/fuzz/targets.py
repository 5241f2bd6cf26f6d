"""What the fuzzer calls: each target takes bytes, and lets nothing through but the one error that is expected.

`python targets.py TARGET FOLDER [libFuzzer's options]` writes the seeds to FOLDER and fuzzes, guided by coverage.
"""

import gzip
import io
import json
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import atheris
import nbformat  # noqa: F401 - imported by the target for old notebooks; here it is done before the clock runs

with atheris.instrument_imports(include=["autograder"]):
    from autograder import archives, notebook, pruning, scrutiny
    from autograder.errors import UnreadableSubmission, WireError
    from autograder.sandbox import wire

import torch

PAYLOAD = 1 << 16
SCRATCH = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
PLAIN = (type(None), bool, int, float, str, list, tuple, dict, wire.Handle, torch.Tensor, torch.dtype, torch.device)
FORBIDDEN = ("torch.nn.functional.linear", "torch.nn.Linear", "aten::mm")


def frames(data):
    """A worker's stream: as many frames as there are, in stretches of any size."""
    stream = io.BytesIO(data[1:])
    stretch = (data[0] if data else 0) + 1

    def receive(view):
        count = stream.readinto(view[:stretch])
        if not count:
            raise EOFError
        return count

    inbox = wire.Inbox(receive)
    try:
        while True:
            header, payload = wire.lengths(inbox.exactly(wire.PREFIX.size), PAYLOAD)
            message(inbox.exactly(header), inbox.exactly(payload))
    except (EOFError, WireError):
        return


def header(data):
    """One header on its own; the payload is what stands behind the last line end."""
    start, _, payload = data.rpartition(b"\n")
    try:
        message(start, bytearray(payload))
    except WireError:
        return


def message(start, payload):
    found = wire.Frame(start, payload, 0, len(payload)).unpack()
    assert sum(tensor.nbytes for tensor in found.tensors) <= len(payload)
    assert all(type(tensor) is torch.Tensor and tensor.device.type == "cpu" for tensor in found.tensors)
    assert len(found.facts) == len(found.tensors)
    waiting = [found.value]
    while waiting:
        value = waiting.pop()
        assert type(value) in PLAIN, type(value)
        if type(value) is str:
            value.encode()
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend([*value.keys(), *value.values()])


def json_notebook(data):
    """A file ending in .ipynb."""
    try:
        cells = notebook.sources(pruning.prune(data))
    except UnreadableSubmission as error:
        sentence(error)
        return
    assert all(type(source) is str and source.encode() is not None for source in cells)


def module(data):
    """A file ending in .py, and what its cells are scrutinised for."""
    try:
        text = pruning.decode(data)
        cells = tuple(notebook.Cell(n, source, skip) for n, (source, skip) in enumerate(notebook._split(text), 1))
        pruning.refuse_too_much([cell.source for cell in cells])
    except UnreadableSubmission as error:
        sentence(error)
        return
    found = scrutiny.search(cells, FORBIDDEN)
    for mention in found:
        assert mention.cell <= len(cells) and 0 < mention.line <= cells[mention.cell - 1].source.count("\n") + 2
    for old, new in zip(cells, scrutiny.without(cells, found), strict=True):
        assert scrutiny._lines(new.source).count("\n") == scrutiny._lines(old.source).count("\n")


def archive(data):
    """An archive of the kind that its first byte says: nothing is written but below its folder, and not much."""
    kind = (".zip", ".tar", ".tar.gz", ".tgz")[data[0] % 4] if data else ".zip"
    target = SCRATCH / "unpacked"
    try:
        members, spent = archives.unpack_file(io.BytesIO(data[1:]), str(target), "20", str(1 << 20), f"a{kind}")
        assert spent <= 1 << 20
        for member in members:
            assert not member.path or target in Path(member.path).resolve().parents
            assert len(member.problem) < 1000
    except UnreadableSubmission as error:
        sentence(error)
    finally:
        assert [path.name for path in SCRATCH.iterdir()] in ([], ["unpacked"])
        assert sum(path.lstat().st_size for path in target.rglob("*") if path.is_file()) < 2 << 20
        assert not any(path.is_symlink() for path in target.rglob("*"))
        shutil.rmtree(target, ignore_errors=True)


def sentence(error):
    assert 10 < len(str(error)) < 500, str(error)


def everything(data):
    """Any of the others, by the first byte."""
    list(TARGETS.values())[data[0] % 5 if data else 0](data[1:])


TARGETS = {target.__name__: target for target in (frames, header, json_notebook, module, archive, everything)}


def seeds():
    """A few honest inputs of each target, by target."""
    values = [
        None,
        [1, 2.5, "é", (True,)],
        {"a": torch.ones(2, 3), "b": torch.tensor([True])},
        torch.nn.Parameter(torch.ones(1)),
    ]
    packed = [wire.pack(value) for value in values]
    whole = [b"".join(map(bytes, buffers)) for buffers in packed]
    size = wire.PREFIX.size
    split = [(wire.PREFIX.unpack(one[:size])[1], one[size:]) for one in whole]
    code = {"cell_type": "code", "source": ["import torch\n", "x = 1"], "metadata": {}, "outputs": []}
    sheet = {"worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1"}]}], "nbformat": 3}
    books = [{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [code]}, sheet, {**sheet, "nbformat": 2}]
    books.append({"nbformat": 1, "cells": [{"cell_type": "code", "code": "x"}]})
    texts = [
        b"# %%\nimport torch\n# %% [markdown]\n# a\n# %%\nx = torch.nn.functional.linear(1, 2)\n",
        b"from torch.nn import Linear as L\nif __name__ == '__main__':\n    L(1)\n%time F\n!ls\n",
        b"import torch.nn.functional as F\nf = getattr(F, 'lin' 'ear')\nclass A(torch.nn.Linear): pass\n",
    ]
    found = {
        "frames": [b"\xff" + one for one in whole] + [b"\x02" + b"".join(whole)],
        "header": [rest[:length] + b"\n" + rest[length:] for length, rest in split],
        "json_notebook": [json.dumps(book).encode() for book in books],
        "module": texts,
        "archive": list(packed_archives()),
    }
    found["everything"] = [bytes([n]) + seed for n, each in enumerate(found.values()) for seed in each]
    return found


def packed_archives():
    members = {"a.ipynb": b"{}", "b/c.py": b"x = 1", "../d.py": b"", "e.txt": b"x"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    yield b"\x00" + file.getvalue()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as packed:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    yield b"\x01" + file.getvalue()
    yield b"\x02" + gzip.compress(file.getvalue(), mtime=0)


def main(name, folder, *options):
    corpus = Path(folder)
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds()[name]):
        (corpus / f"seed{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], str(corpus), *options], TARGETS[name])
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
