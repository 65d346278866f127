"""A history: a JSONL file that gets one line per run, and the last runs in it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_muscle.limits import check_file

LONGEST_WAIT = 60
"""Seconds to wait for other runs that append."""

MOST_RUNS = 30
"""Earlier runs that are shown."""

LARGEST_TAIL = 16 * 1024 * 1024
"""Bytes at the end of a history that runs are looked for in."""

LINE_VERSION = 1
"""Of the lines that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastFigures:
    """What a run came to for one task; what is none was not known.

    Attributes:
        n: Number of examples.
        passed: Whether all of its tests passed; none where none was run.
        nfr: Negative flip rate, old to new, 0-1.
        nfr_interval: Its exact two-sided 95 % interval.
        compat_nfr: Negative flip rate, old to compat.
        compat_nfr_interval: Its exact two-sided 95 % interval.
        old_accuracy: Of the old model, or its mean score.
        new_accuracy: Of the new model.
        compat_accuracy: Of the new model with the compat adapter.
    """

    n: int
    passed: bool | None = None
    nfr: float | None = None
    nfr_interval: tuple[float, float] | None = None
    compat_nfr: float | None = None
    compat_nfr_interval: tuple[float, float] | None = None
    old_accuracy: float | None = None
    new_accuracy: float | None = None
    compat_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One earlier run.

    Attributes:
        written: When, ISO 8601.
        commit: The commit that the CI service said it built, or that was checked out.
        new: The new model as it was configured.
        limit: Of each task only so many examples were looked at; none where all were.
        tasks: What it came to, by task; those that were compared.
    """

    written: str
    commit: str | None = None
    new: str | None = None
    limit: int | None = None
    tasks: Mapping[str, PastFigures]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The last runs of a history.

    Attributes:
        runs: The runs, the oldest first.
        skipped: How many lines among them are none that can be read.
    """

    runs: tuple[PastRun, ...] = ()
    skipped: int = 0


def read_history(path: Path | None, most: int = MOST_RUNS) -> History:
    """Return the last runs of a history; a file that is not there or cannot be read has none.

    Lines before those runs are not looked at. What is damaged or foreign is left out and counted.

    Args:
        path: The file, if there is one.
        most: Most runs.
    """
    if path is None or not path.exists():
        return History()
    try:
        lines = _last_lines(path)
    except (OSError, ValueError):  # whoever appends to it says why
        return History()
    runs: list[PastRun] = []
    skipped = 0
    for line in reversed(lines):
        if len(runs) == most:
            break
        if not line.strip():
            continue
        run = read_run(line)
        if run is None:
            skipped += 1
        else:
            runs.append(run)
    return History(runs=tuple(reversed(runs)), skipped=skipped)


def _last_lines(path: Path) -> list[bytes]:
    check_file(path)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - LARGEST_TAIL))
        lines = file.read(LARGEST_TAIL).split(b"\n")
    return lines[1:] if start else lines  # the first of them is cut


def read_run(line: bytes) -> PastRun | None:
    """Return a line of a history as a run; none where it is damaged or something else."""
    try:
        values = json.loads(line)
        if values["version"] != LINE_VERSION:
            return None
        written = values["written"]
        datetime.fromisoformat(written)
        return PastRun(
            written=written,
            commit=_text(values.get("commit")),
            new=_text(values.get("new")),
            limit=_count(values.get("limit")),
            tasks={
                _text(task["name"]) or "": _read_figures(task)
                for task in values["tasks"]
                if "n" in task
            },
        )
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _read_figures(task: Mapping[str, Any]) -> PastFigures:
    """Return a task's figures.

    Raises:
        TypeError: If one is of another kind.
        ValueError: If one is out of range.
    """
    rates = {name: _rate(task.get(name)) for name in ("nfr", "compat_nfr")}
    intervals = {f"{name}_interval": _interval(task.get(f"{name}_interval")) for name in rates}
    accuracies = {
        name: _finite(task.get(name))
        for name in ("old_accuracy", "new_accuracy", "compat_accuracy")
    }
    passed, n = task.get("passed"), task["n"]
    if type(n) is not int or n < 0 or not (passed is None or isinstance(passed, bool)):
        raise TypeError
    values: dict[str, Any] = {**rates, **intervals, **accuracies}
    return PastFigures(n=n, passed=passed, **values)


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value


def _count(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise TypeError
    return value


def _finite(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _rate(value: Any) -> float | None:
    rate = _finite(value)
    if rate is not None and not 0 <= rate <= 1:
        raise ValueError
    return rate


def _interval(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = map(_rate, value)
    if low is None or high is None or low > high:
        raise ValueError
    return low, high


def append_line(path: Path, line: str) -> None:
    """Append a line whole or not at all; runs that append at once wait for each other.

    What stands in the file is not read and not changed, except that an unfinished last line is
    ended first.

    Args:
        path: The file; it and its folder are made if need be.
        line: The line, with its line break.

    Raises:
        OSError: If it cannot be written; the file is then as it was.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=LONGEST_WAIT)
    with lock, path.open("a+b", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        if before:
            file.seek(before - 1)
            if file.read(1) != b"\n":
                line = f"\n{line}"
        try:
            left = memoryview(line.encode())
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(before)
            raise
