"""Recording baselines: a model's answers become what later versions are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_muscle.comparison import compare
from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions.differences import find_differences
from pytest_muscle.reports.flips import render_flips
from pytest_muscle.reports.numbers import percent

if TYPE_CHECKING:
    from pytest_muscle.predictions import Predictions
    from pytest_muscle.predictions.differences import Differences
    from pytest_muscle.task_models import Side
    from pytest_muscle.update import ModelUpdate


def record_baseline(
    update: ModelUpdate, side: Side, task: str, *, flips_shown: int | None = 10
) -> list[str]:
    """Record a side's answers as a task's baseline.

    Args:
        update: The update.
        side: Whose answers.
        task: Name of the task.
        flips_shown: How many examples that are wrong now to list at most; none lists all.

    Returns:
        Lines that say what was recorded and what changed since the baseline before.

    Raises:
        MuscleError: If data or model are not usable, or the files cannot be written.
    """
    baselines = update.baselines
    table = update.answers(side, task)
    earlier: Predictions | None = None
    lines: list[str] = []
    if baselines.has(task):
        try:
            earlier = baselines.load(task)
        except PredictionsError as error:
            lines.append(f"  the earlier one cannot be compared: {error.where}: {error.problem}")
    changes = _changes(update, task, earlier, table, flips_shown) if earlier else []
    baselines.write(update.task(task), table)
    said = f"{task}: {len(table)} examples, accuracy {percent(table.accuracy)}, answered by "
    return [f"{said}{table.model}", f"  written: {baselines.show(task)}", *lines, *changes]


def _changes(
    update: ModelUpdate,
    name: str,
    earlier: Predictions,
    table: Predictions,
    flips_shown: int | None,
) -> list[str]:
    task = update.task(name)
    differences = find_differences(earlier, task, lambda: update.baselines.questions(name))
    said = f"  the earlier one: answered by {earlier.model}"
    if differences.judged_otherwise:
        return [f"{said}, not comparable:", *_indented(differences)]
    lines = [f"{said}, accuracy {percent(earlier.accuracy)}"]
    if differences:
        lines += ["  what is asked has changed:", *_indented(differences)]
    kept = differences.comparable
    if kept is not None:
        if not kept.any():
            return lines
        earlier = earlier.only(kept)
    ids = set(earlier.columns.ids)
    same = np.fromiter((id_ in ids for id_ in table.columns.ids), np.bool_, len(table))
    report = compare(earlier, table.only(same))
    negative, positive = len(report.negative_flips), len(report.positive_flips)
    if not negative and not positive:
        return [*lines, f"  since then no answer of {report.n} became right or wrong"]
    lines.append(f"  since then {negative} of {report.n} became wrong and {positive} right")
    return [*lines, render_flips(report, "new", flips_shown)] if negative else lines


def _indented(differences: Differences) -> list[str]:
    return [f"  {line}" for line in differences.describe()]
