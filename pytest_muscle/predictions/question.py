"""Which of a task's examples a model is asked."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_muscle.digests import digest_json
from pytest_muscle.references import is_reference

if TYPE_CHECKING:
    from pytest_muscle.predictions.prediction import Predictions
    from pytest_muscle.tasks import Example, Task
    from pytest_muscle.tasks.examples import SomeExamples


@dataclass(frozen=True)
class Question:
    """All of a task's evaluation examples, or those that matter.

    Attributes:
        task: The task.
        ids: Ids of the examples that are asked; none for all.
        unasked: Ids of the others.
    """

    task: Task
    ids: tuple[Hashable, ...] | None = None
    unasked: tuple[Hashable, ...] = ()

    @classmethod
    def needed(cls, task: Task, old: Predictions) -> Question:
        """Return the examples that can be negative flips: those that the old model has right.

        Of graded scores those that can fall; by a metric of the user's own any can, as it may go
        below zero.
        """
        if old.graded and is_reference(task.metric):
            return cls(task)
        columns, wanted = old.columns, old.can_flip
        return cls(task, tuple(columns.ids[wanted]), tuple(columns.ids[~wanted]))

    @classmethod
    def same_as(cls, task: Task, table: Predictions) -> Question:
        """Return the examples that a table answers."""
        return cls(task, tuple(table.columns.ids))

    @property
    def examples(self) -> Sequence[Example] | SomeExamples:
        """The examples that are asked, in the order of the data."""
        return self.task.eval if self.ids is None else self.task.eval_by_id.select(self.ids)

    @property
    def digest(self) -> str | None:
        """SHA-256 of the ids that are asked; none for all of the task's."""
        return None if self.ids is None else digest_json(self.ids)
