"""Whether two models' answers to the same examples can be compared, and where they flip."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_muscle.comparison.pairs import agree, count, equal, graded_flips
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.columns import Columns
from pytest_muscle.predictions.packed import Mask, Objects, Positions
from pytest_muscle.predictions.stop import ASK_ALL, Stop
from pytest_muscle.wording import counted, listed

Draws: TypeAlias = NDArray[np.float64] | None


def refuse_other_marks(old: Predictions, new: Predictions, task: str | None) -> None:
    """Raise where one table has graded scores or several draws and the other has not."""
    if old.graded != new.graded and _is_answered(old) and _is_answered(new):
        graded, other = ("old", "new") if old.graded else ("new", "old")
        raise ComparisonError(
            f"the {graded} scores are graded, and the {other} answers are right or wrong",
            where=task,
            hint="judge both by one metric: make the predictions again",
        )
    if old.tolerance != new.tolerance:
        raise ComparisonError(
            f"the old scores have a tolerance of {old.tolerance:g}, the new ones of "
            f"{new.tolerance:g}",
            where=task,
            hint="compare both with one: dataclasses.replace(predictions, tolerance=…)",
        )


def _is_answered(table: Predictions) -> bool:
    """Return whether an answer is there to tell graded scores from right and wrong ones."""
    answers: list[Any] = table.columns.answers.tolist()
    return table.graded or any(answer is not None for answer in answers)


def pair_draws(before: Columns, after: Columns, task: str | None) -> tuple[Draws, Draws]:
    """Return the scores of each draw, [n, k] of both sides, or none where answers are single."""
    if (before.draws is None and after.draws is None) or not len(after):
        return None, None
    both = []
    for name, columns in (("old", before), ("new", after)):
        table = None if columns.draws is None else columns.draws.as_table()
        if table is None:
            raise ComparisonError(
                f"the {name} model's answers were not drawn equally often for every example",
                where=task,
                hint="draw all answers of both models `repeats` times: make the predictions again",
            )
        both.append(table)
    return both[0], both[1]


def find_flips(before: Columns, after: Columns, tolerance: float | None, task: str | None) -> Mask:
    """Return where answers to the same examples, in the same order, are negative flips, [n].

    Args:
        before: The old model's answers.
        after: The new model's.
        tolerance: Of graded scores; none of right and wrong answers.
        task: Name of the task, for errors.

    Raises:
        ComparisonError: If answers were not drawn equally often for every example.
    """
    if tolerance is None:
        return before.correct & ~after.correct
    old_draws, new_draws = pair_draws(before, after, task)
    return graded_flips((before.scores, old_draws), (after.scores, new_draws), tolerance)[0]


def refuse_other_stop(
    old: Predictions, asked: int, flips: int, stop: Stop, task: str | None
) -> None:
    """Raise where a model was stopped while it was held against another old one."""
    same = (asked, flips, len(old)) == (stop.asked, stop.flips, stop.population)
    if not same or stop.can_flip not in (count(old.can_flip), len(old)):
        raise ComparisonError(
            "the new model was stopped early, by other old predictions than these",
            where=task,
            hint=f"compare both tables as they were made, or {ASK_ALL} and make them again",
        )


def check_answers(
    before: Columns, after: Columns, order: Positions | None, task: str | None
) -> None:
    """Refuse answers to different questions, by different gold answers, or without a score."""
    ids = before.ids
    aligned = slice(None) if order is None else order
    if before.digests is not None and after.digests is not None:
        digests = after.digests if order is None else after.digests.take(order)
        refuse(
            before.digests.differ(digests),
            ids,
            "the old and the new model were asked different questions",
            task,
            "the data or the prompt changed in between: record the old predictions again",
        )
    refuse(
        ~agree(before.gold, after.gold[aligned]),
        ids,
        "the old and the new predictions have different gold answers",
        task,
        "judge both by the same gold answers: record the old predictions again",
    )
    scores = {"old": before.scores, "new": after.scores[aligned]}
    for name, column in scores.items():
        refuse(
            ~np.isfinite(column),
            ids,
            f"the score of the {name} answer is not a finite number",
            task,
            "a metric returns a number for every answer, empty ones included",
        )
    if min(column.min(initial=0.0) for column in scores.values()) < 0:
        unanswered = {"old": before, "new": after.take(np.arange(len(after))[aligned])}
        for name, columns in unanswered.items():
            _refuse_missing_answers(columns, name, task)


def _refuse_missing_answers(columns: Columns, name: str, task: str | None) -> None:
    """Refuse texts without an answer, which count 0, where that is not the lowest score."""
    if columns.texts is not None:
        refuse(
            equal(columns.answers, np.full(len(columns), None)),
            columns.ids,
            f"scores go below 0, which the {name} model's missing answers count",
            task,
            "let the metric return 0 for the worst answer and more for better ones",
        )


def refuse(wrong: Mask, ids: Objects, problem: str, where: str | None, hint: str) -> None:
    """Raise where something is wrong, and name the ids of those examples."""
    if wrong.any():
        named = [ids[position] for position in np.flatnonzero(wrong)]
        raise ComparisonError(
            f"{problem} for {counted(len(named), 'id')}: {listed(named)}", where=where, hint=hint
        )
