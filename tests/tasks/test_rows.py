"""Readers of data files: each row with its place, each damage with file and line."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_muscle import limits
from pytest_muscle.errors import DataError
from pytest_muscle.tasks.rows import Row, read_rows


def read(folder: Path, name: str, content: bytes | str) -> list[Row]:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(name, folder))


def refusal(folder: Path, name: str, content: bytes | str) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, name, content)
    return str(caught.value)


# --- JSON Lines


def test_each_line_is_a_row_with_its_place(tmp_path):
    rows = read(tmp_path, "a.jsonl", '{"q": "x", "n": 1}\n\n  \n{"q": ["y"]}')
    assert rows == [
        Row({"q": "x", "n": 1}, "a.jsonl:1"),
        Row({"q": ["y"]}, "a.jsonl:4"),
    ]


def test_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    rows = read(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"q": "\xc3\xa4"}\r\n\r\n{"q": 2}\r\n')
    assert rows == [Row({"q": "ä"}, "a.jsonl:1"), Row({"q": 2}, "a.jsonl:3")]


def test_line_separators_of_unicode_within_a_text_are_text(tmp_path):
    rows = read(tmp_path, "a.jsonl", '{"q": "x\u2028y\x85z"}\n{"q": 2}\n')
    assert [row.where for row in rows] == ["a.jsonl:1", "a.jsonl:2"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "is not valid JSON"),
        ("{'q': 1}", "is not valid JSON"),
        ('{"q": 1} {"q": 2}', "is not valid JSON: Extra data"),
        ('{"q": NaN}', "is not valid JSON: NaN is not JSON; write null"),
        ('{"q": [-Infinity]}', "is not valid JSON: -Infinity is not JSON"),
        ('{"q": 1, "q": 2}', "is not valid JSON: key 'q' stands twice"),
        ('{"q": {"a": 1, "a": 1}}', "is not valid JSON: key 'a' stands twice"),
        ('{"q": "half an emoji \\ud83d"}', "surrogates not allowed"),
        ('{"q": ' + "[" * 100_000, "is not valid JSON"),
        ('{"q": ' + "1" * 5000 + "}", "is not valid JSON"),
        ('["q"]', 'expected an object, found list\n  each line is one object: {"question"'),
        ("null", "expected an object, found NoneType"),
        ('"q"', "expected an object, found str"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path, line, expected):
    message = refusal(tmp_path, "a.jsonl", '{"q": 1}\n\n' + line + "\n")
    assert message.startswith("a.jsonl:3: ")
    assert expected in message


def test_a_whole_emoji_in_escapes_is_text(tmp_path):
    assert read(tmp_path, "a.jsonl", '{"q": "\\ud83d\\ude00"}')[0].columns == {"q": "😀"}


def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "LONGEST_LINE", 100)
    line = json.dumps({"q": "x" * 92})
    assert len(line) == 101
    assert len(read(tmp_path, "a.jsonl", line.replace("xx", "x") + "\n")) == 1
    message = refusal(tmp_path, "a.jsonl", '{"q": 1}\n' + line)
    assert message.startswith("a.jsonl:2: line is longer than 100 characters")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path, name):
    lines = b'{"q": "x"}\n' if name == "a.jsonl" else b"q\n"
    message = refusal(tmp_path, name, lines * 3000 + b'{"q": "\xe4"}\n')
    assert message.startswith(f"{name}:3001: is not UTF-8 text: ")
    assert "save the file as UTF-8" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", ""),
        ("a.jsonl", "\n \n"),
        ("a.jsonl", "\ufeff"),
        ("a.csv", ""),
        ("a.csv", "\n\n"),
        ("a.csv", "question,label\n"),
        ("a.csv", "question,label"),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path, name, content):
    assert refusal(tmp_path, name, content).startswith(f"{name}: has no rows")


def test_a_file_that_is_not_there_or_of_no_known_kind_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jsonl: cannot be read"):
        list(read_rows("gone.jsonl", tmp_path))
    with pytest.raises(DataError, match=r"a\.json: is of no known kind \(known: \.jsonl, \.csv"):
        list(read_rows("a.json", tmp_path))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError, match=r"folder\.jsonl: cannot be read"):
        list(read_rows("folder.jsonl", tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows("~nobody-here/a.jsonl", tmp_path))


# --- CSV


def test_csv_values_are_text_and_a_row_s_place_is_its_first_line(tmp_path):
    content = '\ufeffquestion,label\r\n"one, two\r\nand three",1\r\n\r\nfour,"say ""x"""\r\n'
    assert read(tmp_path, "a.csv", content) == [
        Row({"question": "one, two\r\nand three", "label": "1"}, "a.csv:2"),
        Row({"question": "four", "label": 'say "x"'}, "a.csv:5"),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "a,b\n1,2\n1,2,3\n",
            "a.csv:3: has 3 values where the header has 2 columns\n  values with",
        ),
        ("a,b\n1\n", "a.csv:2: has 1 values where the header has 2 columns"),
        ("a,b\n1,2\n\n3", "a.csv:4: has 1 values"),
        ("a,b,a\n1,2,3\n", "a.csv:1: column 'a' stands twice"),
        ("\na,a\n1,2\n", "a.csv:2: column 'a' stands twice"),
        ("a,,b\n1,2,3\n", "a.csv:1: a column has no name"),
        ('a,b\n1,2\n"x,2\n3,4\n', "a.csv:3: is not valid CSV"),
        ('a,b\n"x"y,2\n', "a.csv:2: is not valid CSV"),
        (f"a\n1\n{'x' * 200_000}\n", "a.csv:3: is not valid CSV: field larger than field limit"),
        (f"a\n{'x' * 200_000}\n", "longer texts fit into JSON Lines"),
    ],
)
def test_damaged_csv_is_named_with_its_line(tmp_path, content, expected):
    assert expected in refusal(tmp_path, "a.csv", content)


# --- Parquet


def write_parquet(path: Path, columns: dict[str, list[object]]) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def test_parquet_gives_lists_numbers_and_nothing_where_there_is_nothing(tmp_path):
    write_parquet(
        tmp_path / "a.parquet", {"q": ["x", None], "options": [["a", "b"], ["c"]], "label": [1, 0]}
    )
    assert list(read_rows("a.parquet", tmp_path)) == [
        Row({"q": "x", "options": ["a", "b"], "label": 1}, "a.parquet: row 1"),
        Row({"q": None, "options": ["c"], "label": 0}, "a.parquet: row 2"),
    ]


def test_parquet_is_read_in_parts_however_large_its_row_groups(tmp_path):
    import pyarrow.parquet

    text = [f"{number} {random.Random(number).randbytes(200).hex()}" for number in range(50_000)]
    write_parquet(tmp_path / "a.parquet", {"q": text})
    assert pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 1
    code = (
        "import sys, pathlib, pyarrow; from pytest_muscle.tasks.rows import read_rows;"
        "print(sum(1 for _ in read_rows('a.parquet', pathlib.Path(sys.argv[1]))),"
        "pyarrow.default_memory_pool().max_memory())"
    )
    found = subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], text=True)
    count, peak = map(int, found.split())
    assert count == 50_000
    assert peak < (tmp_path / "a.parquet").stat().st_size / 2


def test_damaged_parquet_is_named(tmp_path):
    assert refusal(tmp_path, "a.parquet", b"PAR1 and nothing").startswith(
        "a.parquet: is not readable Parquet: "
    )
    assert "is not readable Parquet" in refusal(tmp_path, "a.parquet", b"")


def test_parquet_cut_short_is_named(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"q": [f"text {number}" for number in range(1000)]})
    content = (tmp_path / "a.parquet").read_bytes()
    assert "is not readable Parquet" in refusal(tmp_path, "a.parquet", content[:-100])


def test_parquet_without_rows_is_refused(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"q": []})
    with pytest.raises(DataError, match=r"a\.parquet: has no rows"):
        list(read_rows("a.parquet", tmp_path))


def test_parquet_with_one_name_for_two_columns_is_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["q", "q"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: column 'q' stands twice"):
        list(read_rows("a.parquet", tmp_path))


def test_a_date_that_python_has_not_is_named(tmp_path):
    import pyarrow

    dates = pyarrow.array([2**40], type=pyarrow.timestamp("s"))
    write_parquet(tmp_path / "a.parquet", {"when": dates})
    with pytest.raises(DataError, match=r"a\.parquet: is not readable Parquet"):
        list(read_rows("a.parquet", tmp_path))


# --- datasets


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Two saved data sets: `one`, and `two` with a train and a test split."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    table = datasets.Dataset.from_dict({"q": ["x", "y"], "options": [["a", "b"], ["c", "d"]]})
    table.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict(train=table, test=table.select([1])).save_to_disk(str(tmp_path / "two"))
    table.with_format("numpy").save_to_disk(str(tmp_path / "arrays"))
    table.select([]).save_to_disk(str(tmp_path / "empty"))
    return tmp_path


def test_a_saved_data_set_is_read_from_beside_the_file(disk):
    assert list(read_rows("datasets:one", disk)) == [
        Row({"q": "x", "options": ["a", "b"]}, "datasets:one: row 1"),
        Row({"q": "y", "options": ["c", "d"]}, "datasets:one: row 2"),
    ]
    assert [row.columns["q"] for row in read_rows(f"datasets:{disk}/one", Path("/"))] == ["x", "y"]


def test_a_split_is_picked_by_name(disk):
    assert [row.columns["q"] for row in read_rows("datasets:two#test", disk)] == ["y"]


def test_a_data_set_saved_as_arrays_gives_lists_all_the_same(disk):
    assert next(read_rows("datasets:arrays", disk)).columns == {"q": "x", "options": ["a", "b"]}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("two", "datasets:two: which split?\n  splits: test, train; write datasets:two#test"),
        ("two#tset", "datasets:two#tset: has no split 'tset'\n  splits: test, train"),
        ("one#test", "datasets:one#test: has no splits, so no 'test'\n  leave out #test"),
        ("one@main", "datasets:one@main: a revision belongs to a data set on the hub"),
        ("empty", "datasets:empty: cannot be loaded: "),
        (".", "datasets:.: cannot be loaded: "),
        ("org/name#test", "datasets:org/name#test: cannot be loaded: "),
    ],
)
def test_a_data_set_that_cannot_be_read_is_named(disk, source, expected):
    with pytest.raises(DataError) as caught:
        list(read_rows(f"datasets:{source}", disk))
    assert str(caught.value).startswith(expected)


# --- anything at all


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.binary(max_size=60)
    | st.text(alphabet='{}[]":,\\ud8\n\r\t aN1.e-\ufeff"', max_size=40).map(str.encode)
    | st.text(alphabet='a,"\n\r\x00é;', max_size=30).map(lambda text: b"a,b\n" + text.encode()),
    suffix=st.sampled_from([".jsonl", ".csv", ".parquet"]),
)
def test_any_bytes_are_rows_or_refused(tmp_path, content, suffix):
    name = f"any{suffix}"
    try:
        rows = read(tmp_path, name, content)
    except DataError as caught:
        message = str(caught)
    else:
        message = name
        assert all(row.where.startswith(name) for row in rows)
        json.dumps([row.columns for row in rows], allow_nan=False).encode()
    assert message.startswith(name)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.dictionaries(
            st.text(max_size=4),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                lambda inner: st.lists(inner, max_size=2),
                max_leaves=4,
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_json_writes_is_read_as_it_was(tmp_path, rows):
    for ascii_only in (True, False):
        text = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
        assert [row.columns for row in read(tmp_path, "a.jsonl", text)] == rows
