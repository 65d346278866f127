"""A model's answers to a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_muscle.models.language_model import LanguageModel
from pytest_muscle.models.scoring import LoglikelihoodRequest
from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.tasks import Task


def answer_task(
    model: LanguageModel, task: Task, facts: Mapping[str, Any], *, description: str
) -> Predictions:
    """Return the model's predictions for a task's evaluation examples.

    Args:
        model: Who answers.
        task: What is asked.
        facts: What else is known of the predictions, for their manifest.
        description: What the progress bar says.

    Raises:
        MuscleError: If data or model are not usable.
    """
    requests = [
        LoglikelihoodRequest(
            example.prompt,
            tuple(task.continuation(example, option) for option in range(len(example.options))),
        )
        for example in task.eval
    ]
    scored = model.loglikelihoods(requests, description=description)
    rows = []
    for example, loglikelihoods in zip(task.eval, scored, strict=True):
        answer = task.answer(loglikelihoods, example)
        correct = answer == example.gold
        rows.append(
            Prediction(
                id=example.id,
                answer=answer,
                gold=example.gold,
                correct=correct,
                score=float(correct),
                loglikelihoods=loglikelihoods,
                digest=example.digest,
            )
        )
    dtype = str(model.base.dtype).removeprefix("torch.")
    return Predictions(
        rows=tuple(rows),
        task=task.name,
        model=model.describe(),
        facts={"task_digest": task.digest, "dtype": dtype, **facts},
    )
