"""Digests of tasks' data, remembered, so that data that have not changed are not read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_muscle.digests import FileDigests, digest_json, is_digest
from pytest_muscle.errors import DataError
from pytest_muscle.libraries import library_versions
from pytest_muscle.limits import LimitError, check_file
from pytest_muscle.notebook import Notebook
from pytest_muscle.settings.locations import DATASETS_PREFIX
from pytest_muscle.settings.paths import local_path
from pytest_muscle.version import __version__

if TYPE_CHECKING:
    from pytest_muscle.tasks.task import Task

RENDERING_VERSION = 1
"""Goes up when the same file and table would give other examples, or these another digest."""

_ADAPTERS = {"old_adapter", "new_adapter", "compat_adapter"}
_DATA = {"eval", "train", "fewshot_data"}
_WITHOUT_EFFECT = {
    *_DATA,
    "gate",
    "tolerance",
    "slice_adjustment",
    "find_slices",
    *_ADAPTERS,
    *(f"{key}_revision" for key in _ADAPTERS),
}
"""Keys of a task's table that its examples do not depend on; of data, the content counts."""


class DigestMemory:
    """Remembers the digests of tasks' data by all that the examples are rendered from.

    A remembered digest also says that every row was usable. Sources of `datasets:` are read each
    time: what they hold cannot be seen from outside.

    Args:
        store: The JSON file where they are remembered; made on first use.
        files: Digests of the data files.
        writes: Whether new ones go there, not to this process's memory alone.
    """

    def __init__(self, store: Path, files: FileDigests, *, writes: bool = True) -> None:
        self._notebook = Notebook(store, is_digest, most=1000, writes=writes)
        self._files = files
        self._recalled: dict[tuple[str, str], str] = {}

    def recall(self, task: Task, part: Literal["eval", "train"], compute: Callable[[], str]) -> str:
        """Return the digest of a task's examples: remembered, or computed now.

        Args:
            task: The task.
            part: Which of its data.
            compute: Reads the data and returns the digest.

        Raises:
            DataError: If the data have to be read and a row is not usable.
        """
        key = self._key(task, part)
        if key is None:
            return compute()
        known = self._notebook.read().get(key)
        if known is not None:
            self._recalled[task.name, part] = key
            return str(known)
        digest = compute()
        if self._key(task, part) == key:  # the file is still the one that was read
            self._notebook.write({key: digest})
        return digest

    def check(self, task: Task, part: Literal["eval", "train"]) -> None:
        """Check that examples just read are those whose digest was recalled, if one was.

        Raises:
            DataError: If the data have changed in between.
        """
        recalled = self._recalled.get((task.name, part))
        if recalled is not None and self._key(task, part) != recalled:
            raise DataError(
                "changed while it was in use",
                where=str(getattr(task.settings, part)),
                hint="run again, now that it is finished",
            )

    def _key(self, task: Task, part: Literal["eval", "train"]) -> str | None:
        content = self._content(getattr(task.settings, part), task.root)
        if content is None:
            return None
        shots = None
        if task.settings.fewshot:
            shots = self._content(task.settings.fewshot_data or task.settings.train, task.root)
            if shots is None:
                return None
        table = asdict(task.settings) | {"metric": task.metric}  # what a plugin's stands for
        return digest_json(
            {
                "version": [RENDERING_VERSION, __version__],
                "libraries": library_versions("Jinja2", "pyarrow"),
                "part": part,
                "content": content,
                "fewshot": shots,
                "limit": task.limit if part == "eval" else None,
                "table": {key: table[key] for key in table.keys() - _WITHOUT_EFFECT},
            }
        )

    def _content(self, data: str | None, root: Path) -> str | None:
        """Return the digest of a data file, or none where it cannot be told from outside."""
        if data is None or data.startswith(DATASETS_PREFIX):
            return None
        path = local_path(data, root)
        try:
            check_file(path)
            return self._files.of([path], path.parent)
        except (OSError, LimitError):  # whoever reads it says what is wrong
            return None
