"""Stored adapters: PEFT directories under the fingerprint of all that made them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from pytest_muscle.atomic import new_directory
from pytest_muscle.digests import digest_json
from pytest_muscle.errors import TrainingError
from pytest_muscle.models.spec import first_line
from pytest_muscle.progress import Progress

FACTS = "muscle.json"


@dataclass(frozen=True)
class Adapter:
    """An adapter on disk: an ordinary PEFT directory.

    Attributes:
        path: The directory; `PeftModel.from_pretrained(base, path)` loads it.
        origin: Given by the user, found under its fingerprint, or trained now.
        fingerprint: SHA-256 of all that made it; none if it was given.
        facts: How it was trained: recipe, steps, losses, duration.
    """

    path: Path
    origin: Literal["given", "stored", "trained"]
    fingerprint: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AdapterKey:
    """What makes an adapter: the same key, the same adapter.

    Attributes:
        task: Name of the task; only for the directory's name.
        role: What the adapter is: `old`, `new` or `compat`; only for the directory's name.
        made_of: Models, adapters, data, recipe, code version, as JSON values.
    """

    task: str
    role: str
    made_of: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what makes the adapter."""
        return digest_json(self.made_of)

    @property
    def name(self) -> str:
        """The directory's name."""
        task = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in self.task)
        return f"{task}-{self.role}-{self.fingerprint[:16]}"


class AdapterStore:
    """The adapters in a cache directory.

    Args:
        directory: Where they are; made on first use.
        progress: Where waiting is shown.
    """

    def __init__(self, directory: Path, progress: Progress) -> None:
        self.directory = directory
        self._progress = progress

    def path(self, key: AdapterKey) -> Path:
        """Return the directory of an adapter, whether or not it is there."""
        return self.directory / key.name

    def work_directory(self, key: AdapterKey) -> Path:
        """Return the directory of an adapter's training checkpoints."""
        return self.directory / ".training" / key.name

    def find(self, key: AdapterKey) -> Adapter | None:
        """Return the stored adapter of that key, or none."""
        path = self.path(key)
        try:
            facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        complete = (path / "adapter_model.safetensors").is_file()
        if not complete or not isinstance(facts, dict):
            return None
        if facts.get("fingerprint") != key.fingerprint:
            return None
        return Adapter(path, "stored", key.fingerprint, facts)

    @contextmanager
    def lock(self, key: AdapterKey) -> Iterator[None]:
        """Hold the only right to make the adapter of that key; others wait here.

        The lock goes with the process that holds it, however that ends.

        Raises:
            TrainingError: If the store's directory cannot be made.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(
                f"the cache cannot be made: {first_line(error)}",
                where=str(self.directory),
                hint="name another one with --muscle-cache or [run] cache",
            ) from error
        lock = FileLock(self.directory / f".{key.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._progress.say(f"waiting for another process that trains {key.name}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def new(self, key: AdapterKey, facts: dict[str, Any]) -> Iterator[Path]:
        """Give a directory to save the adapter in; it is stored when the block ends well.

        `facts` may be filled until the block ends. Call it under the lock: it removes what a
        killed process left unfinished.
        """
        for part in self.directory.glob(f".{key.name}.*.part"):
            shutil.rmtree(part, ignore_errors=True)
        with new_directory(self.path(key)) as directory:
            yield directory
            record = {**facts, "fingerprint": key.fingerprint, "made_of": key.made_of}
            text = json.dumps(record, indent=2, sort_keys=True, default=str)
            (directory / FACTS).write_text(text + "\n", encoding="utf-8")
