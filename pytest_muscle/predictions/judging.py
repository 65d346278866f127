"""From a model's log-likelihoods to a table of its answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_muscle.predictions.columns import Columns, ColumnsBuilder

if TYPE_CHECKING:
    from pytest_muscle.tasks import Example, Task


def judge(task: Task, examples: Iterable[Example], scored: Iterable[tuple[float, ...]]) -> Columns:
    """Return the answers that a task's metric chooses, one row per example.

    Args:
        task: Its metric chooses.
        examples: What was asked.
        scored: The log-likelihoods of each example's options, in the order of `examples`; both
            are gone through once and neither is kept.

    Raises:
        ModelError: If a log-likelihood is not a number.
        ConfigurationError: If the metric fails or chooses what is no option.
    """
    rows = ColumnsBuilder(where=task.name)
    for example, loglikelihoods in zip(examples, scored, strict=True):
        answer = task.answer(loglikelihoods, example)
        correct = answer == example.gold
        rows.add(
            example.id,
            answer,
            example.gold,
            correct=correct,
            score=float(correct),
            loglikelihoods=loglikelihoods,
            digest=example.digest,
        )
    return rows.build()
