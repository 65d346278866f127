"""Warnings, once the old answers are there, of gates that can tell nothing of a new model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pytest_muscle.errors import ConfigurationError, MuscleWarning
from pytest_muscle.plans import plan_flips
from pytest_muscle.references import is_reference
from pytest_muscle.settings.table import join

if TYPE_CHECKING:
    from pytest_muscle.predictions import Predictions
    from pytest_muscle.settings import Settings
    from pytest_muscle.tasks import Task


def warn_of_hopeless_gate(settings: Settings, task: Task, n: int) -> None:
    """Warn of a limit that no new model can keep with so few examples.

    Args:
        settings: What the user configured.
        task: The task whose gate it is.
        n: Number of examples.

    Raises:
        ConfigurationError: If warnings are refused.
    """
    from pytest_muscle.reports.plan import describe_hopeless

    planned = plan_flips(task.gate, n)
    if planned is None or not planned.never_passes:
        return
    error = ConfigurationError(
        f"can never pass: {describe_hopeless(planned.gate)}",
        where=f"{settings.path.name}: {join('tasks', task.name)}.gate.max_nfr",
        hint="`pytest --muscle-plan` says what a gate can tell",
    )
    if settings.strict:
        raise error
    warnings.warn(str(error), MuscleWarning, stacklevel=2)


def warn_of_nothing_right(settings: Settings, task: Task, table: Predictions) -> None:
    """Warn of an old model that leaves nothing to break: every gate on flips passes then.

    Args:
        settings: What the user configured.
        task: The task.
        table: The old model's answers to it.
    """
    if table.can_flip.any() or (table.graded and is_reference(task.metric)):
        return
    problem = f"the old model has none of {len(table)} examples right: none can flip"
    if all(answer is None for answer in table.columns.answers):
        problem = f"no answer was found in what the old model wrote to {len(table)} examples"
    error = ConfigurationError(
        f"{problem}, whatever the new one answers",
        where=f"{settings.path.name}: {join('tasks', task.name)}",
        hint="look at prompt, gold, and for written answers at extract and max_new_tokens",
    )
    warnings.warn(str(error), MuscleWarning, stacklevel=2)
