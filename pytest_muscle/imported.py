"""The tables of a task of kind "predictions": read from logs, no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_muscle.errors import ConfigurationError, PredictionsError, nearest
from pytest_muscle.plans import TaskPlan, plan_task
from pytest_muscle.settings.logs import find_log
from pytest_muscle.settings.table import join
from pytest_muscle.tasks.example import Example

if TYPE_CHECKING:
    from pytest_muscle.predictions import Predictions
    from pytest_muscle.settings import Settings
    from pytest_muscle.task_models import Side
    from pytest_muscle.tasks import Task


def check_imported(settings: Settings, task: Task) -> None:
    """Check that a task's logs are there.

    Raises:
        ConfigurationError: If not, or the importer or an option is unknown.
    """
    from pytest_muscle.importers import check_reference

    for side in ("old", "new"):
        log = find_log(settings, side, task.name)
        assert log is not None  # the settings were checked
        try:
            check_reference(log.text, settings.root)
        except PredictionsError as error:
            raise ConfigurationError(error.problem, where=log.where, hint=error.hint) from error


def read_imported(
    settings: Settings, task: Task, side: Side, old: Predictions | None
) -> Predictions:
    """Return the table that a task's log holds.

    Args:
        settings: They name the log, and how many examples are looked at.
        task: The task.
        side: Whose answers.
        old: The old model's table, where `side` is another: of fewer examples the new model's are
            those that the old table has.

    Raises:
        ConfigurationError: If it is the compat model's answers, or a column to slice by is missing.
        PredictionsError: If the log is not usable.
    """
    from pytest_muscle.importers import import_predictions

    if side == "compat":
        raise ConfigurationError(
            f"the answers to task {task.name!r} are read, so there is no compat model",
            where=f"{task.file}: {join('tasks', task.name)}",
            hint="compare old_predictions with new_predictions; or set another kind and name "
            "models, from which a compat adapter is trained",
        )
    log = find_log(settings, side, task.name)
    assert log is not None  # the settings were checked
    try:
        table = import_predictions(log.text, settings.root)
    except PredictionsError as error:
        where = log.where if error.where is None else f"{log.where}: {error.where}"
        raise PredictionsError(
            error.problem, where=where, hint=error.hint, details=error.details
        ) from error
    if settings.limit is not None:
        kept = set(table.columns.ids[: settings.limit] if old is None else old.columns.ids)
        among = (id_ in kept for id_ in table.columns.ids)
        table = table.only(np.fromiter(among, np.bool_, len(table)))
    columns = task.settings.slices
    _check_slices(table, columns, f"{task.file}: {join('tasks', task.name)}.slices")
    return replace(table, task=task.name, tolerance=task.tolerance, slices=columns)


def plan_imported(old: Predictions, task: Task, power: float) -> TaskPlan:
    """Plan a task's limits on negative flips with the examples of the old model's log."""
    known = old.examples or {}
    examples = [known.get(id_) or Example(id_, "", (), None) for id_ in old.columns.ids]
    return plan_task(task.name, task.settings, examples, power)


def _check_slices(table: Predictions, columns: Sequence[str], where: str) -> None:
    """Raise if an example lacks a column that is to be sliced by."""
    if not columns:
        return
    known = table.examples or {}
    for id_ in table.columns.ids:
        fields = known[id_].fields if id_ in known else {}
        for column in columns:
            if column not in fields:
                raise ConfigurationError(
                    f"the log says nothing of {column!r} for example {id_!r}",
                    where=where,
                    hint=nearest(column, fields),
                )
