"""Finding and reading muscle.toml or `[tool.muscle]`, and laying the flags over it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_muscle.errors import ConfigurationError, nearest
from pytest_muscle.settings.flags import Flags
from pytest_muscle.settings.keys import (
    CompatSettings,
    GateSettings,
    ModelSettings,
    RecipeSettings,
    RunSettings,
    Settings,
    TaskSettings,
)
from pytest_muscle.settings.locations import check_locations, is_path
from pytest_muscle.settings.table import read_table

NAME = "muscle.toml"
TABLES = ("old", "new", "tasks", "gate", "adapter", "compat", "run")


def find_file(rootdir: Path, flags: Flags, invocation_dir: Path) -> Path | None:
    """Return the configuration file: `--muscle-config`, muscle.toml, pyproject.toml, or none.

    Args:
        rootdir: pytest's root directory.
        flags: The command line.
        invocation_dir: Where pytest was started; `--muscle-config` is relative to it.

    Raises:
        ConfigurationError: If the file that `--muscle-config` names does not exist.
    """
    if flags.config is not None:
        path = (invocation_dir / Path(flags.config).expanduser()).resolve()
        if path.is_dir():
            path = path / NAME
        if not path.is_file():
            raise ConfigurationError(
                f"no such file: {path}",
                where="--muscle-config",
                hint="name a muscle.toml, a pyproject.toml with [tool.muscle], or their folder",
            )
        return path
    path = rootdir / NAME
    if path.is_file():
        return path
    path = rootdir / "pyproject.toml"
    if path.is_file() and b"tool.muscle" in path.read_bytes():
        return path
    return None


def read_settings(path: Path, flags: Flags = Flags(), *, invocation_dir: Path) -> Settings:  # noqa: B008
    """Read a configuration file, lay the flags over it and check what it names.

    Raises:
        ConfigurationError: For anything that is not usable; it names file and key.
    """
    raw = _parse(path)
    file = path.name
    for key in raw:
        if key not in TABLES:
            raise ConfigurationError(
                "unknown key", where=f"{file}: {key}", hint=nearest(str(key), TABLES)
            )
    run = dict(_table(raw, "run", file))
    if flags.device is not None:
        run["device"] = flags.device
    if flags.cache is not None:
        run["cache"] = str(invocation_dir.resolve() / Path(flags.cache).expanduser())
    gate = _table(raw, "gate", file)
    adapter = _table(raw, "adapter", file)
    settings = Settings(
        path=path.resolve(),
        old=_model(raw, "old", file),
        new=_model(raw, "new", file),
        gate=read_table(GateSettings, gate, file=file, key="gate"),
        adapter=read_table(RecipeSettings, adapter, file=file, key="adapter"),
        compat=read_table(
            CompatSettings, {**adapter, **_table(raw, "compat", file)}, file=file, key="compat"
        ),
        run=read_table(RunSettings, run, file=file, key="run"),
        tasks={
            str(name): _task(name, table, gate, file)
            for name, table in _table(raw, "tasks", file).items()
        },
        limit=flags.limit,
        train=not flags.no_train,
    )
    settings = replace(
        settings,
        old=_override(settings.old, flags.old, "--muscle-old", invocation_dir),
        new=_override(settings.new, flags.new, "--muscle-new", invocation_dir),
    )
    check_locations(settings)
    return settings


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            raw: Any = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error}", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"is not valid TOML: {error}", where=str(path)) from error
    if path.name != "pyproject.toml":
        return raw  # type: ignore[no-any-return]
    table = raw.get("tool", {})
    table = table.get("muscle") if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping):
        raise ConfigurationError("has no [tool.muscle] table", where=str(path))
    return table


def _table(raw: Mapping[str, Any], key: str, file: str) -> Mapping[str, Any]:
    table = raw.get(key, {})
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"expected a table, found {table!r}", where=f"{file}: {key}")
    return table


def _model(raw: Mapping[str, Any], key: str, file: str) -> ModelSettings | None:
    return read_table(ModelSettings, raw[key], file=file, key=key) if key in raw else None


def _task(name: str, table: Any, gate: Mapping[str, Any], file: str) -> TaskSettings:
    key = f"tasks.{name}"
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"expected a table, found {table!r}", where=f"{file}: {key}")
    if not str(name).isprintable() or any(sign in str(name) for sign in "[]/\\"):
        raise ConfigurationError(
            "a task's name is part of test ids and file names",
            where=f"{file}: {key}",
            hint="leave out brackets, slashes and control characters",
        )
    own = _table(table, "gate", f"{file}: {key}")
    rest = {inner: value for inner, value in table.items() if inner != "gate"}
    return replace(
        read_table(TaskSettings, rest, file=file, key=key),
        gate=read_table(GateSettings, {**gate, **own}, file=file, key=f"{key}.gate"),
    )


def _override(
    settings: ModelSettings | None, value: str | None, flag: str, invocation_dir: Path
) -> ModelSettings | None:
    """Return the model that a flag names: it replaces the file's model, revision and adapter."""
    if value is None:
        return settings
    if not value:
        raise ConfigurationError("is empty", where=flag, hint="name a directory or a hub id")
    if is_path(value, invocation_dir):
        path = (invocation_dir / Path(value).expanduser()).resolve()
        if not path.exists():
            raise ConfigurationError(f"no such file or directory: {path}", where=flag)
        return ModelSettings(model=str(path))
    name, _, revision = value.partition("@")
    return ModelSettings(model=name, revision=revision or None)
