"""Written answers judged by the harness: a definition's filters, then its `process_results`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.harness.definition import RIGHT_OR_WRONG, is_number
from pytest_muscle.settings.table import show
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.grading import Grade

_NOTHING_FOUND = "[invalid]"
"""What its regular expressions give where nothing matches."""


def process(
    task: Any, document: Mapping[str, Any], text: str, filter_: str
) -> tuple[Any, Mapping[str, Any]]:
    """Return a filtered answer and what the definition's metrics give it; within `harness`.

    Args:
        task: The definition as the harness loads it.
        document: What was asked about.
        text: What the model wrote.
        filter_: Name of the filter.

    Source: `lm_eval.evaluator.evaluate`, for one document.
    """
    from lm_eval.api.instance import Instance

    document = json.loads(json.dumps(document))  # some definitions write into it
    repeats = task.config.repeats
    instance = Instance("generate_until", document, ("", {}), 0, (task.config.task, 0, repeats))
    instance.resps = [text] * repeats
    ensemble = next(each for each in task._filters if each.name == filter_)
    ensemble.apply([instance])
    answer = instance.filtered_resps[filter_]
    return answer, task.process_results(document, [answer])


def grade(
    task: Any, example: Example, text: str, *, metric: str, filter_: str, graded: bool, where: str
) -> Grade:
    """Return what a text is worth; within `harness`.

    Args:
        task: The definition as the harness loads it.
        example: What was asked.
        text: What the model wrote.
        metric: Whose value is the score.
        filter_: Whose answer is judged.
        graded: Whether the metric gives marks between right and wrong.
        where: File and key of the task's table, for errors.

    Raises:
        ConfigurationError: If the definition fails or gives no number.
    """
    try:
        answer, results = process(task, example.fields, text, filter_)
        value = results[metric]
    except Exception as error:  # whatever a definition's own code does
        raise ConfigurationError(
            f"{metric} fails: {type(error).__name__}: {error}, on example {example.id!r}",
            where=f"{where}.metric",
            hint="`lm_eval` would fail on this answer too: is the definition sound?",
        ) from error
    if not is_number(value):
        raise ConfigurationError(
            f"{metric} gives {type(value).__name__} {show(value)}, on example {example.id!r}",
            where=f"{where}.metric",
            hint="it is known of all examples together: name a metric that gives each a number",
        )
    score = float(value)
    fraction = metric in RIGHT_OR_WRONG and score not in (0, 1)
    return Grade(_shown(answer), score, score >= 1, graded or fraction)


def _shown(answer: Any) -> str | None:
    """Return a filtered answer as text; none where a filter found nothing."""
    while isinstance(answer, list | tuple) and len(answer) == 1:
        answer = answer[0]
    if answer is None or answer in (_NOTHING_FOUND, []):
        return None
    return answer if isinstance(answer, str) else str(answer)
