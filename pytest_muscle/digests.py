"""Digests of what determines a result: JSON values, files, directories."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_muscle.notebook import Notebook

TICK = 0.02
"""Seconds after which a file that changes again gets another time on a local file system."""


def canonical_json(value: Any) -> str:
    """Return `value` as JSON that is the same for equal values: sorted keys, no white space.

    Values that JSON does not know (dates, decimals, NumPy scalars of a Parquet file) go in as
    their text.
    """
    return _ENCODER.encode(_plain(value))


_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
_PLAIN = frozenset({str, int, bool, type(None)})


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not _PLAIN.issuperset(map(type, value)):
        return [_plain(item) for item in value]
    return value


def digest_json(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(_encode(canonical_json(value))).hexdigest()


class ListDigest:
    """The `digest_json` of `[*head, items]`, where the items come one by one and are not kept.

    Args:
        head: What stands before the list of items.
    """

    def __init__(self, *head: Any) -> None:
        self._sha256 = hashlib.sha256(_encode(canonical_json([*head, []])[: -len("]]")]))
        self._separator = ""

    def add(self, item: Any) -> None:
        """Add the next item."""
        self._sha256.update(_encode(f"{self._separator}{canonical_json(item)}"))
        self._separator = ","

    def hexdigest(self) -> str:
        """Return the digest of all items so far, 64 hexadecimal digits."""
        whole = self._sha256.copy()
        whole.update(b"]]")
        return whole.hexdigest()


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def line_check(line: bytes) -> str:
    """Return what stands behind a line so that an edited one is found: 16 digits of its SHA-256."""
    return hashlib.sha256(line).hexdigest()[:16]


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileDigests:
    """Digests of large files, remembered in one JSON file by path, size and times of change.

    Reading a model's weights takes longer than loading them lazily, so a file that has not
    changed is read once. The time of the last change of the inode counts too: a copy may keep
    the time of its source, and two versions of a model have files of the same size.

    Args:
        store: Where digests are remembered; made on first use.
        writes: Whether new ones go there, not to this process's memory alone.
    """

    def __init__(self, store: Path, *, writes: bool = True) -> None:
        self._notebook = Notebook(store, is_digest, writes=writes)

    def of(self, paths: Iterable[Path], root: Path) -> str:
        """Return one digest of the files' names (relative to `root`) and contents."""
        known = self._notebook.read()
        found = {}
        places = []
        parts = {}
        for path in sorted(paths):
            stat = path.stat()
            place = f"{path.resolve()}:"
            key = f"{place}{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
            if key not in known:
                _wait_for_the_clock(stat)
                known[key] = found[key] = digest_file(path)
                places.append(place)
            parts[path.relative_to(root).as_posix()] = known[key]
        self._notebook.write(found, instead_of=places)
        return digest_json(parts)


def _wait_for_the_clock(stat: os.stat_result) -> None:
    """Wait until a file that was written just now would get another time if it changed again."""
    age = time.time() - stat.st_ctime_ns / 1e9
    if 0 <= age < TICK:
        time.sleep(TICK - age)


def is_digest(value: Any) -> bool:
    """Return whether a value is a digest: 64 hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
