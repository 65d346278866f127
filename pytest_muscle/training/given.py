"""Adapters that the user gives: nothing is trained where one is named."""

from __future__ import annotations

from pathlib import Path

from pytest_muscle.models.spec import ADAPTER_FILES, adapter_directory
from pytest_muscle.settings import ModelSettings, Settings
from pytest_muscle.settings.locations import is_path
from pytest_muscle.settings.paths import local_path
from pytest_muscle.tasks import Task
from pytest_muscle.training.store import Adapter


def version_adapter(settings: Settings, version: str) -> Adapter | None:
    """Return the adapter of `[old]` or `[new]`, fetched if need be, or none.

    Raises:
        ModelError: If it cannot be fetched or is no PEFT directory with safetensors weights.
    """
    model: ModelSettings = getattr(settings, version)
    return _given(settings, model.adapter, model.adapter_revision, f"{version}.adapter")


def given_task_adapter(settings: Settings, version: str, task: Task) -> Adapter | None:
    """Return the adapter given for a version and a task: the task's own goes before `[old]`'s.

    A flag that stands in for a version stands in for the task's own adapter of it too.

    Raises:
        ModelError: If it cannot be fetched or is no PEFT directory with safetensors weights.
    """
    return _given(settings, *_named(settings, version, task))


def is_given(settings: Settings, version: str, task: Task) -> bool:
    """Return whether an adapter is given for a version and a task."""
    return _named(settings, version, task)[0] is not None


def given_adapter_here(settings: Settings, version: str, task: Task) -> Path | None:
    """Return that adapter's directory if it is a local one and there, else none."""
    name, _, _ = _named(settings, version, task)
    if name is None or not is_path(name, settings.root):
        return None
    path = local_path(name, settings.root)
    whole = all((path / file).is_file() for file in ADAPTER_FILES)
    return path if whole else None


def given_compat_adapter(settings: Settings, task: Task) -> Adapter | None:
    """Return the compat adapter given for a task: the task's own goes before `[compat]`'s.

    Raises:
        ModelError: If it cannot be fetched or is no PEFT directory with safetensors weights.
    """
    compat, own = settings.compat, task.settings.compat_adapter
    if own is not None:
        revision = task.settings.compat_adapter_revision
        return _given(settings, own, revision, f"tasks.{task.name}.compat_adapter")
    return _given(settings, compat.adapter, compat.adapter_revision, "compat.adapter")


def _named(settings: Settings, version: str, task: Task) -> tuple[str | None, str | None, str]:
    """Return name, revision and key of the adapter given for a version and a task."""
    model: ModelSettings = getattr(settings, version)
    own: str | None = getattr(task.settings, f"{version}_adapter")
    if own is not None and model.flag is None:
        revision: str | None = getattr(task.settings, f"{version}_adapter_revision")
        return own, revision, f"tasks.{task.name}.{version}_adapter"
    return model.adapter, model.adapter_revision, f"{version}.adapter"


def _given(settings: Settings, name: str | None, revision: str | None, key: str) -> Adapter | None:
    if name is None:
        return None
    where = f"{settings.path.name}: {key}"
    directory = adapter_directory(name, settings.root, revision, where, fetch=settings.writes)
    return Adapter(directory, "given")
