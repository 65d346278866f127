"""A model's answers to a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_muscle.models.encoding import encode_prompt
from pytest_muscle.models.language_model import LanguageModel
from pytest_muscle.models.scoring import LoglikelihoodRequest
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.journal import Journal
from pytest_muscle.predictions.judging import judge, judge_texts
from pytest_muscle.predictions.question import Question

if TYPE_CHECKING:
    from pytest_muscle.tasks import Example, Task
    from pytest_muscle.tasks.examples import SomeExamples


def answer(
    model: LanguageModel,
    question: Question,
    facts: Mapping[str, Any],
    *,
    description: str,
    journal: Journal | None = None,
) -> Predictions:
    """Return the model's predictions for a task's evaluation examples, or those that are asked.

    Examples are read and asked piece by piece; where none is asked no model is loaded.

    Args:
        model: Who answers.
        question: What is asked.
        facts: What else is known of the predictions, for their manifest.
        description: What the progress bar says.
        journal: Where answers are kept until all are there.

    Raises:
        MuscleError: If data or model are not usable.
    """
    task, asked = question.task, question.examples
    about = {"dtype": str(model.base.dtype).removeprefix("torch.")}
    if asked:
        about["layout"] = model.base.engine.layout.name
    graded = False
    if task.decoding is not None:
        prompts = (encode_prompt(model.tokenizer, example) for example in asked)
        texts = (
            model.generate(
                prompts,
                task.decoding,
                total=len(asked),
                description=description,
                journal=journal,
            )
            if asked
            else ()
        )
        rows, graded = judge_texts(task, asked, texts)
    else:
        rows = judge(task, asked, _choose(model, task, asked, description, journal))
    return Predictions(
        rows=rows,
        task=task.name,
        model=model.describe(),
        facts={"task_digest": task.digest, **about, **facts},
        unasked=question.unasked,
        graded=graded,
    )


def _choose(
    model: LanguageModel,
    task: Task,
    asked: Sequence[Example] | SomeExamples,
    description: str,
    journal: Journal | None,
) -> Sequence[tuple[float, ...]]:
    """Return the log-likelihoods of each example's options."""
    requests = (
        LoglikelihoodRequest(
            example.prompt,
            tuple(task.continuation(example, option) for option in range(len(example.options))),
        )
        for example in asked
    )
    if not asked:
        return ()
    return model.loglikelihoods(
        requests, total=len(asked), description=description, journal=journal
    )
