"""One model update under test: its models, adapters, predictions and reports, each made once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

from pytest_muscle.answers import Answers, with_task
from pytest_muscle.cache import DIGEST_NOTES, TASK_NOTES
from pytest_muscle.cautions import warn_of_hopeless_gate, warn_of_nothing_right
from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import BaselineWarning, ConfigurationError, nearest
from pytest_muscle.harness import Snapshots, make_task
from pytest_muscle.memo import Memo
from pytest_muscle.plans import POWER, TaskPlan, plan_task
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
    from pytest_muscle.predictions.question import Question
    from pytest_muscle.stopping import Stopping
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
        writes = settings.writes
        digests = FileDigests(settings.cache / DIGEST_NOTES, writes=writes)
        memory = DigestMemory(settings.cache / TASK_NOTES, digests, writes=writes)
        snapshots = Snapshots(settings.cache, digests, progress, writes=writes)
        self.tasks: Mapping[str, Task] = build_tasks(
            settings, memory, partial(make_task, snapshots)
        )
        self._models = models or TaskModels(settings, digests, progress)
        self._progress = progress
        self._answers = Answers(settings, self._models, progress, build)
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
        return self._models.task_adapter(version, self._asked(task))

    def compat_adapter(self, task: str) -> Adapter:
        """Return the compatibility adapter for a task: given, stored or trained now.

        Raises:
            TrainingError: If it is missing and cannot or must not be trained.
        """
        return self._models.compat_adapter(self._asked(task))

    def task_model(self, side: Side, task: str) -> LanguageModel:
        """Return the model that solves a task: M1 (`old`), M2 (`new`) or MC (`compat`).

        Raises:
            MuscleError: If the model is not configured, or its adapter cannot be made.
        """
        return self._models.task_model(side, self._asked(task))

    def predictions(self, side: Side, task: str) -> Predictions:
        """Return a model's predictions for a task's evaluation examples.

        Of the old model: its baseline, where there is one. Of a task of kind "predictions": what
        the log says.

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
            ("answers", side, task), lambda: self._answers.of(side, Question(self._asked(task)))
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
            ("noise floor", task), lambda: self._measure_noise_floor(self._asked(task))
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

    def plan(self, power: float = POWER) -> list[TaskPlan]:
        """Return what each task's limits on negative flips can tell; no model is needed.

        Args:
            power: The probability with which a rate should pass or be noticed.

        Raises:
            MuscleError: If data are not usable, or a baseline where changes are accepted.
            ValueError: If `power` is out of range.
        """
        from pytest_muscle.imported import plan_imported
        from pytest_muscle.predictions.question import Question

        plans = []
        for name, task in self.tasks.items():
            if task.is_imported:
                plans.append(plan_imported(self.predictions("old", name), task, power))
                continue
            question = Question(task)
            if self.settings.accept_changes and self.baselines.has(name):
                question = Question.same_as(task, self._read_baseline(task)[0])
            plans.append(plan_task(name, task.settings, question.examples, power))
        return plans

    def made_predictions(self, side: Side, task: str) -> Predictions | None:
        """Return a model's predictions if they were made already, without making them."""
        made = self._memo.find(("predictions", side, task))
        return made if isinstance(made, Predictions) else None

    def made_noise_floor(self, task: str) -> NoiseFloor | None:
        """Return the noise floor if it was measured already, without measuring it."""
        floor: NoiseFloor | None = self._memo.find(("noise floor", task))
        return floor

    def made_adapters(self, task: str) -> Mapping[Side, Adapter]:
        """Return the adapters for a task that were found or trained already, by side."""
        return self._models.made_adapters(self.task(task))

    def check(self) -> None:
        """Check what can be checked before any data is read; see `check_configuration`.

        Raises:
            ConfigurationError: It names file and key.
        """
        from pytest_muscle.consistency import check_configuration

        check_configuration(self.settings, self.tasks.values())

    @cached_property
    def baselines(self) -> Baselines:
        """The baselines of the project."""
        from pytest_muscle.predictions.baseline import Baselines

        return Baselines(self.settings.baselines, self.settings.root)

    def _asked(self, name: str) -> Task:
        """Return a task that models are asked.

        Raises:
            ConfigurationError: If there is no such task, or its answers are read from logs.
        """
        task = self.task(name)
        if task.is_imported:
            _ = task.eval  # says why not
        if task.settings.task is not None:
            from pytest_muscle.consistency import check_task

            check_task(task)
        return task

    def _make_predictions(self, side: Side, task: Task) -> Predictions:
        if task.is_imported:
            from pytest_muscle.imported import read_imported

            old = None if side == "old" else self.predictions("old", task.name)
            table = read_imported(self.settings, task, side, old)
            if side == "old":
                warn_of_hopeless_gate(self.settings, task, len(table))
            return table
        if side == "old":
            table = self._old_predictions(task)
            warn_of_hopeless_gate(self.settings, task, len(table))
            warn_of_nothing_right(self.settings, task, table)
            return table
        table = self._newer_answers(side, task)
        if self.baselines.has(task.name):
            self._warn_of_other_settings(task, table)
        return table

    def _old_predictions(self, task: Task) -> Predictions:
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
        return with_task(table, task)

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
            needed = Question.needed(task, self.predictions("old", task.name))
            if needed.ids is not None:
                return needed
        return self._whole_question(task)

    def _whole_question(self, task: Task) -> Question:
        """Return all of a task's examples that old answers are compared at."""
        from pytest_muscle.predictions.question import Question

        if self.baselines.has(task.name):
            table, differences = self._read_baseline(task)
            if differences:
                return Question.same_as(task, table)
        return Question(task)

    def questions(self, task: Task) -> list[tuple[Question, Stopping | None]]:
        """Return what the new or compat model is asked, and until when: as little as is needed.

        The answers to any of them do; the last one is asked where none is answered yet.

        Raises:
            MuscleError: If data or baseline are not usable, or the old model's predictions cannot
                be made where they decide what is asked.
        """
        if not task.gate.sequential:
            return [(self._question(task), None)]
        from pytest_muscle.stopping import Stopping

        stopping = Stopping.of(task, self.predictions("old", task.name))
        whole, needed = self._whole_question(task), stopping.question
        return [(whole, None), (needed, None), (needed, stopping)]

    def _newer_answers(self, side: Side, task: Task) -> Predictions:
        *others, (question, stopping) = self.questions(task)
        for other, _ in others:
            if (table := self._answers.stored(side, other)) is not None:
                return table
        if question.ids is None and stopping is None:
            return self.answers(side, task.name)
        return self._answers.of(side, question, stopping)
