"""From a text that a model wrote to its answer and its score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.references import is_reference
from pytest_muscle.settings import TaskSettings
from pytest_muscle.settings.table import show
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.extraction import Extraction
from pytest_muscle.tasks.metrics import resolve_metric
from pytest_muscle.tasks.normalising import normalise
from pytest_muscle.tasks.text_metrics import NORMALISED, find_text_metric


@dataclass(frozen=True, slots=True)
class Grade:
    """What a text is worth.

    Attributes:
        answer: The answer in the text, without white space at its ends; normalised where
            `exact_match` compares; none where the text has none.
        score: What the metric gives it; of right or wrong ones 1.0 and 0.0.
        correct: Whether it is right; of scored ones, whether the score is at least 1.
        graded: Whether the metric gives scores, not right or wrong. A metric of the user's own has
            to be asked for that: what comes before its first result and has no answer says false.
    """

    answer: str | None
    score: float
    correct: bool
    graded: bool


class Grader:
    """A generation task's way from text to score.

    Args:
        settings: The task's table in muscle.toml.
        where: File and key of that table, for errors.

    Raises:
        ConfigurationError: If the regular expression or the metric is not usable.
    """

    def __init__(self, settings: TaskSettings, *, where: str) -> None:
        name = settings.metric or "exact_match"
        self._name = resolve_metric(name)
        self._where = f"{where}.metric"
        self._metric = find_text_metric(name, where=self._where)
        self._without = settings.normalise
        self._graded: bool | None = None
        if not is_reference(self._name):
            self._graded = self._name not in NORMALISED
        self._extraction = (
            Extraction(settings.extract, settings.extract_match, where=f"{where}.extract")
            if settings.extract is not None
            else None
        )

    @property
    def graded(self) -> bool | None:
        """Whether the metric gives scores; of one of the user's own none before its first."""
        return self._graded

    def grade(self, text: str, example: Example) -> Grade:
        """Return what a text is worth as the answer to an example.

        Of several gold answers the one that gives the best score counts; a metric of the user's
        own gets them all, as a tuple.

        Raises:
            ConfigurationError: If the metric fails or gives neither a bool nor a finite number, or
                the regular expression takes too long.
        """
        answer = self._extract(text, example)
        if answer is None:
            return Grade(None, 0.0, False, bool(self._graded))
        compared = normalise(answer, self._without) if self._name in NORMALISED else answer
        result = self._measure(compared, example)
        graded = not isinstance(result, bool)
        if self._graded not in (None, graded):
            raise self._refused(
                "gives both true or false and numbers", example, "give one of them for all answers"
            )
        self._graded = graded
        shown = compared if self._name == "exact_match" else answer
        return Grade(shown, float(result), result >= 1, graded)

    def _extract(self, text: str, example: Example) -> str | None:
        if self._extraction is None:
            return text.strip() or None
        return self._extraction.find(text, example.id)

    def _measure(self, answer: str, example: Example) -> bool | float:
        try:
            if is_reference(self._name):
                result = self._metric(answer, example.gold, example.fields)
            elif self._name in NORMALISED:
                golds = (normalise(gold, self._without) for gold in example.golds)
                result = any(self._metric(answer, gold) for gold in golds)
            else:
                result = max(self._metric(answer, gold) for gold in example.golds)
        except Exception as error:  # whatever the user's own metric does
            raise self._refused(
                f"fails: {type(error).__name__}: {error}",
                example,
                "a metric takes answer, gold and fields and returns a bool or a float"
                if is_reference(self._name)
                else None,
            ) from error
        return self._number(result, example)

    def _number(self, result: Any, example: Example) -> bool | float:
        """Return a result as Python's own bool or float; NumPy's and torch's scalars are such."""
        value = result
        if not isinstance(value, bool | int | float) and hasattr(value, "item"):
            try:
                value = value.item()
            except Exception:  # an array of many; the user's own class
                value = None
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float) and _is_finite(value):
            return float(value)
        raise self._refused(
            f"gives {type(result).__name__} {show(result)}",
            example,
            "a metric returns a bool (right or wrong) or a finite float (a score)",
        )

    def _refused(self, problem: str, example: Example, hint: str | None) -> ConfigurationError:
        return ConfigurationError(
            f"{self._name} {problem}, on example {example.id!r}", where=self._where, hint=hint
        )


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False
