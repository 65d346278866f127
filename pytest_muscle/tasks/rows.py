"""Readers of data files: each gives rows with the place each stands at."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_muscle.errors import DataError
from pytest_muscle.settings.locations import DATASETS_PREFIX

MAX_LINE = 16 * 1024 * 1024


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
        path = (root / Path(data).expanduser()).resolve()
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
        yield from rows
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not UTF-8 text: {error}", where=path.name, hint="save the file as UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from error


def read_jsonl(path: Path) -> Iterator[Row]:
    """Read JSON Lines: one object a line; empty lines are skipped."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            where = f"{path.name}:{number}"
            if len(line) > MAX_LINE:
                raise DataError(f"line is longer than {MAX_LINE:,} characters", where=where)
            if not line.strip():
                continue
            try:
                columns = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"is not valid JSON: {error}", where=where) from error
            if not isinstance(columns, dict):
                raise DataError(
                    f"expected an object, found {type(columns).__name__}",
                    where=where,
                    hint='each line is one object: {"question": "…", "answer": 0}',
                )
            yield Row(columns, where)


def read_csv(path: Path) -> Iterator[Row]:
    """Read CSV with a header line; every value is text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, None)
            if header is None:
                return
            for name in header:
                if header.count(name) > 1 or not name:
                    raise DataError(
                        f"column {name!r} stands twice" if name else "a column has no name",
                        where=f"{path.name}:1",
                    )
            for values in reader:
                where = f"{path.name}:{reader.line_num}"
                if not values:
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
                f"is not valid CSV: {error}", where=f"{path.name}:{reader.line_num}"
            ) from error


def read_parquet(path: Path) -> Iterator[Row]:
    """Read Parquet with pyarrow, batch by batch."""
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
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches():
            for columns in batch.to_pylist():
                number += 1
                yield Row(columns, f"{path.name}: row {number}")
    except (pyarrow.ArrowException, OSError) as error:
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
    local = (root / Path(rest).expanduser()).resolve()
    where = f"{DATASETS_PREFIX}{source}"
    try:
        if (local.is_dir() and (local / "dataset_dict.json").is_file()) or (
            local.is_dir() and (local / "dataset_info.json").is_file()
        ):
            table = datasets.load_from_disk(str(local))
        else:
            name, config = _dataset_name(rest)
            table = datasets.load_dataset(name, config, revision=revision or None)
    except Exception as error:
        raise DataError(
            f"cannot be loaded: {type(error).__name__}: {error}",
            where=where,
            hint="name a directory of save_to_disk, or a data set on the hub: "
            "datasets:owner/name/config@revision#split",
        ) from error
    if isinstance(table, dict):
        splits = sorted(map(str, table))
        if split not in table:
            raise DataError(
                f"has no split {split!r}" if split else "which split?",
                where=where,
                hint=f"splits: {', '.join(splits)}; write {DATASETS_PREFIX}{rest}#{splits[0]}",
            )
        table = table[split]
    for number, columns in enumerate(table, start=1):
        yield Row(columns, f"{where}: row {number}")


def _dataset_name(rest: str) -> tuple[str, str | None]:
    parts = rest.split("/")
    return "/".join(parts[:2]), "/".join(parts[2:]) or None


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
