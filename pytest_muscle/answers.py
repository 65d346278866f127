"""What the models of an update answer: found in the cache, or asked now and kept there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_muscle.cache import PREDICTIONS
from pytest_muscle.digests import digest_json
from pytest_muscle.predictions import Predictions
from pytest_muscle.progress import Progress
from pytest_muscle.settings import Settings
from pytest_muscle.task_models import Side, TaskModels
from pytest_muscle.tasks import Task

if TYPE_CHECKING:
    from pytest_muscle.builds import Build
    from pytest_muscle.predictions.journal import Journal
    from pytest_muscle.predictions.keys import PredictionKey
    from pytest_muscle.predictions.question import Question
    from pytest_muscle.predictions.store import PredictionStore
    from pytest_muscle.stopping import Stopping


class Answers:
    """The answers of one update's models; a model loads where an answer is not stored.

    Args:
        settings: What the user configured.
        models: The models.
        progress: Where progress is shown.
        build: Which build of a version answers, where the noise floor is measured.
    """

    def __init__(
        self, settings: Settings, models: TaskModels, progress: Progress, build: Build | None
    ) -> None:
        self._settings = settings
        self._models = models
        self._progress = progress
        self._build = build

    @cached_property
    def _store(self) -> PredictionStore:
        from pytest_muscle.predictions.store import PredictionStore

        directory, writes = self._settings.cache / PREDICTIONS, self._settings.writes
        return PredictionStore(directory, self._progress, writes=writes)

    def of(self, side: Side, question: Question, stopping: Stopping | None = None) -> Predictions:
        """Return a model's answers: stored, or given now by one process while others wait.

        Args:
            side: Whose answers.
            question: What is asked.
            stopping: When enough is known, where not everything need be asked.

        Raises:
            MuscleError: If data or model are not usable.
        """
        if (table := self.stored(side, question, stopping)) is not None:
            return table
        self._models.placing.resolve()  # a model will load: what was remembered must be true
        key = self._prediction_key(side, question, stopping)
        table = (
            self._answer(side, question, {}, stopping=stopping)
            if key is None
            else self._answer_once(key, side, question, stopping)
        )
        return self._described(side, question.task, table)

    def stored(
        self, side: Side, question: Question, stopping: Stopping | None = None
    ) -> Predictions | None:
        """Return a model's answers if they are stored, else none; arguments of `of`.

        Raises:
            MuscleError: If data or model are not usable.
        """
        self._models.check_data(question.task)
        key = self._prediction_key(side, question, stopping)
        table = None if key is None else self._store.find(key)
        return None if table is None else self._described(side, question.task, table)

    def begun(self, side: Side, question: Question, stopping: Stopping | None = None) -> int:
        """Return how many of the answers are kept of a run that was ended; arguments of `of`.

        Raises:
            MuscleError: If data or model are not usable.
        """
        key = self._prediction_key(side, question, stopping)
        return 0 if key is None else self._store.begun(key)

    def _described(self, side: Side, task: Task, table: Predictions) -> Predictions:
        """Return a table with what is said today of its task and of the model that answered."""
        model = self._models.task_model_spec(side, task).describe()
        return with_task(replace(table, model=model), task)

    def _prediction_key(
        self, side: Side, question: Question, stopping: Stopping | None = None
    ) -> PredictionKey | None:
        from pytest_muscle.predictions.keys import prediction_key

        placement = self._models.placing.expected()
        return prediction_key(
            question,
            side,
            self._models.facts(side, question.task),
            device=placement.device,
            dtype=placement.dtype,
            stopping=None if stopping is None else stopping.made_of,
            variation=None if self._build is None else self._build.variation,
        )

    def _answer_once(
        self, key: PredictionKey, side: Side, question: Question, stopping: Stopping | None
    ) -> Predictions:
        models, task = self._models, question.task
        facts = models.facts(side, task)
        return self._store.get(
            key,
            lambda about, journal: self._answer(side, question, about, journal, stopping),
            unchanged=lambda: models.facts_now(side, task) == facts,
        )

    def _answer(
        self,
        side: Side,
        question: Question,
        facts: Mapping[str, Any],
        journal: Journal | None = None,
        stopping: Stopping | None = None,
    ) -> Predictions:
        from pytest_muscle.models.answering import answer, answer_until_decided

        task = question.task
        # Draws that two models share would make them alike beyond what builds of one are.
        stream = digest_json(self._models.facts(side, task))
        model = replace(self._models.task_model(side, task), stream=stream)
        note = "" if self._build is None else self._build.note
        description = f"{task.name}: {side} model answers{note}"
        if stopping is None:
            return answer(model, question, facts, description=description, journal=journal)
        table = answer_until_decided(
            model, stopping, facts, description=description, journal=journal
        )
        if table.stop is not None:
            self._progress.say(f"{task.name}: {side} model {table.stop.describe()}")
        return table


def with_task(table: Predictions, task: Task) -> Predictions:
    """Return a table with what its task says of it today, however old it is."""
    return replace(
        table,
        task=task.name,
        examples=task.eval_by_id,
        tolerance=task.tolerance,
        slices=task.settings.slices,
    )
