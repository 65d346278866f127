"""A history: a JSONL file that gets one line per run."""

from __future__ import annotations

import os
from pathlib import Path

LONGEST_WAIT = 60
"""Seconds to wait for other runs that append."""


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
