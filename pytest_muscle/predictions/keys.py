"""What makes a table of predictions: the keys that tables are stored under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_muscle.cache import CacheKey
from pytest_muscle.libraries import library_versions
from pytest_muscle.predictions.question import Question
from pytest_muscle.references import is_reference, source_digest

SCORING_VERSION = 2
"""Goes up when the same model would answer the same task otherwise; part of every fingerprint."""

LIBRARIES = ("torch", "transformers", "tokenizers", "peft")
"""What else computes the answers; each version of each may do so otherwise."""

TEXT_LIBRARIES = ("regex", "rouge-score", "sacrebleu")
"""What finds answers in texts and judges them."""


class PredictionKey(CacheKey):
    """What makes a table of predictions: task, model, adapter, device, code versions."""


def prediction_key(
    question: Question,
    side: str,
    model: Mapping[str, Any],
    *,
    device: str,
    dtype: str,
    stopping: Mapping[str, Any] | None = None,
    variation: Mapping[str, Any] | None = None,
) -> PredictionKey | None:
    """Return the key of a model's predictions, or none where it cannot be known.

    That is so where the metric is a function of the user's whose source is out of sight. How
    many examples are scored at a time makes no difference that counts and is no part of the key,
    unless it is what builds differ in.

    Args:
        question: The task, whose digest stands for data, prompt, metric and limit, and which of
            its examples are asked.
        side: `old`, `new` or `compat`.
        model: Facts of the task model.
        device: Type of the device, as torch names it.
        dtype: Floating-point type, as torch names it.
        stopping: What decides where the model is stopped; none where it is asked everything.
        variation: What else is other in one of several builds that the noise floor is measured
            between; none of the usual one.

    Raises:
        DataError: If the data have to be read and a row is not usable.
    """
    task = question.task
    metric: dict[str, str] = {"name": task.metric}
    if is_reference(task.metric):
        source = source_digest(task.metric)
        if source is None:
            return None
        metric["source"] = source
    if task.generates:
        metric |= library_versions(*TEXT_LIBRARIES)
    return PredictionKey(
        task.name,
        side,
        {
            "version": SCORING_VERSION,
            "task": task.digest,
            "asked": question.digest,
            "metric": metric,
            "model": model,
            "device": device,
            "dtype": dtype,
            "libraries": library_versions(*LIBRARIES),
            **({} if stopping is None else {"stopping": stopping}),
            **({"variation": dict(variation)} if variation else {}),
        },
    )
