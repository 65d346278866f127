"""Small facts remembered in one JSON file, so that they need not be found out again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_muscle.limits import read_json

PATIENCE = 5.0
"""Seconds to wait for another process that writes; after that the notes are not written."""


class Notebook:
    """Notes by a text key; without them things take longer, nothing else.

    Several processes may write at the same time: each adds its notes to those that are there.

    Args:
        path: The file, made on first use.
        sound: Whether a note is one of ours; others are passed over and not kept.
        most: So many notes are kept, the latest.
        writes: Whether new notes go to the file, not to this process's memory alone.
    """

    def __init__(
        self,
        path: Path,
        sound: Callable[[Any], bool],
        *,
        most: int = 10_000,
        writes: bool = True,
    ) -> None:
        self._path = path
        self._sound = sound
        self._most = most
        self._writes = writes
        self._unwritten: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Return all notes; none where the file is missing or damaged."""
        try:
            notes = read_json(self._path)
        except (OSError, ValueError):
            notes = {}
        if not isinstance(notes, dict):
            notes = {}
        sound = {key: note for key, note in notes.items() if self._sound(note)}
        return sound | self._unwritten

    def write(self, notes: Mapping[str, Any], *, instead_of: Iterable[str] = ()) -> None:
        """Add notes, or do nothing where the file cannot be written.

        Args:
            notes: What to remember, as JSON values.
            instead_of: What the keys of outdated notes begin with.
        """
        if not self._writes:
            self._unwritten |= notes
        if not notes or not self._writes:
            return
        from filelock import FileLock, Timeout

        from pytest_muscle.atomic import write_text

        outdated = tuple(instead_of)
        with suppress(OSError, NotImplementedError, Timeout):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_name(f".{self._path.name}.lock"), timeout=PATIENCE):
                kept = self.read()
                for key in [key for key in kept if key in notes or key.startswith(outdated)]:
                    del kept[key]
                latest = list({**kept, **notes}.items())[-self._most :]
                write_text(self._path, json.dumps(dict(latest), indent=0))
