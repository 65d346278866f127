"""Whether the tables of a configuration go together; neither data nor models are read for it."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import Settings
from pytest_muscle.settings.table import join
from pytest_muscle.tasks import Task


def check_configuration(settings: Settings, tasks: Iterable[Task]) -> None:
    """Check templates, metrics and limits of the tasks, logs, the strategy and the noise floor.

    Args:
        settings: What the user configured.
        tasks: Its tasks.

    Raises:
        ConfigurationError: It names file and key.
    """
    from pytest_muscle.training.objectives import find_objective

    asked = []
    for task in tasks:
        if task.is_imported:
            from pytest_muscle.imported import check_imported

            check_imported(settings, task)
        else:
            asked.append(task)
    for task in asked:
        if task.settings.task is None:  # a definition has to be loaded first
            check_task(task)
    find_objective(settings.compat.strategy, where=f"{settings.path.name}: compat.strategy")
    if settings.noise.vary is not None:
        from pytest_muscle.builds import check_noise

        check_noise(settings, asked)


def check_task(task: Task) -> None:
    """Check templates, metric and limits of a task that models are asked.

    Raises:
        MuscleError: It names file and key.
    """
    _ = task.renderer
    if task.is_graded and task.gate.max_inconsistency is not None:
        raise ConfigurationError(
            "is known of right and wrong answers, and this task has graded scores",
            where=f"{task.file}: {join('tasks', task.name)}.gate.max_inconsistency",
            hint="set it in [tasks.NAME.gate] of other tasks, not in [gate]",
        )
