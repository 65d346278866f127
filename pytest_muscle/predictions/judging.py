"""From a model's log-likelihoods or texts to a table of its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from pytest_muscle.predictions.columns import Columns, ColumnsBuilder

if TYPE_CHECKING:
    from pytest_muscle.tasks import Example, Task
    from pytest_muscle.tasks.grading import Grade


def judge(task: Task, examples: Iterable[Example], scored: Iterable[tuple[float, ...]]) -> Columns:
    """Return the answers that a task's metric chooses, one row per example.

    Args:
        task: Its metric chooses.
        examples: What was asked.
        scored: The log-likelihoods of each example's options, in the order of `examples`; both
            are gone through once and neither is kept.

    Raises:
        ModelError: If a log-likelihood is not a number.
        ConfigurationError: If the metric fails or chooses what is no option.
    """
    rows = ColumnsBuilder(where=task.name)
    for example, loglikelihoods in zip(examples, scored, strict=True):
        answer = task.answer(loglikelihoods, example)
        correct = answer == example.gold
        rows.add(
            example.id,
            answer,
            example.gold,
            correct=correct,
            score=float(correct),
            loglikelihoods=loglikelihoods,
            digest=example.digest,
        )
    return rows.build()


def judge_texts(
    task: Task, examples: Iterable[Example], written: Iterable[tuple[str, ...]]
) -> tuple[Columns, bool]:
    """Return the answers in texts and what a task's metric gives them, one row per example.

    Where several texts were drawn the score is their mean, and answer and text are those that
    came most often, the first of equals.

    Args:
        task: Its regular expression extracts, its metric judges.
        examples: What was asked.
        written: The texts that were drawn for each example, in the order of `examples`.

    Returns:
        The rows, and whether their scores are graded.

    Raises:
        ConfigurationError: If the metric fails.
    """
    rows = ColumnsBuilder(where=task.name)
    graded = False
    for example, texts in zip(examples, written, strict=True):
        grades = [task.grade(text, example) for text in texts]
        several = len(grades) > 1
        graded = graded or several or grades[0].graded
        shown = _most_frequent(grades) if several else 0
        rows.add(
            example.id,
            grades[shown].answer,
            list(example.gold) if isinstance(example.gold, tuple) else example.gold,
            correct=grades[shown].correct,
            score=fmean(grade.score for grade in grades),
            digest=example.digest,
            text=texts[shown],
            draws=[grade.score for grade in grades] if several else None,
        )
    return rows.build(), graded


def _most_frequent(grades: Sequence[Grade]) -> int:
    """Return which of several grades has the answer that came most often, the first of equals."""
    answers = [grade.answer for grade in grades]
    answer, _ = Counter(answers).most_common(1)[0]
    return answers.index(answer)
