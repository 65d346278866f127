"""The details of a task from its comparisons: counts, models and the flipped examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_muscle.comparison.flips import texts_at
from pytest_muscle.reports.curves import read_training
from pytest_muscle.reports.data import Counts, FlippedExample, ScoreChanges, TaskDetails
from pytest_muscle.reports.margins import count_margins, margins_at

BINS = 21
"""Of the score changes: an odd number, so that the middle one holds those that stay."""

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.comparison.pairs import AnswerPairs
    from pytest_muscle.predictions.packed import Positions
    from pytest_muscle.task_models import Side
    from pytest_muscle.tasks.example import Example
    from pytest_muscle.training.store import Adapter


def describe_details(
    task: str,
    reports: Mapping[Literal["new", "compat"], FlipReport],
    most: int | None,
    *,
    metric: str = "acc",
    adapters: Mapping[Side, Adapter] | None = None,
) -> TaskDetails:
    """Return the details of a task.

    Args:
        task: Name of the task.
        reports: The old model compared with the new one, the compat one or both.
        most: Most flipped examples of each comparison, negative flips first; none for all.
        metric: Name of the metric that chose options, unless a table names another: one that was
            read from a log does.
        adapters: Those that the models have, by "old", "new" and "compat".
    """
    models = {}
    flips: dict[int, FlippedExample] = {}  # by their position in the old table
    for side, report in reports.items():
        if report.old is not None and report.old.model:
            models["old"] = report.old.model
        if report.given is not None and report.given.model:
            models[side] = report.given.model
        for position in _flipped(report.pairs, most).tolist():
            flips.setdefault(position, _example(report, position))
    positions = np.array(sorted(flips), dtype=np.intp)
    metrics = {side: _metric(report, metric) for side, report in reports.items()}
    for side, report in reports.items():
        answered = _answered(report, positions, side, metrics[side])
        for position in positions.tolist():
            values = {f"to_{side}": _change(report.pairs, position), **answered.get(position, {})}
            flips[position] = dataclasses.replace(flips[position], **values)
    return TaskDetails(
        task=task,
        models=models,
        counts={side: count_pairs(report.pairs) for side, report in reports.items()},
        flips=tuple(flips[position] for position in positions.tolist()),
        changes={
            side: count_changes(report.pairs)
            for side, report in reports.items()
            if report.pairs.graded and report.pairs.unasked is None
        },
        margins={
            side: counted
            for side, report in reports.items()
            if (counted := count_margins(report, metrics[side])) is not None
        },
        training={side: read_training(adapter) for side, adapter in (adapters or {}).items()},
    )


def _metric(report: FlipReport, default: str) -> str:
    facts = {} if report.old is None else report.old.facts
    return str(facts.get("metric") or default)


def count_changes(pairs: AnswerPairs) -> ScoreChanges:
    """Return how far graded scores moved; those that are not finite are left out."""
    moved = pairs.new_scores - pairs.old_scores
    moved = moved[np.isfinite(moved)]
    most = float(np.abs(moved).max(initial=0.0)) or 1.0
    counts, edges = np.histogram(moved, bins=BINS, range=(-most, most))
    return ScoreChanges(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


def count_pairs(pairs: AnswerPairs) -> Counts:
    """Return how many examples are right or wrong with the two models."""
    negative = int(pairs.seen_negative.sum())
    if pairs.unasked is not None:
        return Counts(negative=negative, unasked=int(pairs.unasked.sum()))
    positive = int(pairs.positive.sum())
    if pairs.graded:
        return Counts(negative=negative, positive=positive)
    return Counts(
        negative=negative,
        positive=positive,
        both_right=int((pairs.old_correct & pairs.new_correct).sum()),
        both_wrong=int((~pairs.old_correct & ~pairs.new_correct).sum()),
    )


def _flipped(pairs: AnswerPairs, most: int | None) -> Positions:
    positions = np.flatnonzero(pairs.seen_negative)
    if pairs.unasked is None:
        positions = np.concatenate([positions, np.flatnonzero(pairs.positive)])
    return positions[:most]


def _change(pairs: AnswerPairs, position: int) -> Literal["negative", "positive"] | None:
    if pairs.seen_negative[position]:
        return "negative"
    return "positive" if pairs.unasked is None and pairs.positive[position] else None


def _example(report: FlipReport, position: int) -> FlippedExample:
    """Return what is the same in all comparisons with the old model."""
    pairs, id_ = report.pairs, report.pairs.ids[position]
    example = report.examples.get(id_)
    texts = None if report.old is None else report.old.columns.texts
    return FlippedExample(
        position=position,
        id=id_ if type(id_) is int else _sound(str(id_)),
        question=None if example is None else _sound(example.question),
        gold=_words(example, pairs.gold[position]),
        old=_words(example, pairs.old_answers[position]),
        old_score=_finite(pairs.old_scores[position]) if pairs.graded else None,
        old_text=None if texts is None else _text(texts[position]),
        slices=None if example is None else _slices(example, report.slice_columns),
    )


def _slices(example: Example, columns: tuple[str, ...]) -> dict[str, str] | None:
    return {_sound(str(column)): _sound(str(example.fields[column])) for column in columns} or None


def _answered(
    report: FlipReport, positions: Positions, side: str, metric: str
) -> dict[int, dict[str, Any]]:
    """Return what the newer model answered, by position; nothing where it was not asked."""
    pairs = report.pairs
    if pairs.unasked is not None:
        positions = positions[~pairs.unasked[positions]]
    rows = zip(
        positions.tolist(),
        pairs.new_answers_at(positions),
        pairs.new_scores_at(positions),
        texts_at(report, positions)[1],
        *margins_at(report, positions, metric),
        strict=True,
    )
    return {
        position: {
            "old_margin": before,
            f"{side}_margin": after,
            side: _words(report.examples.get(pairs.ids[position]), answer),
            f"{side}_score": _finite(score) if pairs.graded else None,
            f"{side}_text": _text(text),
        }
        for position, answer, score, text, before, after in rows
    }


def _words(example: Example | None, answer: Any) -> str:
    """Return an answer in words; where no example knows them, as Python writes it."""
    return _sound(repr(answer) if example is None else example.answer_text(answer))


def _text(text: str | None) -> str | None:
    return None if text is None else _sound(text)


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sound(text: str) -> str:
    """Return a text that UTF-8 can write."""
    return text.encode(errors="backslashreplace").decode()
