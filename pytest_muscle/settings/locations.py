"""Whether what the configuration names is there: models, adapters, data files."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_muscle.errors import ConfigurationError, nearest
from pytest_muscle.settings.keys import ModelSettings, Settings, TaskSettings

DATA_SUFFIXES = (".jsonl", ".csv", ".parquet")
DATASETS_PREFIX = "datasets:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")


def is_path(name: str, root: Path) -> bool:
    """Return whether a model's or adapter's name means a local path, not a hub id.

    It is a path if it exists, looks like one (`./x`, `/x`, `~/x`, `a/b/c`, `x.gguf`), or if its
    first folder exists: `models/v1` beside a folder `models` is a mistyped path, not a hub id.
    """
    path = root / Path(name).expanduser()
    if path.exists() or name.startswith((".", "/", "~")) or name.endswith(".gguf"):
        return True
    if not _HUB_ID.fullmatch(name):
        return True
    first, _, rest = name.partition("/")
    return bool(rest) and (root / first).is_dir()


def check_locations(settings: Settings) -> None:
    """Check every path that the settings name.

    Raises:
        ConfigurationError: For the first one that does not exist or is not what it should be.
    """
    file = settings.path.name
    for key, model in (("old", settings.old), ("new", settings.new)):
        if model is not None:
            _check_model(model, settings.root, f"{file}: {key}")
    if settings.compat.adapter is not None:
        _check_adapter(settings.compat.adapter, settings.root, f"{file}: compat.adapter")
    for name, task in settings.tasks.items():
        _check_task(task, settings.root, f"{file}: tasks.{name}")


def _check_model(model: ModelSettings, root: Path, where: str) -> None:
    if is_path(model.model, root):
        if model.revision is not None:
            raise ConfigurationError(
                "a revision belongs to a hub id, and the model is a local path",
                where=f"{where}.revision",
            )
        path = _existing(model.model, root, f"{where}.model")
        if path.is_dir() and not (path / "config.json").is_file():
            raise ConfigurationError(
                f"{path} has no config.json, so it is not a saved model",
                where=f"{where}.model",
                hint="name the directory that save_pretrained wrote, or a .gguf file",
            )
        if path.is_file() and path.suffix != ".gguf":
            raise ConfigurationError(
                f"{path} is neither a directory nor a .gguf file", where=f"{where}.model"
            )
    if model.adapter is not None:
        _check_adapter(model.adapter, root, f"{where}.adapter")
    if model.tokenizer is not None and is_path(model.tokenizer, root):
        _existing(model.tokenizer, root, f"{where}.tokenizer")


def _check_adapter(adapter: str, root: Path, where: str) -> None:
    if not is_path(adapter, root):
        return
    path = _existing(adapter, root, where)
    if not (path / "adapter_config.json").is_file():
        raise ConfigurationError(
            f"{path} has no adapter_config.json, so it is not a PEFT adapter", where=where
        )
    if not (path / "adapter_model.safetensors").is_file():
        raise ConfigurationError(
            f"{path} has no adapter_model.safetensors",
            where=where,
            hint="pickled weights are not loaded: save the adapter as safetensors",
        )


def _check_task(task: TaskSettings, root: Path, where: str) -> None:
    for key in ("eval", "train"):
        data = getattr(task, key)
        if data is None or data.startswith(DATASETS_PREFIX):
            continue
        path = _existing(data, root, f"{where}.{key}")
        if path.suffix not in DATA_SUFFIXES:
            raise ConfigurationError(
                f"{path.name} is of no known kind",
                where=f"{where}.{key}",
                hint=f"{nearest(path.suffix, DATA_SUFFIXES)} or {DATASETS_PREFIX}NAME",
            )
    for key in ("old_adapter", "new_adapter", "compat_adapter"):
        adapter = getattr(task, key)
        if adapter is not None:
            _check_adapter(adapter, root, f"{where}.{key}")


def _existing(name: str, root: Path, where: str) -> Path:
    path = (root / Path(name).expanduser()).resolve()
    if path.exists():
        return path
    siblings = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
    raise ConfigurationError(
        f"no such file or directory: {path}",
        where=where,
        hint=nearest(path.name, siblings) if siblings else f"there is no folder {path.parent}",
    )
