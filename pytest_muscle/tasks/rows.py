"""Readers of data files: each gives rows with the place each stands at."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pytest_muscle import limits
from pytest_muscle.errors import DataError
from pytest_muscle.settings.locations import DATASETS_PREFIX
from pytest_muscle.settings.paths import local_path

PIECE = 64 * 1024
"""Bytes of a line that are looked at at once where one is sought that is not UTF-8."""
PARQUET_ROWS = 1024
PARQUET_BUFFER = 256 * 1024
"""Bytes of each column that are read at once."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data file: its columns, and `file:line` for errors."""

    columns: Mapping[str, Any]
    where: str


def read_rows(data: str, root: Path) -> Iterator[Row]:
    """Read the rows of a data file or a `datasets:` source, one after the other.

    Args:
        data: A .jsonl, .csv or .parquet file, or `datasets:NAME[/CONFIG][@REVISION][#SPLIT]`,
            where NAME is a hub id `owner/name` or a directory that `save_to_disk` wrote.
        root: The directory that relative paths are relative to.

    Raises:
        DataError: If the source is missing, empty or not readable; it names file and line.
    """
    if data.startswith(DATASETS_PREFIX):
        rows = _read_datasets(data.removeprefix(DATASETS_PREFIX), root)
        name = data
    else:
        path = local_path(data, root)
        name = path.name
        reader = READERS.get(path.suffix)
        if reader is None:
            raise DataError(f"is of no known kind (known: {', '.join(READERS)})", where=name)
        rows = _guard(reader(path), path)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise DataError("has no rows", where=name, hint="give it at least one example")


def _guard(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    try:
        limits.check_file(path)
        yield from rows
    except limits.LimitError as error:
        line = f":{error.number}" if isinstance(error, limits.LineLimitError) else ""
        raise DataError(
            str(error),
            where=f"{path.name}{line}",
            hint="is it one object or record to a line?" if line else "split it into several tasks",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not UTF-8 text: {error.reason}",
            where=f"{path.name}:{_undecodable_line(path)}",
            hint="save the file as UTF-8",
        ) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from error


def _undecodable_line(path: Path) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")()
    number = 1
    with path.open("rb") as file:
        for piece in iter(partial(file.readline, PIECE), b""):
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                break
            number += piece.endswith(b"\n")
    return number


def read_jsonl(path: Path) -> Iterator[Row]:
    """Read JSON Lines: one object a line; empty lines are skipped."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(limits.read_lines(file), start=1):
            where = f"{path.name}:{number}"
            if not line.strip():
                continue
            try:
                columns = _DECODER.decode(line)
                _check_text(line, columns)
            except (ValueError, RecursionError) as error:
                raise DataError(f"is not valid JSON: {error}", where=where) from error
            if not isinstance(columns, dict):
                raise DataError(
                    f"expected an object, found {type(columns).__name__}",
                    where=where,
                    hint='each line is one object: {"question": "…", "answer": 0}',
                )
            yield Row(columns, where)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    columns = dict(pairs)
    if len(columns) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return columns


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; write null")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)


def _check_text(line: str, columns: Any) -> None:
    """Refuse half of a surrogate pair, which is no text: cut-off emoji are the usual cause."""
    if "\\u" in line:
        json.dumps(columns, ensure_ascii=False).encode()


def read_csv(path: Path) -> Iterator[Row]:
    """Read CSV with a header line; every value is text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = _RecordLines(limits.read_lines(file))
        reader = csv.reader(lines, strict=True)
        line = 1
        header: list[str] = []
        try:
            for values in reader:
                where = f"{path.name}:{line}"
                line = reader.line_num + 1
                lines.start_record(line)
                if not values:
                    continue
                if not header:
                    header = values
                    _check_header(header, where)
                    continue
                if len(values) != len(header):
                    raise DataError(
                        f"has {len(values)} values where the header has {len(header)} columns",
                        where=where,
                        hint='values with commas or line breaks stand in "quotes"',
                    )
                yield Row(dict(zip(header, values, strict=True)), where)
        except csv.Error as error:
            raise DataError(
                f"is not valid CSV: {error}",
                where=f"{path.name}:{line}",
                hint="longer texts fit into JSON Lines" if "field limit" in str(error) else None,
            ) from error


class _RecordLines:
    """Lines for the CSV reader, which makes one record of many where a quote stays open.

    Args:
        lines: The file's lines.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.start_record(1)

    def start_record(self, line: int) -> None:
        """Say at which line the next record starts."""
        self._first = line
        self._length = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._length += len(line)
        if self._length > limits.LONGEST_LINE:
            raise limits.LineLimitError(self._first, limits.LONGEST_LINE)
        return line


def _check_header(names: Sequence[str], where: str) -> None:
    for name in names:
        if not name.strip():
            raise DataError("a column has no name", where=where, hint="name each column")
        if names.count(name) > 1:
            raise DataError(
                f"column {name!r} stands twice", where=where, hint="give each its own name"
            )


def read_parquet(path: Path) -> Iterator[Row]:
    """Read Parquet with pyarrow in small batches, however large the file's row groups are."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            "reading Parquet needs pyarrow",
            where=path.name,
            hint="pip install 'pytest-muscle[parquet]'",
        ) from error
    try:
        file = pyarrow.parquet.ParquetFile(path, buffer_size=PARQUET_BUFFER, pre_buffer=False)
        _check_header(file.schema_arrow.names, path.name)
        number = 0
        for batch in file.iter_batches(PARQUET_ROWS):
            for columns in batch.to_pylist():
                number += 1
                yield Row(columns, f"{path.name}: row {number}")
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"is not readable Parquet: {error}", where=path.name) from error


def _read_datasets(source: str, root: Path) -> Iterator[Row]:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "reading it needs the datasets library",
            where=f"{DATASETS_PREFIX}{source}",
            hint="pip install 'pytest-muscle[datasets]'",
        ) from error
    rest, _, split = source.partition("#")
    rest, _, revision = rest.partition("@")
    where = f"{DATASETS_PREFIX}{source}"
    local = local_path(rest, root)
    if local.is_dir() and revision:
        raise DataError("a revision belongs to a data set on the hub", where=where)
    try:
        if local.is_dir():
            table = datasets.load_from_disk(str(local))
        else:
            name, config = _dataset_name(rest)
            table = datasets.load_dataset(name, config, revision=revision or None)
        if isinstance(table, dict):
            table = _pick_split(table, rest, split, where)
        elif split:
            raise DataError(
                f"has no splits, so no {split!r}", where=where, hint=f"leave out #{split}"
            )
        for number, columns in enumerate(table.with_format(None), start=1):
            yield Row(columns, f"{where}: row {number}")
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"cannot be loaded: {type(error).__name__}: {error}",
            where=where,
            hint="name a directory of save_to_disk, or a data set on the hub: "
            "datasets:owner/name/config@revision#split",
        ) from error


def _pick_split(tables: Mapping[str, Any], name: str, split: str, where: str) -> Any:
    splits = sorted(map(str, tables))
    if split not in tables:
        raise DataError(
            f"has no split {split!r}" if split else "which split?",
            where=where,
            hint=f"splits: {', '.join(splits)}; write {DATASETS_PREFIX}{name}#{splits[0]}",
        )
    return tables[split]


def _dataset_name(rest: str) -> tuple[str, str | None]:
    parts = rest.split("/")
    return "/".join(parts[:2]), "/".join(parts[2:]) or None


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
