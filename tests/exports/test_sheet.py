"""sheet: a CSV file taken apart to the byte; what is not filled in stays as it was."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.errors import InstructorError, OperatorError
from autograder.exports import sheet

AWKWARD = st.text(st.sampled_from('ab,;"\t\n\r =é'), max_size=6)


def parsed(tmp_path, data):
    path = tmp_path / "grades.csv"
    path.write_bytes(data)
    return sheet.read(path)


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
        (b'\xef\xbb\xbfa;b;c\n\n"x""y";2,5;\n', [["a", "b", "c"], ['x"y', "2,5", ""]]),
        (b'a,b\n"two\nlines","c,d"', [["a", "b"], ["two\nlines", "c,d"]]),
        (b"a\tb\r1\t2\r", [["a", "b"], ["1", "2"]]),
        ("a,b\nZoë,1\n".encode("cp1252"), [["a", "b"], ["Zoë", "1"]]),
        (b"a,b\n'Zo\"e,1,\n,,\n", [["a", "b"], ["'Zo\"e", "1", ""]]),
        (b'a,b\n"x"y,1\n', [["a", "b"], ["xy", "1"]]),
        (b'"a,x",b\n1,2', [["a,x", "b"], ["1", "2"]]),
    ],
)
def test_cells_are_read_as_they_are_meant(tmp_path, data, rows):
    found = parsed(tmp_path, data)
    assert [[cell.text for cell in row] for row in found.rows] == rows
    assert found.filled({}) == data


@given(
    st.lists(st.lists(AWKWARD, min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.booleans(),
)  # fmt: skip
def test_what_python_writes_is_read_back_and_one_cell_is_changed_alone(tmp_path_factory, rows, end, quoting, bom):
    rows = [["one", "two", "three"], *([text.replace("\r", "") for text in row] for row in rows)]
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=quoting).writerows(rows)
    data = b"\xef\xbb\xbf" * bom + text.getvalue().encode()
    found = parsed(tmp_path_factory.mktemp("sheet"), data)
    full = [row for row in rows if any(cell.strip() for cell in row)]
    assert [[cell.text for cell in row] for row in found.rows] == full
    changed = found.filled({(len(full) - 1, 1): "17.5"})
    again = list(csv.reader(io.StringIO(changed.decode("utf-8-sig"), newline="")))
    kept = [row for row in again if any(cell.strip() for cell in row)]
    assert kept == [*full[:-1], [full[-1][0], "17.5", full[-1][2]]]
    cell = found.rows[-1][1]
    assert changed[: cell.start] == data[: cell.start] and changed.endswith(data[cell.end :])


def test_a_filled_cell_is_quoted_like_the_one_before_or_where_it_must_be(tmp_path):
    found = parsed(tmp_path, b'a,b,c\n"1","",3\n')
    assert found.filled({(1, 0): "2", (1, 1): "5", (1, 2): "2,5"}) == b'a,b,c\n"2","5","2,5"\n'
    assert parsed(tmp_path, b"a;b\n1;2\n").filled({(1, 1): "2,5"}) == b"a;b\n1;2,5\n"


@pytest.mark.parametrize(
    ("texts", "mark"),
    [([], "."), (["20,00", ""], ","), (["20.00", "1,5"], "."), (["20"], "."), (["a,b", "1.2.3"], "."), (["1.5"], ".")],
)
def test_the_decimal_mark_is_the_files_own(texts, mark):
    assert sheet.decimal_mark(texts) == mark


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no table of grades: expected headings, separated by commas"),
        (b"one\ntwo\n", "is no table of grades"),
        ("a,b\n1,2\n".encode("utf-16"), r"is no CSV in UTF-8 \(UTF-16, or a spreadsheet\)"),
        (b"PK\x03\x04\0\0", "is no CSV in UTF-8"),
        (b'a,b\n1,2\n"never,3\n', "row 3: a quotation mark is never closed"),
    ],
)
def test_what_is_no_csv_is_refused(tmp_path, data, said):
    with pytest.raises(InstructorError, match=said):
        parsed(tmp_path, data)


def test_a_short_row_a_missing_file_and_a_huge_one_are_refused(tmp_path, monkeypatch):
    found = parsed(tmp_path, b"a,b,c\nAda\n")
    with pytest.raises(InstructorError, match=r"the row of 'Ada' has 1 cells, and 'c' is column 3"):
        found.filled({(1, 2): "5"})
    with pytest.raises(OperatorError, match=r"can't be read \(No such file.*--template"):
        sheet.read(tmp_path / "none.csv")
    monkeypatch.setattr(sheet, "LARGEST", 3)
    with pytest.raises(InstructorError, match="no gradebook"):
        parsed(tmp_path, b"a,b\n")


def test_a_hostile_file_takes_bounded_time(tmp_path):
    with pytest.raises(InstructorError, match="never closed"):
        parsed(tmp_path, b"a,b\n" + b'"' + b"x," * 300_000)
    assert len(parsed(tmp_path, b"a,b\n" + b'"",' * 100_000).rows) == 1
