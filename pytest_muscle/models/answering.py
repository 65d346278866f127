"""A model's answers to a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_muscle.models.encoding import encode_prompt
from pytest_muscle.models.language_model import LanguageModel
from pytest_muscle.models.looks import Look
from pytest_muscle.models.scoring import LoglikelihoodRequest
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.columns import Columns
from pytest_muscle.predictions.journal import Journal
from pytest_muscle.predictions.judging import judge, judge_texts
from pytest_muscle.predictions.question import Question

if TYPE_CHECKING:
    from pytest_muscle.stopping import Stopping
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
    answers = _ask(model, task, asked, description, journal)
    rows, graded = _judge(task, asked, answers)
    return Predictions(
        rows=rows,
        task=task.name,
        model=model.describe(),
        facts=_facts(model, task, facts, asked=bool(asked)),
        unasked=question.unasked,
        graded=graded,
    )


def answer_until_decided(
    model: LanguageModel,
    stopping: Stopping,
    facts: Mapping[str, Any],
    *,
    description: str,
    journal: Journal | None = None,
) -> Predictions:
    """Return the model's predictions for as many examples as it takes to decide a task's gate.

    Args:
        model: Who answers.
        stopping: What is asked in which order, and when that is enough.
        facts: What else is known of the predictions, for their manifest.
        description: What the progress bar says.
        journal: Where answers are kept until all are there.

    Raises:
        MuscleError: If data or model are not usable.
    """
    task, decider = stopping.task, stopping.begin()
    if not decider.is_over:

        def is_over(answers: Sequence[Any]) -> bool:
            return decider.look(answers, lambda some, given: _judge(task, some, given))

        look = Look(stopping.chunk, is_over)
        _ask(model, task, stopping.examples, description, journal, look)
    rows, unasked = decider.rows()
    return Predictions(
        rows=rows,
        task=task.name,
        model=model.describe(),
        facts=_facts(model, task, facts, asked=bool(rows)),
        unasked=unasked,
        graded=decider.graded,
        stop=decider.stop(),
    )


def request(task: Task, example: Example) -> LoglikelihoodRequest:
    """Return what is asked of a model about an example whose options are scored."""
    prompts, continuations = zip(*task.pairs(example), strict=True)
    same = len(set(prompts)) == 1
    return LoglikelihoodRequest(prompts[0] if same else prompts, continuations)


def _facts(
    model: LanguageModel, task: Task, facts: Mapping[str, Any], *, asked: bool
) -> dict[str, Any]:
    about = {"dtype": str(model.base.dtype).removeprefix("torch.")}
    if asked:
        about["layout"] = model.base.engine.layout.name
    return {"task_digest": task.digest, **about, **facts}


def _judge(
    task: Task, asked: Sequence[Example] | SomeExamples, answers: Sequence[Any]
) -> tuple[Columns, bool]:
    """Return rows of examples and their answers, and whether scores are graded."""
    if task.decoding is not None:
        return judge_texts(task, asked, answers)
    return judge(task, asked, answers), False


def _ask(
    model: LanguageModel,
    task: Task,
    asked: Sequence[Example] | SomeExamples,
    description: str,
    journal: Journal | None,
    look: Look | None = None,
) -> Sequence[Any]:
    """Return the texts written to each example, or the log-likelihoods of its options."""
    if not asked:
        return ()
    if task.decoding is not None:
        return model.generate(
            (encode_prompt(model.tokenizer, example) for example in asked),
            task.decoding,
            total=len(asked),
            description=description,
            journal=journal,
            look=look,
        )
    requests = (request(task, example) for example in asked)
    return model.loglikelihoods(
        requests, total=len(asked), description=description, journal=journal, look=look
    )
