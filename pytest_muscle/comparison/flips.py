"""The examples that flipped, with what was answered before and after."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_muscle.predictions.packed import Positions

if TYPE_CHECKING:
    from pytest_muscle.comparison.report import FlipReport
    from pytest_muscle.tasks.example import Example


@dataclass(frozen=True, slots=True)
class Flip:
    """One example that flipped.

    Attributes:
        id: The example's id.
        gold: The gold answer.
        old_answer: What the old model answered.
        new_answer: What the new model answered.
        example: The example, where it is at hand.
        old_score: The metric's value for the old answer; none unless scores are graded.
        new_score: The metric's value for the new answer; none unless scores are graded.
        old_text: What the old model wrote, where it wrote a text.
        new_text: What the new model wrote, where it wrote a text.
    """

    id: Hashable
    gold: Any
    old_answer: Any
    new_answer: Any
    example: Example | None = None
    old_score: float | None = None
    new_score: float | None = None
    old_text: str | None = None
    new_text: str | None = None


def list_flips(report: FlipReport, limit: int | None) -> tuple[Flip, ...]:
    """Return a comparison's negative flips, the first `limit` of them.

    Args:
        report: The comparison.
        limit: Most flips; none for all.
    """
    pairs, examples = report.pairs, report.examples
    positions = np.flatnonzero(pairs.seen_negative)
    if pairs.graded:
        falls = pairs.old_scores[positions] - pairs.new_scores_at(positions)
        positions = positions[np.argsort(-falls, kind="stable")]
    positions = positions[:limit]
    rows = zip(
        positions,
        pairs.new_answers_at(positions),
        pairs.new_scores_at(positions).tolist() if pairs.graded else [None] * len(positions),
        *texts_at(report, positions),
        strict=True,
    )
    return tuple(
        Flip(
            id=pairs.ids[position],
            gold=pairs.gold[position],
            old_answer=pairs.old_answers[position],
            new_answer=answer,
            example=examples.get(pairs.ids[position]),
            old_score=float(pairs.old_scores[position]) if pairs.graded else None,
            new_score=score,
            old_text=old_text,
            new_text=new_text,
        )
        for position, answer, score, old_text, new_text in rows
    )


def texts_at(report: FlipReport, positions: Positions) -> tuple[list[str | None], list[str | None]]:
    """Return what the old and the new model wrote at positions that both were asked at."""
    old = None if report.old is None else report.old.columns.texts
    new = None if report.given is None else report.given.columns.texts
    none: list[str | None] = [None] * len(positions)
    return (
        none if old is None else old[positions].tolist(),
        none if new is None else new[_given(report, positions)].tolist(),
    )


def loglikelihoods_at(
    report: FlipReport, positions: Positions
) -> tuple[list[tuple[float, ...] | None], list[tuple[float, ...] | None]]:
    """Return the options' log-likelihoods by the old and the new model, as `texts_at` texts."""
    old = None if report.old is None else report.old.columns.loglikelihoods
    new = None if report.given is None else report.given.columns.loglikelihoods
    n = len(positions)
    none: list[tuple[float, ...] | None] = [None] * n
    return (
        none if old is None else old.take(positions).rows(0, n),
        none if new is None else new.take(_given(report, positions)).rows(0, n),
    )


def _given(report: FlipReport, positions: Positions) -> Positions:
    """Return where in the new table as it was given the examples at some positions are."""
    if report.pairs.unasked is not None:  # `order` is of those that were asked
        positions = (np.cumsum(~report.pairs.unasked) - 1)[positions]
    return positions if report.order is None else report.order[positions]
