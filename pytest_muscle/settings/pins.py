"""Which things of the hub are not pinned, so that they can change while the configuration stays."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings.keys import ModelSettings, Settings, TaskSettings
from pytest_muscle.settings.locations import DATASETS_PREFIX, is_path
from pytest_muscle.settings.paths import local_path
from pytest_muscle.settings.table import join

_COMMIT = re.compile("[0-9a-f]{40}")


def is_commit(revision: str | None) -> bool:
    """Return whether a revision is a whole commit, 40 hexadecimal digits.

    Nothing else is a pin: branches and tags move, and the hub takes no shortened commit.
    """
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def find_unpinned(settings: Settings) -> Iterator[ConfigurationError]:
    """Yield one error, not raised, for each thing of the hub that is not pinned to a commit."""
    file = settings.path.name
    for version, model in (("old", settings.old), ("new", settings.new)):
        if model is not None:
            yield from _of_model(settings, model, f"{file}: {version}")
    compat = settings.compat
    yield from _of_hub(
        settings, compat.adapter, compat.adapter_revision, f"{file}: compat", "adapter"
    )
    for name, task in settings.tasks.items():
        yield from _of_task(settings, task, f"{file}: {join('tasks', name)}")


def _of_model(settings: Settings, model: ModelSettings, table: str) -> Iterator[ConfigurationError]:
    if model.flag is not None:
        if not is_path(model.model, settings.root) and not is_commit(model.revision):
            remedy = f"write {model.flag}={model.model}@COMMIT"
            yield _unpinned(model.model, model.revision, model.flag, remedy)
        return
    yield from _of_hub(settings, model.model, model.revision, table, "model", "revision")
    yield from _of_hub(settings, model.tokenizer, model.tokenizer_revision, table, "tokenizer")
    yield from _of_hub(settings, model.adapter, model.adapter_revision, table, "adapter")


def _of_task(settings: Settings, task: TaskSettings, table: str) -> Iterator[ConfigurationError]:
    for key in ("eval", "train", "fewshot_data"):
        data: str | None = getattr(task, key)
        if data is not None and data.startswith(DATASETS_PREFIX):
            source, mark, split = data.removeprefix(DATASETS_PREFIX).partition("#")
            name, _, revision = source.partition("@")
            if not os.path.isdir(local_path(name, settings.root)) and not is_commit(revision):
                remedy = f'write "{DATASETS_PREFIX}{name}@COMMIT{mark}{split}"'
                yield _unpinned(name, revision or None, f"{table}.{key}", remedy)
    for version in ("old", "new", "compat"):
        model: ModelSettings | None = getattr(settings, version) if version != "compat" else None
        if model is None or model.flag is None:  # else the flag stands in for this adapter too
            key = f"{version}_adapter"
            revision = getattr(task, f"{key}_revision")
            yield from _of_hub(settings, getattr(task, key), revision, table, key)


def _of_hub(
    settings: Settings,
    name: str | None,
    revision: str | None,
    table: str,
    key: str,
    revision_key: str | None = None,
) -> Iterator[ConfigurationError]:
    if name is not None and not is_path(name, settings.root) and not is_commit(revision):
        remedy = f'add {revision_key or f"{key}_revision"} = "COMMIT" beside it'
        yield _unpinned(name, revision, f"{table}.{key}", remedy)


def _unpinned(name: str, revision: str | None, where: str, remedy: str) -> ConfigurationError:
    shown = f"{name!r} at revision {revision!r}" if revision else f"{name!r} on the hub"
    return ConfigurationError(
        f"{shown} is not pinned to a commit and may be another one tomorrow",
        where=where,
        hint=f"{remedy}: a whole commit, 40 hexadecimal digits",
    )
