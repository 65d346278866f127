"""One model update under test: its models, adapters, predictions and reports, each made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import ConfigurationError, MuscleError, nearest
from pytest_muscle.predictions import Predictions
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.settings import ModelSettings, Settings
from pytest_muscle.tasks import Task, build_tasks

if TYPE_CHECKING:
    import torch

    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.models import BaseModel, LanguageModel
    from pytest_muscle.tasks import Example
    from pytest_muscle.tasks.examples import SomeExamples
    from pytest_muscle.training.adapters import AdapterShop
    from pytest_muscle.training.store import Adapter

Version = Literal["old", "new"]
Side = Literal["old", "new", "compat"]
T = TypeVar("T")


class ModelUpdate:
    """One update of a model, as configured; nothing is loaded or trained before it is needed.

    Args:
        settings: What the user configured.
        progress: Where progress is shown.
    """

    def __init__(self, settings: Settings, progress: Progress = SILENT) -> None:
        self.settings = settings
        self.tasks: Mapping[str, Task] = build_tasks(settings)
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
        settings = self._version(version)
        adapter = self._given_adapter(
            settings.adapter, settings.adapter_revision, f"{version}.adapter"
        )
        return self._language_model(version, adapter)

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
    def _device(self) -> torch.device:
        from pytest_muscle.models.device import choose_device

        return choose_device(self.settings.run.device)

    @cached_property
    def _digests(self) -> FileDigests:
        return FileDigests(self.settings.cache / "digests.json")

    @cached_property
    def _shop(self) -> AdapterShop:
        from pytest_muscle.training.adapters import AdapterShop
        from pytest_muscle.training.store import AdapterStore

        return AdapterShop(
            store=AdapterStore(self.settings.cache / "adapters", self._progress),
            digests=self._digests,
            allowed=self.settings.train,
            progress=self._progress,
        )

    def _make_base(self, version: Version) -> BaseModel:
        from pytest_muscle.models import BaseModel, model_spec
        from pytest_muscle.models.device import choose_dtype

        settings = self._version(version)
        where = settings.flag or f"{self.settings.path.name}: {version}.model"
        spec = model_spec(settings, self.settings.root, where)
        dtype = choose_dtype(self.settings.run.dtype, self._device)
        return BaseModel(spec, device=self._device, dtype=dtype)

    def _language_model(self, version: Version, adapter: Adapter | None) -> LanguageModel:
        from pytest_muscle.models import LanguageModel

        return LanguageModel(
            base=self.base(version),
            adapter=adapter.path if adapter else None,
            batch_tokens=self.settings.run.batch_tokens,
            progress=self._progress,
        )

    def _given_adapter(self, name: str | None, revision: str | None, key: str) -> Adapter | None:
        """Return the adapter that a key names, fetched if need be, or none.

        Args:
            name: A directory or a hub id.
            revision: Commit, branch or tag of a hub id, where a key has it.
            key: Dotted key, for errors.
        """
        from pytest_muscle.models.spec import adapter_directory
        from pytest_muscle.training.store import Adapter

        if name is None:
            return None
        where = f"{self.settings.path.name}: {key}"
        path = adapter_directory(name, self.settings.root, revision, where)
        return Adapter(path, "given")

    def _make_task_adapter(self, version: Version, name: str) -> Adapter | None:
        task = self.task(name)
        settings = self._version(version)
        own: str | None = getattr(task.settings, f"{version}_adapter")
        if own is not None and settings.flag is None:
            given = self._given_adapter(own, None, f"tasks.{name}.{version}_adapter")
        else:
            given = self._given_adapter(
                settings.adapter, settings.adapter_revision, f"{version}.adapter"
            )
        if given is not None or task.settings.train is None:
            return given
        from pytest_muscle.training.adapters import task_adapter

        self._check_data(task)
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
        task = self.task(name)
        compat = self.settings.compat
        own = task.settings.compat_adapter
        given = (
            self._given_adapter(own, None, f"tasks.{name}.compat_adapter")
            if own is not None
            else self._given_adapter(compat.adapter, compat.adapter_revision, "compat.adapter")
        )
        if given is not None:
            return given
        from pytest_muscle.training.adapters import check_vocabularies, compat_adapter

        self._check_data(task)
        # Before two task adapters are trained for nothing.
        check_vocabularies(self.base("old"), self.base("new"), task)
        return compat_adapter(
            self._shop,
            task,
            self.task_model("old", name),
            self.task_model("new", name),
            compat,
        )

    def _make_predictions(self, side: Side, name: str) -> Predictions:
        from pytest_muscle.models import LoglikelihoodRequest
        from pytest_muscle.predictions.judging import judge

        task = self.task(name)
        self._check_data(task)
        asked, unasked = self._asked(side, task)
        model = self.task_model(side, name)
        requests = (
            LoglikelihoodRequest(
                example.prompt,
                tuple(task.continuation(example, option) for option in range(len(example.options))),
            )
            for example in asked
        )
        description = f"{name}: {side} model answers"
        scored = model.loglikelihoods(list(requests), description=description) if asked else ()
        return Predictions(
            rows=judge(task, asked, scored),
            task=name,
            model=model.describe(),
            facts={"task_digest": task.digest, "dtype": str(model.base.dtype)},
            examples=task.eval_by_id,
            unasked=unasked,
        )

    def _asked(
        self, side: Side, task: Task
    ) -> tuple[Sequence[Example] | SomeExamples, tuple[Hashable, ...]]:
        """Return the examples that a model is asked, and the ids of those that it is not."""
        if side == "old" or self.settings.run.score == "all":
            return task.eval, ()
        old = self.predictions("old", task.name).columns
        return task.eval_by_id.select(old.ids[old.correct].tolist()), tuple(old.ids[~old.correct])

    def _check_data(self, task: Task) -> None:
        """Read a task's data, so that a mistake in it shows before a model loads for it."""
        self._once(("data", task.name), lambda: (task.eval, task.train))
