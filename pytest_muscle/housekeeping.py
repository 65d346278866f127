"""How much the cache holds, and taking it away."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pytest_muscle.cache import (
    ADAPTERS,
    DEFINITIONS,
    DEVICE_NOTES,
    DIGEST_NOTES,
    PREDICTIONS,
    TASK_NOTES,
    TRAINING,
)
from pytest_muscle.wording import counted

NOTEBOOKS = (DEVICE_NOTES, DIGEST_NOTES, TASK_NOTES)

_OURS = re.compile(r"\.?(?P<key>.+-(old|new|compat|eval|train)-[0-9a-f]{16})(\..+)?", re.DOTALL)
"""What stands under a key: the thing, its manifest, its lock, what a killed process left."""


class CacheContents(NamedTuple):
    """What there is of ours in a cache directory.

    Attributes:
        adapters: Number of trained adapters.
        tables: Number of tables of predictions.
        size: Bytes of all files.
        in_use: Number of things that another process is making and that were kept for that.
    """

    adapters: int
    tables: int
    size: int
    in_use: int = 0

    def describe(self) -> str:
        """Return it in words, as "3 adapters, 6 tables of predictions, 1.2 MB"."""
        words = (
            f"{counted(self.adapters, 'adapter')}, {counted(self.tables, 'table')} of predictions, "
            f"{_bytes(self.size)}"
        )
        return f"{words}; {self.in_use} in use by another process" if self.in_use else words


def cache_contents(cache: Path) -> CacheContents:
    """Return how much of ours a cache directory holds; nothing where there is none."""
    things = [path for paths in _things(cache).values() for path in paths]
    return _contents(things + _notes(cache))


def clear_cache(cache: Path) -> CacheContents:
    """Remove what is ours from a cache directory, and return what was removed.

    What another process is making is kept, and so are files that are not ours.

    Raises:
        OSError: If something cannot be removed.
    """
    from filelock import FileLock, Timeout

    removed = _notes(cache)
    in_use = 0
    for (folder, key), paths in _things(cache).items():
        lock = folder / f".{key}.lock"
        try:
            with FileLock(lock, timeout=0):
                removed += {*paths, lock}
        except Timeout:
            in_use += 1
    contents = _contents(removed)._replace(in_use=in_use)
    for path in removed:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder in (
        cache / ADAPTERS / TRAINING,
        cache / ADAPTERS,
        cache / PREDICTIONS,
        cache / DEFINITIONS,
        cache,
    ):
        with suppress(OSError):  # it is not there, or not empty
            folder.rmdir()
    return contents


def _things(cache: Path) -> dict[tuple[Path, str], list[Path]]:
    """Return what stands under each key, by the folder of its lock and the key's name."""
    things: dict[tuple[Path, str], list[Path]] = {}
    for folder in (cache / ADAPTERS, cache / PREDICTIONS, cache / DEFINITIONS):
        for path in [*_children(folder), *_children(folder / TRAINING)]:
            if match := _OURS.fullmatch(path.name):
                things.setdefault((folder, match["key"]), []).append(path)
    return things


def _notes(cache: Path) -> list[Path]:
    return [
        path
        for path in _children(cache)
        if path.name in NOTEBOOKS or path.name.startswith(tuple(f".{name}." for name in NOTEBOOKS))
    ]


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _contents(paths: Iterable[Path]) -> CacheContents:
    paths = list(paths)
    shown = [path for path in paths if not path.name.startswith(".")]
    return CacheContents(
        adapters=sum(path.parent.name == ADAPTERS for path in shown),
        tables=sum(path.parent.name == PREDICTIONS and path.suffix == ".jsonl" for path in shown),
        size=sum(map(_size, paths)),
    )


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


def _bytes(size: int) -> str:
    """Return a size in the largest unit that it fills: "1.2 MB"."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
