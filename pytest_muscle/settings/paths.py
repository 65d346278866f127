"""What a configured path means: `~` expanded, relative to the file's or the flag's directory."""

from __future__ import annotations

import os
from pathlib import Path


def baseline_path(directory: Path, task: str) -> Path:
    """Return the file of a task's baseline in the directory of baselines."""
    return directory / f"{task}.jsonl"


def local_path(name: str, root: Path) -> Path:
    """Return the absolute path that `name` means; never raises, whatever the user wrote."""
    try:
        return Path(os.path.realpath(os.path.join(root, os.path.expanduser(name))))
    except (ValueError, OSError):  # a NUL character: no such file can exist
        return root / name
