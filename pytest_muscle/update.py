"""One model update under test: its models, adapters, predictions and reports, each made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_muscle.cache import ADAPTERS, DEVICE_NOTES, DIGEST_NOTES, PREDICTIONS, TASK_NOTES
from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import ConfigurationError, MuscleError, nearest
from pytest_muscle.predictions import Predictions
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.settings import ModelSettings, Settings
from pytest_muscle.tasks import Task, build_tasks
from pytest_muscle.tasks.memory import DigestMemory

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.models import BaseModel, LanguageModel, ModelSpec
    from pytest_muscle.models.placement import Placing
    from pytest_muscle.models.spec import TaskModelSpec
    from pytest_muscle.predictions.journal import Journal
    from pytest_muscle.predictions.keys import PredictionKey
    from pytest_muscle.predictions.question import Question
    from pytest_muscle.predictions.store import PredictionStore
    from pytest_muscle.training.adapters import AdapterShop
    from pytest_muscle.training.store import Adapter, AdapterKey

Version = Literal["old", "new"]
Side = Literal["old", "new", "compat"]
VERSIONS: tuple[Version, Version] = ("old", "new")
T = TypeVar("T")


class ModelUpdate:
    """One update of a model, as configured; nothing is loaded or trained before it is needed.

    Args:
        settings: What the user configured.
        progress: Where progress is shown.
    """

    def __init__(self, settings: Settings, progress: Progress = SILENT) -> None:
        self.settings = settings
        self._digests = FileDigests(settings.cache / DIGEST_NOTES)
        memory = DigestMemory(settings.cache / TASK_NOTES, self._digests)
        self.tasks: Mapping[str, Task] = build_tasks(settings, memory)
        self._progress = progress
        self._made: dict[tuple[Hashable, ...], Any] = {}

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
        return self._once(("base", version), lambda: self._make_base(version))

    def model(self, version: Version) -> LanguageModel:
        """Return a version as configured: its base model and the adapter given for it.

        Raises:
            ConfigurationError: If the version is not configured.
        """
        from pytest_muscle.training.given import version_adapter

        self._version(version)
        return self._language_model(version, version_adapter(self.settings, version))

    def task_adapter(self, version: Version, task: str) -> Adapter | None:
        """Return a version's adapter for a task: given, stored or trained now; or none.

        There is none where the configuration names none and the task has no train set.

        Raises:
            TrainingError: If it is missing and must not be trained.
        """
        return self._once(
            ("task adapter", version, task), lambda: self._make_task_adapter(version, task)
        )

    def compat_adapter(self, task: str) -> Adapter:
        """Return the compatibility adapter for a task: given, stored or trained now.

        Raises:
            TrainingError: If it is missing and cannot or must not be trained.
        """
        return self._once(("compat adapter", task), lambda: self._make_compat_adapter(task))

    def task_model(self, side: Side, task: str) -> LanguageModel:
        """Return the model that solves a task: M1 (`old`), M2 (`new`) or MC (`compat`).

        Raises:
            MuscleError: If the model is not configured, or its adapter cannot be made.
        """
        if side == "compat":
            return self._language_model("new", self.compat_adapter(task))
        return self._language_model(side, self.task_adapter(side, task))

    def predictions(self, side: Side, task: str) -> Predictions:
        """Return a model's predictions for a task's evaluation examples.

        Raises:
            MuscleError: If data or model are not usable.
        """
        return self._once(("predictions", side, task), lambda: self._make_predictions(side, task))

    def flip_report(self, task: str, side: Literal["new", "compat"] = "new") -> FlipReport:
        """Return the comparison of the old model's predictions with the new or compat one's.

        Raises:
            MuscleError: If the predictions cannot be made.
        """
        from pytest_muscle.comparison import compare

        return self._once(
            ("report", side, task),
            lambda: compare(self.predictions("old", task), self.predictions(side, task)),
        )

    def made_predictions(self, side: Side, task: str) -> Predictions | None:
        """Return a model's predictions if they were made already, without making them."""
        made = self._made.get(("predictions", side, task))
        return made if isinstance(made, Predictions) else None

    def check(self) -> None:
        """Check what can be checked before any data is read: templates, metrics, strategy.

        Raises:
            ConfigurationError: It names file and key.
        """
        from pytest_muscle.training.objectives import find_objective

        for task in self.tasks.values():
            _ = task.renderer
        find_objective(
            self.settings.compat.strategy, where=f"{self.settings.path.name}: compat.strategy"
        )

    def _once(self, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """Make a thing once; a mistake of the user's is raised again, not made again."""
        if key not in self._made:
            try:
                self._made[key] = make()
            except MuscleError as error:
                self._made[key] = error
        if isinstance(self._made[key], MuscleError):
            raise self._made[key]
        return self._made[key]  # type: ignore[no-any-return]

    def _version(self, version: Version) -> ModelSettings:
        settings: ModelSettings | None = getattr(self.settings, version)
        if settings is None:
            raise ConfigurationError(
                f"the {version} model is not configured",
                where=f"{self.settings.path.name}: {version}",
                hint=f"add [{version}] with model = …, or give --muscle-{version}",
            )
        return settings

    @cached_property
    def _placing(self) -> Placing:
        from pytest_muscle.models.placement import Placing

        store = self.settings.cache / DEVICE_NOTES
        return Placing(self.settings.run, store, self._progress)

    @cached_property
    def _store(self) -> PredictionStore:
        from pytest_muscle.predictions.store import PredictionStore

        return PredictionStore(self.settings.cache / PREDICTIONS, self._progress)

    @cached_property
    def _shop(self) -> AdapterShop:
        from pytest_muscle.training.adapters import AdapterShop
        from pytest_muscle.training.store import AdapterStore

        return AdapterShop(
            store=AdapterStore(self.settings.cache / ADAPTERS, self._progress),
            digests=self._digests,
            allowed=self.settings.train,
            progress=self._progress,
        )

    def _spec(self, version: Version) -> ModelSpec:
        """Return which model a version is; it takes no torch to know that."""
        from pytest_muscle.models import model_spec

        settings = self._version(version)
        where = settings.flag or f"{self.settings.path.name}: {version}.model"
        return self._once(
            ("spec", version), lambda: model_spec(settings, self.settings.root, where)
        )

    def _make_base(self, version: Version) -> BaseModel:
        from pytest_muscle.models import BaseModel

        spec = self._spec(version)
        placement = self._placing.resolve()
        import torch

        return BaseModel(
            spec,
            device=torch.device(placement.device),
            dtype=getattr(torch, placement.dtype),
        )

    def _language_model(self, version: Version, adapter: Adapter | None) -> LanguageModel:
        from pytest_muscle.models import LanguageModel

        return LanguageModel(
            base=self.base(version),
            adapter=adapter.path if adapter else None,
            batch_tokens=self.settings.run.batch_tokens,
            progress=self._progress,
        )

    def _task_key(self, version: Version, task: Task) -> AdapterKey:
        from pytest_muscle.training.keys import task_key

        base = self._spec(version).facts(self._digests)
        return task_key(task, base, self.settings.adapter, version)

    def _given_adapter(self, version: Version, task: Task) -> Adapter | None:
        from pytest_muscle.training.given import given_task_adapter

        self._version(version)
        return self._once(
            ("given", version, task.name), lambda: given_task_adapter(self.settings, version, task)
        )

    def _is_trained(self, version: Version, task: Task) -> bool:
        """Return whether a version's adapter for a task is one that is trained here."""
        given = self._given_adapter(version, task)
        return given is None and task.settings.train is not None

    def _make_task_adapter(self, version: Version, name: str) -> Adapter | None:
        task = self.task(name)
        if not self._is_trained(version, task):
            return self._given_adapter(version, task)
        from pytest_muscle.training.adapters import task_adapter

        self._check_data(task)
        if (stored := self._shop.find(self._task_key(version, task))) is not None:
            return stored
        other: Version = "old" if version == "new" else "new"
        return task_adapter(
            self._shop,
            task,
            self.base(version),
            self.settings.adapter,
            side=version,
            beside=self._made.get(("base", other)),
        )

    def _make_compat_adapter(self, name: str) -> Adapter:
        from pytest_muscle.training.adapters import check_vocabularies, compat_adapter
        from pytest_muscle.training.given import given_compat_adapter

        task = self.task(name)
        if (given := given_compat_adapter(self.settings, task)) is not None:
            return given
        self._check_data(task)
        if (stored := self._stored_compat_adapter(task)) is not None:
            return stored
        # Before two task adapters are trained for nothing.
        check_vocabularies(self.base("old"), self.base("new"), task)
        return compat_adapter(
            self._shop,
            task,
            self.task_model("old", name),
            self.task_model("new", name),
            self.settings.compat,
        )

    def _stored_compat_adapter(self, task: Task) -> Adapter | None:
        """Return the stored compat adapter, or none where what it is made of is not there yet."""
        from pytest_muscle.training.keys import compat_key

        for version in VERSIONS:
            key = self._task_key(version, task) if self._is_trained(version, task) else None
            if key is not None and self._shop.store.find(key) is None:
                return None
        if self.task_adapter("new", task.name) is None:
            return None
        old, new = self._facts("old", task), self._facts("new", task)
        return self._shop.find(compat_key(task, old, new, self.settings.compat))

    def _task_model_spec(self, side: Side, task: Task) -> TaskModelSpec:
        """Return which model solves a task; its adapter is trained now if it is missing."""
        from pytest_muscle.models.spec import TaskModelSpec

        if side == "compat":
            return TaskModelSpec(self._spec("new"), self.compat_adapter(task.name).path)
        adapter = self.task_adapter(side, task.name)
        return TaskModelSpec(self._spec(side), adapter.path if adapter else None)

    def _facts(self, side: Side, task: Task) -> dict[str, Any]:
        """Return what determines a task model's answers, as it was when first asked."""
        return self._once(
            ("facts", side, task.name),
            lambda: self._task_model_spec(side, task).facts(self._digests),
        )

    def _prediction_key(self, side: Side, question: Question) -> PredictionKey | None:
        from pytest_muscle.predictions.keys import prediction_key

        placement = self._placing.expected()
        return prediction_key(
            question,
            side,
            self._facts(side, question.task),
            device=placement.device,
            dtype=placement.dtype,
        )

    def _make_predictions(self, side: Side, name: str) -> Predictions:
        task = self.task(name)
        self._check_data(task)
        question = self._question(side, task)
        key = self._prediction_key(side, question)
        table = None if key is None else self._store.find(key)
        if table is None:
            self._placing.resolve()  # a model will load: what was remembered must be true
            key = self._prediction_key(side, question)
            table = (
                self._answer(side, question, {})
                if key is None
                else self._answer_once(key, side, question)
            )
        return replace(
            table,
            task=name,
            model=self._task_model_spec(side, task).describe(),
            examples=task.eval_by_id,
        )

    def _question(self, side: Side, task: Task) -> Question:
        """Return which of a task's examples a model is asked."""
        from pytest_muscle.predictions.question import Question

        if side == "old" or self.settings.run.score == "all":
            return Question(task)
        return Question.needed(task, self.predictions("old", task.name))

    def _answer_once(self, key: PredictionKey, side: Side, question: Question) -> Predictions:
        task = question.task
        spec, facts = self._task_model_spec(side, task), self._facts(side, task)
        return self._store.get(
            key,
            lambda about, journal: self._answer(side, question, about, journal),
            unchanged=lambda: spec.facts(self._digests) == facts,
        )

    def _answer(
        self,
        side: Side,
        question: Question,
        facts: Mapping[str, Any],
        journal: Journal | None = None,
    ) -> Predictions:
        from pytest_muscle.models.answering import answer

        name = question.task.name
        model = self.task_model(side, name)
        description = f"{name}: {side} model answers"
        return answer(model, question, facts, description=description, journal=journal)

    def _check_data(self, task: Task) -> None:
        """Read a task's data, so that a mistake in it shows before a model loads for it.

        Data that were read before, and whose digests are remembered, are not read again.
        """
        self._once(("data", task.name), lambda: (task.digest, task.train_digest))
