"""Things in the cache: named by the fingerprint of all that made them, each made by one process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_muscle.digests import digest_json
from pytest_muscle.progress import Progress

ADAPTERS = "adapters"
PREDICTIONS = "predictions"
DEFINITIONS = "definitions"
TRAINING = ".training"
"""Folders of the cache; the last one is that of unfinished training, in `adapters`."""

FOLDERS = (ADAPTERS, f"{ADAPTERS}/{TRAINING}", PREDICTIONS, DEFINITIONS)
"""All of them, each after the one that it is in."""

DEVICE_NOTES = "device.json"
DIGEST_NOTES = "digests.json"
TASK_NOTES = "tasks.json"
"""Notebooks in the cache."""

LONGEST_NAME = 120
"""Bytes of a task's name in a file's name: file systems take 255 for all of it."""


@dataclass(frozen=True)
class CacheKey:
    """What makes a thing: the same key, the same thing.

    Attributes:
        task: Name of the task; only for the file's name.
        role: What the thing is: `old`, `new`, `compat`, or which examples of a definition, `eval`
            or `train`; only for the file's name.
        made_of: Everything that determines it, as JSON values.
    """

    task: str
    role: str
    made_of: Mapping[str, Any]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what makes the thing."""
        return digest_json(self.made_of)

    @property
    def name(self) -> str:
        """The name of its file or directory."""
        task = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in self.task)
        short = task.encode()[:LONGEST_NAME].decode(errors="ignore")
        return f"{short}-{self.role}-{self.fingerprint[:16]}"


@contextmanager
def sole_maker(directory: Path, key: CacheKey, progress: Progress, *, doing: str) -> Iterator[None]:
    """Hold the only right to make the thing of that key; other processes wait here.

    The right goes with the process that holds it, however that ends.

    Args:
        directory: Where the thing is kept; made if need be.
        key: What makes it.
        progress: Where waiting is shown.
        doing: What the other process does meanwhile, as "trains".

    Raises:
        OSError: If the directory cannot be made or written.
    """
    from filelock import FileLock, Timeout

    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / f".{key.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.say(f"waiting for another process that {doing} {key.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
