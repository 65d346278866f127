"""Examples by id, for those who show a few of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.task import Task


class ExamplesById(Mapping[Hashable, Example]):
    """A task's evaluation examples by id; their data are read when the first one is asked for.

    Args:
        task: The task.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getitem__(self, id_: Hashable) -> Example:
        return self._task.eval_by_id[id_]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._task.eval_by_id)

    def __len__(self) -> int:
        return len(self._task.eval_by_id)
