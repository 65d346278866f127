"""Files and directories that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` (UTF-8) so that a reader sees the old file or the new one."""
    write_texts({path: text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write files that belong together: none appears before all of them are on disk."""
    parts: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            parts[path] = _beside(path, "part")
            with parts[path].open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        for path, part in parts.items():
            os.replace(part, path)
    except BaseException:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give an empty directory to fill; it becomes `path` when the block ends without an error.

    What was at `path` before is moved aside first, and comes back if the new one cannot be put
    there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(path, "part")
    part.mkdir()
    try:
        yield part
        _put(part, path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _put(part: Path, path: Path) -> None:
    if not os.path.lexists(path):
        os.replace(part, path)
        return
    aside = _beside(path, "old")
    os.replace(path, aside)
    try:
        os.replace(part, path)
    except BaseException:
        os.replace(aside, path)
        raise
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()


def _beside(path: Path, suffix: str) -> Path:
    """Return a new hidden name in the folder of `path`; its mode is the user's, as of any file."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.{suffix}")
