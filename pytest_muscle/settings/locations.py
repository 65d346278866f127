"""Whether what the configuration names is there: models, adapters, data files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from pytest_muscle.cache import FOLDERS
from pytest_muscle.errors import ConfigurationError, nearest
from pytest_muscle.settings.keys import ModelSettings, Settings, TaskSettings
from pytest_muscle.settings.paths import baseline_path, local_path
from pytest_muscle.settings.table import join

DATA_SUFFIXES = (".jsonl", ".csv", ".parquet")
DATASETS_PREFIX = "datasets:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")


def is_path(name: str, root: Path) -> bool:
    """Return whether a model's or adapter's name means a local path, not a hub id.

    It is a path if it exists, looks like one (`./x`, `/x`, `~/x`, `a/b/c`, `x.gguf`), or if its
    first folder exists: `models/v1` beside a folder `models` is a mistyped path, not a hub id.
    """
    if name.startswith((".", "/", "~")) or name.endswith(".gguf"):
        return True
    if os.path.exists(local_path(name, root)) or not _HUB_ID.fullmatch(name):
        return True
    first, _, rest = name.partition("/")
    return bool(rest) and os.path.isdir(local_path(first, root))


def check_locations(settings: Settings, *, flags: Mapping[str, str] | None = None) -> None:
    """Check every path that the settings name.

    Args:
        settings: What the user configured.
        flags: The flag that named `old`, `new`, `cache`, `report` or `history`, where one did,
            for errors. What a flag names may be written anywhere.

    Raises:
        ConfigurationError: For the first one that does not exist or is not what it should be.
    """
    flags = flags or {}
    file = settings.path.name
    for key, model in (("old", settings.old), ("new", settings.new)):
        if model is not None and not (key == "old" and _is_recorded(settings)):
            _check_model(model, settings.root, f"{file}: {key}", flags.get(key))
    _check_adapter(
        settings.compat.adapter,
        settings.compat.adapter_revision,
        settings.root,
        f"{file}: compat",
    )
    for name, task in settings.tasks.items():
        _check_task(task, settings.root, f"{file}: {join('tasks', name)}")
    _check_cache(settings.cache, flags.get("cache", f"{file}: run.cache"))
    _check_baselines(settings, f"{file}: run.baselines")
    _check_reports(settings, flags)


def _check_cache(cache: Path, where: str) -> None:
    """Check that the cache is a directory or can become one, and that nothing leads out of it."""
    try:
        found: os.stat_result | None = os.stat(cache)
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:  # too long a name; a NUL character
        raise ConfigurationError(
            f"cannot be a directory: {getattr(error, 'strerror', None) or error}",
            where=where,
            hint="name another one",
        ) from error
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"{cache} is not a directory", where=where)
    for folder in FOLDERS:
        path = cache / folder
        if not Path(os.path.realpath(path)).is_relative_to(cache):
            raise ConfigurationError(
                f"{path} is a link that leads out of the cache",
                where=where,
                hint="name the folder that it leads to as the cache, or remove the link",
            )


def _check_baselines(settings: Settings, where: str) -> None:
    path = settings.baselines
    if not path.is_relative_to(os.path.realpath(settings.root)):
        raise ConfigurationError(
            f"{path} is outside the project {settings.root}",
            where=where,
            hint="baselines are written there and committed: name a directory of the project",
        )
    if os.path.exists(path) and not os.path.isdir(path):
        raise ConfigurationError(f"{path} is not a directory", where=where)


def _check_reports(settings: Settings, flags: Mapping[str, str]) -> None:
    """Check where a run will write its reports, before it computes what they hold."""
    file = settings.path.name
    for name, key, path in (
        ("report", "dir", settings.report_dir),
        ("history", "history", settings.history),
    ):
        if path is None:
            continue
        where = flags.get(name, f"{file}: report.{key}")
        if name not in flags and not path.is_relative_to(os.path.realpath(settings.root)):
            raise ConfigurationError(
                f"{path} is outside the project {settings.root}",
                where=where,
                hint=f"name a place inside it; --muscle-{name} may name any",
            )
        _check_writable(path, where, directory=name == "report")


def _check_writable(path: Path, where: str, *, directory: bool) -> None:
    try:
        found: os.stat_result | None = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        found = None
    except (OSError, ValueError) as error:  # too long a name; a NUL character
        raise ConfigurationError(
            f"cannot be written: {getattr(error, 'strerror', None) or error}", where=where
        ) from error
    if found is not None and stat.S_ISDIR(found.st_mode) != directory:
        what = "not a directory" if directory else "a directory"
        raise ConfigurationError(f"{path} is {what}", where=where)
    there = next(above for above in (path, *path.parents) if os.path.lexists(above))
    if there != path and not os.path.isdir(there):
        raise ConfigurationError(f"{there} is not a directory", where=where)
    if not os.access(there, os.W_OK):
        raise ConfigurationError(f"{there} is not writable", where=where, hint="name another one")


def _is_recorded(settings: Settings) -> bool:
    """Return whether the old model is gone from here, and its answers are there for every task."""
    assert settings.old is not None
    gone = is_path(settings.old.model, settings.root) and not os.path.exists(
        settings.resolve(settings.old.model)
    )
    tasks = [baseline_path(settings.baselines, name) for name in settings.tasks]
    return gone and bool(tasks) and all(map(os.path.isfile, tasks))


def _check_model(model: ModelSettings, root: Path, table: str, flag: str | None) -> None:
    where = flag or f"{table}.model"
    if is_path(model.model, root):
        if model.revision is not None:
            raise ConfigurationError(
                "a revision belongs to a hub id, and the model is a local path",
                where=flag or f"{table}.revision",
            )
        path = existing(model.model, root, where)
        if path.is_dir() and not (path / "config.json").is_file():
            raise ConfigurationError(
                f"{path} has no config.json, so it is not a saved model",
                where=where,
                hint="name the directory that save_pretrained wrote, or a .gguf file",
            )
        if not path.is_dir() and path.suffix != ".gguf":
            raise ConfigurationError(f"{path} is neither a directory nor a .gguf file", where=where)
    else:
        _refuse_at(model.model, where, "revision")
    _check_adapter(model.adapter, model.adapter_revision, root, table)
    if model.tokenizer is None:
        return
    if is_path(model.tokenizer, root):
        if model.tokenizer_revision is not None:
            raise ConfigurationError(
                "a revision belongs to a hub id, and the tokenizer is a local path",
                where=f"{table}.tokenizer_revision",
            )
        existing(model.tokenizer, root, f"{table}.tokenizer")
    else:
        _refuse_at(model.tokenizer, f"{table}.tokenizer", "tokenizer_revision")


def _refuse_at(name: str, where: str, key: str) -> None:
    """Refuse `name@revision` in the file, where the revision has a key of its own."""
    name, at, revision = name.partition("@")
    if at:
        raise ConfigurationError(
            "a hub id has no @",
            where=where,
            hint=f'write "{name}" here, and {key} = "{revision}" beside it',
        )


def _check_adapter(
    adapter: str | None, revision: str | None, root: Path, table: str, key: str = "adapter"
) -> None:
    where = f"{table}.{key}"
    if adapter is None:
        return
    if not is_path(adapter, root):
        _refuse_at(adapter, where, f"{key}_revision")
        return
    if revision is not None:
        raise ConfigurationError(
            "a revision belongs to a hub id, and the adapter is a local path",
            where=f"{where}_revision",
        )
    path = existing(adapter, root, where)
    if not (path / "adapter_config.json").is_file():
        raise ConfigurationError(
            f"{path} has no adapter_config.json, so it is not a PEFT adapter",
            where=where,
            hint="name the directory that PEFT's save_pretrained wrote",
        )
    if not (path / "adapter_model.safetensors").is_file():
        raise ConfigurationError(
            f"{path} has no adapter_model.safetensors",
            where=where,
            hint="pickled weights are not loaded: save the adapter as safetensors",
        )


def _check_task(task: TaskSettings, root: Path, table: str) -> None:
    for key in ("eval", "train", "fewshot_data"):
        data: str | None = getattr(task, key) if task.task is None else None
        if data:
            _check_data(data, root, f"{table}.{key}")
    for key in ("old_adapter", "new_adapter", "compat_adapter"):
        _check_adapter(getattr(task, key), getattr(task, f"{key}_revision"), root, table, key)


def _check_data(data: str, root: Path, where: str) -> None:
    if data.startswith(DATASETS_PREFIX):
        name = re.split("[@#]", data.removeprefix(DATASETS_PREFIX))[0]
        if not name:
            raise ConfigurationError(
                "names no data set", where=where, hint="write datasets:owner/name#split"
            )
        first, _, rest = name.partition("/")
        if name.startswith((".", "/", "~")) or (rest and os.path.isdir(local_path(first, root))):
            existing(name, root, where)
        return
    path = existing(data, root, where)
    if path.suffix not in DATA_SUFFIXES:
        raise ConfigurationError(
            f"{path.name} is of no known kind",
            where=where,
            hint=f"{nearest(path.suffix, DATA_SUFFIXES)} or {DATASETS_PREFIX}NAME",
        )
    if not path.is_file():
        raise ConfigurationError(f"{path} is not a file", where=where)


def existing(name: str, root: Path, where: str) -> Path:
    """Return a local path.

    Raises:
        ConfigurationError: If nothing is there; it suggests the nearest name in its folder.
    """
    path = local_path(name, root)
    if os.path.exists(path):
        return path
    try:
        siblings = os.listdir(path.parent)
    except (OSError, ValueError):
        siblings = []
    raise ConfigurationError(
        f"no such file or directory: {str(path)!r}"
        if not str(path).isprintable()
        else f"no such file or directory: {path}",
        where=where,
        hint=nearest(path.name, siblings) if siblings else f"there is no folder {path.parent}",
    )
