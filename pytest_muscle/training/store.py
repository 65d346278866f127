"""Stored adapters: PEFT directories under the fingerprint of all that made them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_muscle.atomic import new_directory
from pytest_muscle.cache import TRAINING, CacheKey, sole_maker
from pytest_muscle.errors import MuscleError, TrainingError
from pytest_muscle.limits import read_json
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


class AdapterKey(CacheKey):
    """What makes an adapter: models, adapters, data, recipe, code version."""


class AdapterStore:
    """The adapters in a cache directory.

    Args:
        directory: Where they are; made on first use.
        progress: Where waiting is shown.
        writes: Whether what is not needed any more may be removed from it.
    """

    def __init__(self, directory: Path, progress: Progress, *, writes: bool = True) -> None:
        self.directory = directory
        self._progress = progress
        self._writes = writes

    def path(self, key: AdapterKey) -> Path:
        """Return the directory of an adapter, whether or not it is there."""
        return self.directory / key.name

    def work_directory(self, key: AdapterKey) -> Path:
        """Return the directory of an adapter's training checkpoints."""
        return self.directory / TRAINING / key.name

    def end_training(self, key: AdapterKey) -> None:
        """Remove what training needed; no half of it passes for the whole if that is cut short."""
        if not self._writes:
            return
        work = self.work_directory(key)
        aside = work.with_name(f".{work.name}.old")
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            work.replace(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def find(self, key: AdapterKey) -> Adapter | None:
        """Return the stored adapter of that key, or none."""
        path = self.path(key)
        try:
            facts = read_json(path / FACTS)
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
        with ExitStack() as stack:
            try:
                stack.enter_context(sole_maker(self.directory, key, self._progress, doing="trains"))
            except OSError as error:
                raise TrainingError(
                    f"the cache cannot be made: {first_line(error)}",
                    where=str(self.directory),
                    hint="name another one with --muscle-cache or [run] cache",
                ) from error
            yield

    @contextmanager
    def new(self, key: AdapterKey, facts: dict[str, Any]) -> Iterator[Path]:
        """Give a directory to save the adapter in; it is stored when the block ends well.

        `facts` may be filled until the block ends. Call it under the lock: it removes what a
        killed process left unfinished.
        """
        for part in self.directory.glob(f".{key.name}.*.part"):
            shutil.rmtree(part, ignore_errors=True)
        work = self.work_directory(key)
        if work.is_symlink():  # what training writes stays in the cache
            work.unlink()
        with new_directory(self.path(key)) as directory:
            yield directory
            record = {**facts, "fingerprint": key.fingerprint, "made_of": key.made_of}
            text = json.dumps(record, indent=2, sort_keys=True, default=str)
            with writing("an adapter", self.directory):
                (directory / FACTS).write_text(text + "\n", encoding="utf-8")


@contextmanager
def writing(what: str, directory: Path) -> Iterator[None]:
    """Turn what goes wrong when something is written into an error that says what to do.

    Raises:
        TrainingError: If the block fails; torch and safetensors have errors of many kinds.
    """
    try:
        yield
    except MuscleError:
        raise
    except Exception as error:
        raise TrainingError(
            f"{what} cannot be written: {first_line(error)}",
            where=str(directory),
            hint="is there room on the disk? The next run goes on from the last checkpoint",
        ) from error
