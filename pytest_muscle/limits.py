"""How long a line and how large a file may be: an endless one is refused, not read into memory."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, AnyStr

LONGEST_LINE = 16 * 1024 * 1024
"""Characters in one line of a data file or a table of predictions; in one row of CSV too."""

LARGEST_FILE = 64 * 1024**3
"""Bytes of a data file or a table of predictions, which are read piece by piece."""

LARGEST_DOCUMENT = 4 * 1024 * 1024
"""Bytes of a file that is read as a whole: configuration, manifest, notes, adapter_config.json."""


class LimitError(ValueError):
    """A line or a file is longer than the limit."""


class LineLimitError(LimitError):
    """A line is longer than the limit.

    Args:
        number: Number of the line, from 1.
        limit: Most characters.
    """

    def __init__(self, number: int, limit: int) -> None:
        self.number = number
        super().__init__(f"line is longer than {limit:,} characters")


def read_document(path: Path) -> bytes:
    """Return the content of a file that is read as a whole.

    Raises:
        OSError: If it cannot be read or is no file.
        LimitError: If it is larger than `LARGEST_DOCUMENT`.
    """
    check_file(path, LARGEST_DOCUMENT)
    with path.open("rb") as file:
        content = file.read(LARGEST_DOCUMENT + 1)
    if len(content) > LARGEST_DOCUMENT:  # it has grown since, or its size is not known
        raise LimitError(f"is larger than {LARGEST_DOCUMENT:,} bytes")
    return content


def read_json(path: Path) -> Any:
    """Return the JSON value that is a file's whole content.

    Raises:
        OSError: If it cannot be read or is no file.
        ValueError: If it is too large, not UTF-8 text or not JSON, or nested too deep.
    """
    text = read_document(path).decode("utf-8-sig")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def check_file(path: Path, most: int | None = None) -> None:
    """Check that a file may be read: one that is a pipe or a device could last for ever.

    Args:
        path: The file.
        most: Most bytes; left out: `LARGEST_FILE`.

    Raises:
        OSError: If it is not there or neither a file nor a folder.
        LimitError: If it is too large.
    """
    limit = LARGEST_FILE if most is None else most
    found = os.stat(path)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(f"it is not a regular file: {str(path)!r}")
    if stat.S_ISREG(found.st_mode) and found.st_size > limit:
        raise LimitError(f"is larger than {limit:,} bytes")


def read_lines(file: IO[AnyStr]) -> Iterator[AnyStr]:
    """Yield a file's lines with their ends.

    Raises:
        LineLimitError: For a line of more than `LONGEST_LINE` characters (bytes, of a file opened
            for bytes), before the rest of it is read.
    """
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise LineLimitError(number, LONGEST_LINE)
        yield line
