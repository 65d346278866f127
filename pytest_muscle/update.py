"""One model update under test: its models, adapters, predictions and reports, each made once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pytest_muscle.cache import DIGEST_NOTES, PREDICTIONS, TASK_NOTES
from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import BaselineWarning, ConfigurationError, nearest
from pytest_muscle.memo import Memo
from pytest_muscle.predictions import Predictions
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.settings import Settings
from pytest_muscle.task_models import Side, TaskModels, Version
from pytest_muscle.tasks import Task, build_tasks
from pytest_muscle.tasks.memory import DigestMemory

if TYPE_CHECKING:
    from pytest_muscle.builds import Build
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.comparison.noise import NoiseFloor
    from pytest_muscle.models import BaseModel, LanguageModel
    from pytest_muscle.predictions.baseline import Baselines
    from pytest_muscle.predictions.differences import Differences
    from pytest_muscle.predictions.journal import Journal
    from pytest_muscle.predictions.keys import PredictionKey
    from pytest_muscle.predictions.question import Question
    from pytest_muscle.predictions.store import PredictionStore
    from pytest_muscle.training.store import Adapter


class ModelUpdate:
    """One update of a model, as configured; nothing is loaded or trained before it is needed.

    Args:
        settings: What the user configured.
        progress: Where progress is shown.
        build: Which of the builds it is that a noise floor is measured between; none for the
            usual one.
        models: The models, where they are at hand.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress = SILENT,
        *,
        build: Build | None = None,
        models: TaskModels | None = None,
    ) -> None:
        self.settings = settings
        digests = FileDigests(settings.cache / DIGEST_NOTES)
        memory = DigestMemory(settings.cache / TASK_NOTES, digests)
        self.tasks: Mapping[str, Task] = build_tasks(settings, memory)
        self._models = models or TaskModels(settings, digests, progress)
        self._progress = progress
        self._build = build
        self._memo = Memo()

    def task(self, name: str) -> Task:
        """Return a task by its name.

        Raises:
            ConfigurationError: If there is no such task.
        """
        if name not in self.tasks:
            raise ConfigurationError(
                f"there is no task {name!r}",
                where=f"{self.settings.path.name}: tasks",
                hint=nearest(name, self.tasks),
            )
        return self.tasks[name]

    def base(self, version: Version) -> BaseModel:
        """Return the old or the new base model, not yet loaded.

        Raises:
            ConfigurationError: If the version is not configured.
        """
        return self._models.base(version)

    def model(self, version: Version) -> LanguageModel:
        """Return a version as configured: its base model and the adapter given for it.

        Raises:
            ConfigurationError: If the version is not configured.
        """
        return self._models.model(version)

    def task_adapter(self, version: Version, task: str) -> Adapter | None:
        """Return a version's adapter for a task: given, stored or trained now; or none.

        There is none where the configuration names none and the task has no train set.

        Raises:
            TrainingError: If it is missing and must not be trained.
        """
        return self._models.task_adapter(version, self.task(task))

    def compat_adapter(self, task: str) -> Adapter:
        """Return the compatibility adapter for a task: given, stored or trained now.

        Raises:
            TrainingError: If it is missing and cannot or must not be trained.
        """
        return self._models.compat_adapter(self.task(task))

    def task_model(self, side: Side, task: str) -> LanguageModel:
        """Return the model that solves a task: M1 (`old`), M2 (`new`) or MC (`compat`).

        Raises:
            MuscleError: If the model is not configured, or its adapter cannot be made.
        """
        return self._models.task_model(side, self.task(task))

    def predictions(self, side: Side, task: str) -> Predictions:
        """Return a model's predictions for a task's evaluation examples.

        Of the old model: its baseline, where there is one.

        Raises:
            MuscleError: If data, model or baseline are not usable.
        """
        return self._memo.once(
            ("predictions", side, task), lambda: self._make_predictions(side, self.task(task))
        )

    def answers(self, side: Side, task: str) -> Predictions:
        """Return a model's answers to all of a task's evaluation examples, baseline or not.

        Raises:
            MuscleError: If data or model are not usable.
        """
        from pytest_muscle.predictions.question import Question

        return self._memo.once(
            ("answers", side, task), lambda: self._answers(side, Question(self.task(task)))
        )

    def noise_floor(self, task: str) -> NoiseFloor:
        """Return the negative flip rate between builds of the same version.

        `[noise]` says of which version, how many there are and what they differ in. All of the
        task's examples are asked, whatever `[run] score` says; the usual predictions are those of
        the first build.

        Raises:
            MuscleError: If there are no such builds, or predictions cannot be made.
        """
        return self._memo.once(
            ("noise floor", task), lambda: self._measure_noise_floor(self.task(task))
        )

    def flip_report(self, task: str, side: Literal["new", "compat"] = "new") -> FlipReport:
        """Return the comparison of the old model's predictions with the new or compat one's.

        Raises:
            MuscleError: If the predictions cannot be made.
        """
        from pytest_muscle.comparison import compare

        return self._memo.once(
            ("report", side, task),
            lambda: compare(self.predictions("old", task), self.predictions(side, task)),
        )

    def made_predictions(self, side: Side, task: str) -> Predictions | None:
        """Return a model's predictions if they were made already, without making them."""
        made = self._memo.find(("predictions", side, task))
        return made if isinstance(made, Predictions) else None

    def made_noise_floor(self, task: str) -> NoiseFloor | None:
        """Return the noise floor if it was measured already, without measuring it."""
        floor: NoiseFloor | None = self._memo.find(("noise floor", task))
        return floor

    def check(self) -> None:
        """Check what can be checked before any data is read: templates, metrics, strategy, noise.

        Raises:
            ConfigurationError: It names file and key.
        """
        from pytest_muscle.training.objectives import find_objective

        for task in self.tasks.values():
            _ = task.renderer
        find_objective(
            self.settings.compat.strategy, where=f"{self.settings.path.name}: compat.strategy"
        )
        if self.settings.noise.vary is not None:
            from pytest_muscle.builds import check_noise

            check_noise(self.settings, self.tasks.values())

    @cached_property
    def baselines(self) -> Baselines:
        """The baselines of the project."""
        from pytest_muscle.predictions.baseline import Baselines

        return Baselines(self.settings.baselines, self.settings.root)

    @cached_property
    def _store(self) -> PredictionStore:
        from pytest_muscle.predictions.store import PredictionStore

        return PredictionStore(self.settings.cache / PREDICTIONS, self._progress)

    def _make_predictions(self, side: Side, task: Task) -> Predictions:
        if side != "old":
            question = self._question(task)
            everything = question.ids is None
            table = self.answers(side, task.name) if everything else self._answers(side, question)
            if self.baselines.has(task.name):
                self._warn_of_other_settings(task, table)
            return table
        if self.baselines.has(task.name):
            return self._baseline(task)
        if self.settings.old is None:
            from pytest_muscle.predictions.baseline import RECORD

            raise ConfigurationError(
                f"there is neither a baseline of task {task.name!r} nor an old model",
                where=f"{self.settings.path.name}: old",
                hint=f"record {self.baselines.show(task.name)} where the old model is, with "
                f"`{RECORD}`, and commit it; or add [old] with model = …",
            )
        return self.answers("old", task.name)

    def _baseline(self, task: Task) -> Predictions:
        from pytest_muscle.predictions.baseline import check_model, describe_gap

        table, differences = self._read_baseline(task)
        where = self.baselines.show(task.name)
        if self.settings.old is not None and self._models.spec("old").is_at_hand:
            adapter = self._models.given_adapter_facts("old", task)
            check_model(table, self._models.base_facts("old"), where, adapter=adapter)
        if differences:
            warnings.warn(describe_gap(differences, table, where), BaselineWarning, stacklevel=2)
        return _with_task(table, task)

    def _read_baseline(self, task: Task) -> tuple[Predictions, Differences]:
        accept = self.settings.accept_changes
        return self._memo.once(
            ("baseline", task.name), lambda: self.baselines.read(task, accept=accept)
        )

    def _warn_of_other_settings(self, task: Task, table: Predictions) -> None:
        from pytest_muscle.predictions.baseline import describe_other_settings

        old = self.predictions("old", task.name)
        text = describe_other_settings(old, table)
        if text is not None:
            text = f"{self.baselines.show(task.name)}: {text}"
            warnings.warn(text, BaselineWarning, stacklevel=2)

    def _measure_noise_floor(self, task: Task) -> NoiseFloor:
        from pytest_muscle.builds import missing_adapters, plan_builds
        from pytest_muscle.comparison.noise import noise_floor

        plan = plan_builds(self.settings, task, self._models.placing.expected())
        version, name = plan.version, task.name
        others = [self._update_of(build) for build in plan.others]
        updates = [self, *others]
        paths = [each._models.missing_adapter(version, task) for each in updates]
        missing = [path for path in paths if path is not None]
        if missing and not self.settings.train:
            raise missing_adapters(task, plan, missing)
        for each in updates:  # training takes the model out of memory that then answers
            each.task_adapter(version, name)
        tables = [self.answers(version, name)]
        for other in others:
            tables.append(other.answers(version, name))
            if plan.varied == "dtype":
                other._models.release(version)
        return noise_floor(tables, varied=plan.varied, version=version)

    def _update_of(self, build: Build) -> ModelUpdate:
        """Return this update as another build makes it."""
        models = self._models.built_by(build.settings, build.note)
        return ModelUpdate(build.settings, self._progress, build=build, models=models)

    def _question(self, task: Task) -> Question:
        """Return which of a task's examples the new and the compat model are asked."""
        from pytest_muscle.predictions.question import Question

        if self.settings.run.score == "needed":
            return Question.needed(task, self.predictions("old", task.name))
        if self.baselines.has(task.name):
            table, differences = self._read_baseline(task)
            if differences:
                return Question.same_as(task, table)
        return Question(task)

    def _answers(self, side: Side, question: Question) -> Predictions:
        task = question.task
        self._models.check_data(task)
        key = self._prediction_key(side, question)
        table = None if key is None else self._store.find(key)
        if table is None:
            self._models.placing.resolve()  # a model will load: what was remembered must be true
            key = self._prediction_key(side, question)
            table = (
                self._answer(side, question, {})
                if key is None
                else self._answer_once(key, side, question)
            )
        model = self._models.task_model_spec(side, task).describe()
        return _with_task(replace(table, model=model), task)

    def _prediction_key(self, side: Side, question: Question) -> PredictionKey | None:
        from pytest_muscle.predictions.keys import prediction_key

        placement = self._models.placing.expected()
        return prediction_key(
            question,
            side,
            self._models.facts(side, question.task),
            device=placement.device,
            dtype=placement.dtype,
            variation=None if self._build is None else self._build.variation,
        )

    def _answer_once(self, key: PredictionKey, side: Side, question: Question) -> Predictions:
        models, task = self._models, question.task
        facts = models.facts(side, task)
        return self._store.get(
            key,
            lambda about, journal: self._answer(side, question, about, journal),
            unchanged=lambda: models.facts_now(side, task) == facts,
        )

    def _answer(
        self,
        side: Side,
        question: Question,
        facts: Mapping[str, Any],
        journal: Journal | None = None,
    ) -> Predictions:
        from pytest_muscle.models.answering import answer

        task = question.task
        model = self._models.task_model(side, task)
        note = "" if self._build is None else self._build.note
        description = f"{task.name}: {side} model answers{note}"
        return answer(model, question, facts, description=description, journal=journal)


def _with_task(table: Predictions, task: Task) -> Predictions:
    """Return a table with what its task says of it today, however old it is."""
    return replace(
        table,
        task=task.name,
        examples=task.eval_by_id,
        tolerance=task.tolerance,
        slices=task.settings.slices,
    )
