"""The models of one update: two bases, and on them each task's adapters: given, stored, trained."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from pytest_muscle.cache import ADAPTERS, DEVICE_NOTES
from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import ConfigurationError
from pytest_muscle.memo import Memo
from pytest_muscle.progress import Progress
from pytest_muscle.settings import ModelSettings, Settings
from pytest_muscle.settings.keys import Dtype
from pytest_muscle.tasks import Task

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_muscle.models import BaseModel, LanguageModel, ModelSpec
    from pytest_muscle.models.placement import Placing
    from pytest_muscle.models.spec import TaskModelSpec
    from pytest_muscle.training.adapters import AdapterShop
    from pytest_muscle.training.store import Adapter, AdapterKey, AdapterStore

Version = Literal["old", "new"]
Side = Literal["old", "new", "compat"]
VERSIONS: tuple[Version, Version] = ("old", "new")


class TaskModels:
    """The models under test; nothing is loaded or trained before it is needed.

    Args:
        settings: What the user configured.
        digests: Digests of the models' files.
        progress: Where progress is shown.
        note: What progress bars of training say too.
        loaded: Base models that other `TaskModels` of the same versions may have loaded.
    """

    def __init__(
        self,
        settings: Settings,
        digests: FileDigests,
        progress: Progress,
        *,
        note: str = "",
        loaded: Memo | None = None,
    ) -> None:
        self._settings = settings
        self._digests = digests
        self._progress = progress
        self._note = note
        self._memo = Memo()
        self._loaded = loaded or Memo()

    def built_by(self, settings: Settings, note: str) -> TaskModels:
        """Return the models of the same versions as other settings build them.

        Args:
            settings: They differ in what makes adapters, or in `[run]`.
            note: What progress bars of training say too.
        """
        return TaskModels(settings, self._digests, self._progress, note=note, loaded=self._loaded)

    def base(self, version: Version) -> BaseModel:
        """Return the old or the new base model, not yet loaded.

        Raises:
            ConfigurationError: If the version is not configured.
        """
        dtype = self._settings.run.dtype
        return self._loaded.once(("base", version, dtype), lambda: self._make_base(version))

    def release(self, version: Version) -> None:
        """Take a base model's weights out of memory, if they are there."""
        base = self._loaded.find(("base", version, self._settings.run.dtype))
        if base is not None:
            base.release()

    def model(self, version: Version) -> LanguageModel:
        """Return a version as configured: its base model and the adapter given for it.

        Raises:
            ConfigurationError: If the version is not configured.
        """
        from pytest_muscle.training.given import version_adapter

        self._version(version)
        return self._language_model(version, version_adapter(self._settings, version))

    def task_adapter(self, version: Version, task: Task) -> Adapter | None:
        """Return a version's adapter for a task: given, stored or trained now; or none.

        Raises:
            TrainingError: If it is missing and must not be trained.
        """
        return self._memo.once(
            ("task adapter", version, task.name), lambda: self._make_task_adapter(version, task)
        )

    def compat_adapter(self, task: Task) -> Adapter:
        """Return the compatibility adapter for a task: given, stored or trained now.

        Raises:
            TrainingError: If it is missing and cannot or must not be trained.
        """
        return self._memo.once(
            ("compat adapter", task.name), lambda: self._make_compat_adapter(task)
        )

    def made_adapters(self, task: Task) -> dict[Side, Adapter]:
        """Return the adapters for a task that were found or trained already, by side."""
        keys: dict[Side, tuple[str, ...]] = {
            "old": ("task adapter", "old", task.name),
            "new": ("task adapter", "new", task.name),
            "compat": ("compat adapter", task.name),
        }
        made = {side: self._memo.find(key) for side, key in keys.items()}
        return {side: adapter for side, adapter in made.items() if adapter is not None}

    def task_model(self, side: Side, task: Task) -> LanguageModel:
        """Return the model that solves a task.

        Raises:
            MuscleError: If the model is not configured, or its adapter cannot be made.
        """
        if side == "compat":
            return self._language_model("new", self.compat_adapter(task))
        return self._language_model(side, self.task_adapter(side, task))

    def task_model_spec(self, side: Side, task: Task) -> TaskModelSpec:
        """Return which model solves a task; its adapter is trained now if it is missing."""
        from pytest_muscle.models.spec import TaskModelSpec

        if side == "compat":
            return TaskModelSpec(self.spec("new"), self.compat_adapter(task).path)
        adapter = self.task_adapter(side, task)
        return TaskModelSpec(self.spec(side), adapter.path if adapter else None)

    def facts(self, side: Side, task: Task) -> dict[str, Any]:
        """Return what determines a task model's answers, as it was when first asked."""
        return self._memo.once(("facts", side, task.name), lambda: self.facts_now(side, task))

    def facts_now(self, side: Side, task: Task) -> dict[str, Any]:
        """Return what determines a task model's answers at this moment."""
        return self.task_model_spec(side, task).facts(self._digests)

    def base_facts(self, version: Version) -> dict[str, Any]:
        """Return what determines a base model's answers.

        Raises:
            ModelError: If a hub id's commit cannot be found out.
        """
        return self.spec(version).facts(self._digests)

    def given_adapter_facts(self, version: Version, task: Task) -> dict[str, Any] | None:
        """Return what determines the effect of an adapter that is given and here, else none."""
        from pytest_muscle.models.spec import adapter_facts
        from pytest_muscle.training.given import given_adapter_here

        path = given_adapter_here(self._settings, version, task)
        return None if path is None else adapter_facts(path, self._digests)

    def spec(self, version: Version) -> ModelSpec:
        """Return which model a version is; it takes no torch to know that."""
        from pytest_muscle.models import model_spec

        settings = self._version(version)
        where = settings.flag or f"{self._settings.path.name}: {version}.model"
        return self._memo.once(
            ("spec", version), lambda: model_spec(settings, self._settings.root, where)
        )

    def check_data(self, task: Task) -> None:
        """Read a task's data, so that a mistake in it shows before a model loads for it.

        Data that were read before, and whose digests are remembered, are not read again.
        """
        self._memo.once(("data", task.name), lambda: (task.digest, task.train_digest))

    @cached_property
    def placing(self) -> Placing:
        """Where models run."""
        from pytest_muscle.models.placement import Placing

        store, writes = self._settings.cache / DEVICE_NOTES, self._settings.writes
        return Placing(self._settings.run, store, self._progress, writes=writes)

    @cached_property
    def _shop(self) -> AdapterShop:
        from pytest_muscle.training.adapters import AdapterShop
        from pytest_muscle.training.store import AdapterStore

        return AdapterShop(
            store=AdapterStore(
                self._settings.cache / ADAPTERS, self._progress, writes=self._settings.writes
            ),
            digests=self._digests,
            allowed=self._settings.train,
            progress=self._progress,
        )

    def _version(self, version: Version) -> ModelSettings:
        settings: ModelSettings | None = getattr(self._settings, version)
        if settings is None:
            raise ConfigurationError(
                f"the {version} model is not configured",
                where=f"{self._settings.path.name}: {version}",
                hint=f"add [{version}] with model = …, or give --muscle-{version}",
            )
        return settings

    def _make_base(self, version: Version) -> BaseModel:
        from pytest_muscle.models import BaseModel

        spec = self.spec(version)
        placement = self.placing.resolve()
        self._release_other_types()
        import torch

        return BaseModel(
            spec,
            device=torch.device(placement.device),
            dtype=getattr(torch, placement.dtype),
        )

    def _release_other_types(self) -> None:
        """Take weights out of memory that are there in another floating-point type."""
        others = set(get_args(Dtype)) - {self._settings.run.dtype}
        for version, dtype in itertools.product(VERSIONS, others):
            base = self._loaded.find(("base", version, dtype))
            if base is not None:
                base.release()

    def _language_model(self, version: Version, adapter: Adapter | None) -> LanguageModel:
        from pytest_muscle.models import LanguageModel

        return LanguageModel(
            base=self.base(version),
            adapter=adapter.path if adapter else None,
            batch_tokens=self._settings.run.batch_tokens,
            progress=self._progress,
        )

    def _task_key(self, version: Version, task: Task) -> AdapterKey:
        from pytest_muscle.training.keys import task_key

        return task_key(task, self.base_facts(version), self._settings.adapter, version)

    def _given_adapter(self, version: Version, task: Task) -> Adapter | None:
        from pytest_muscle.training.given import given_task_adapter

        self._version(version)
        return self._memo.once(
            ("given", version, task.name),
            lambda: given_task_adapter(self._settings, version, task),
        )

    def is_trained(self, version: Version, task: Task) -> bool:
        """Return whether a version's adapter for a task is one that is trained here.

        Raises:
            ModelError: If one is given that is not here.
        """
        given = self._given_adapter(version, task)
        return given is None and task.settings.train is not None

    def missing_adapter(self, version: Version, task: Task) -> Path | None:
        """Return where a task adapter will be that is yet to be trained, else none."""
        key = self.adapter_key(version, task)
        return None if key is None or self.adapters.find(key) else self.adapters.path(key)

    def given_adapter(self, side: Side, task: Task) -> Adapter | None:
        """Return the adapter that is given for a side and a task, or none.

        Raises:
            ModelError: If it is not here, or is no PEFT directory with safetensors weights.
        """
        from pytest_muscle.training.given import given_compat_adapter

        if side == "compat":
            return given_compat_adapter(self._settings, task)
        return self._given_adapter(side, task)

    def adapter_key(self, side: Side, task: Task) -> AdapterKey | None:
        """Return the key of an adapter that is trained here.

        Returns:
            None where it is not trained, or what a compat adapter is made of is yet to be trained.
        """
        if side == "compat":
            return self._compat_key(task)
        if not self.is_trained(side, task):
            return None
        self.check_data(task)
        return self._task_key(side, task)

    @property
    def adapters(self) -> AdapterStore:
        """The adapters that were trained before."""
        return self._shop.store

    def _make_task_adapter(self, version: Version, task: Task) -> Adapter | None:
        if not self.is_trained(version, task):
            return self._given_adapter(version, task)
        from pytest_muscle.training.adapters import task_adapter

        self.check_data(task)
        if (stored := self._shop.find(self._task_key(version, task))) is not None:
            return stored
        other: Version = "old" if version == "new" else "new"
        return task_adapter(
            self._shop,
            task,
            self.base(version),
            self._settings.adapter,
            side=version,
            beside=self._loaded.find(("base", other, self._settings.run.dtype)),
            note=self._note,
        )

    def _make_compat_adapter(self, task: Task) -> Adapter:
        from pytest_muscle.training.adapters import check_vocabularies, compat_adapter

        if (given := self.given_adapter("compat", task)) is not None:
            return given
        self.check_teacher(task)
        self.check_data(task)
        key = self._compat_key(task)
        if key is not None and (stored := self._shop.find(key)) is not None:
            return stored
        # Before two task adapters are trained for nothing.
        check_vocabularies(self.base("old").tokenizer, self.base("new").tokenizer, task)
        return compat_adapter(
            self._shop,
            task,
            self.task_model("old", task),
            self.task_model("new", task),
            self._settings.compat,
        )

    def check_teacher(self, task: Task) -> None:
        """Raise if a compat adapter would have nobody to learn from.

        Raises:
            ConfigurationError: If there is no old model.
        """
        if self._settings.old is None:
            raise ConfigurationError(
                f"the compat adapter of {task.name} learns from the old model, which is not "
                "configured",
                where=f"{self._settings.path.name}: old",
                hint="train it where the old model is and name it here: [compat] adapter = …; "
                "or add [old] with model = …",
            )

    def _compat_key(self, task: Task) -> AdapterKey | None:
        """Return the compat adapter's key, or none where what it is made of is not there yet."""
        from pytest_muscle.training.keys import compat_key

        if any(self.missing_adapter(version, task) for version in VERSIONS):
            return None
        if self.task_adapter("new", task) is None:
            return None
        old, new = self.facts("old", task), self.facts("new", task)
        return compat_key(task, old, new, self._settings.compat)
