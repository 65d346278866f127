"""Reading muscle.toml or `[tool.muscle]`, and laying the flags over it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pytest_muscle.errors import ConfigurationError, nearest
from pytest_muscle.limits import LimitError, read_document
from pytest_muscle.settings.flags import Flags
from pytest_muscle.settings.gate_keys import GateSettings, NoiseSettings
from pytest_muscle.settings.keys import (
    CompatSettings,
    ModelSettings,
    RecipeSettings,
    ReportSettings,
    RunSettings,
    Settings,
    TaskSettings,
    TrainingSettings,
)
from pytest_muscle.settings.kinds import check_kind
from pytest_muscle.settings.limits import check_gate, with_families
from pytest_muscle.settings.locations import check_locations, existing, is_path
from pytest_muscle.settings.logs import check_answers
from pytest_muscle.settings.paths import local_path
from pytest_muscle.settings.pins import find_unpinned
from pytest_muscle.settings.table import join, read_table, show

TABLES = ("old", "new", "tasks", "gate", "noise", "adapter", "compat", "run", "report")


def read_settings(path: Path, flags: Flags = Flags(), *, invocation_dir: Path) -> Settings:  # noqa: B008
    """Read a configuration file, lay the flags over it and check what it names.

    Raises:
        ConfigurationError: For anything that is not usable; it names file and key.
    """
    raw = parse(path)
    file = path.name
    for key in raw:
        if key not in TABLES:
            raise ConfigurationError(
                "unknown key", where=f"{file}: {join('', key)}", hint=nearest(key, TABLES)
            )
    if flags.limit is not None and flags.limit < 1:
        raise ConfigurationError(f"must be at least 1, found {flags.limit}", where="--muscle-limit")
    run = dict(_table(raw, "run", file))
    if flags.device is not None:
        run["device"] = flags.device
    report = dict(_table(raw, "report", file))
    for table, key, flag, path_given in (
        (run, "cache", "cache", flags.cache),
        (report, "dir", "report", flags.report),
        (report, "history", "history", flags.history),
    ):
        if path_given is not None:
            table[key] = _given_path(path_given, f"--muscle-{flag}", invocation_dir)
    gate = _table(raw, "gate", file)
    adapter = _table(raw, "adapter", file)
    settings = Settings(
        path=path.resolve(),
        **_version(raw, "old", flags.old, file),
        **_version(raw, "new", flags.new, file),
        gate=_gate(gate, file, whole=not raw.get("tasks")),
        noise=read_table(NoiseSettings, _table(raw, "noise", file), file=file, key="noise"),
        adapter=read_table(RecipeSettings, adapter, file=file, key="adapter"),
        compat=_compat(adapter, _table(raw, "compat", file), file),
        run=read_table(RunSettings, run, file=file, key="run"),
        report=read_table(ReportSettings, report, file=file, key="report"),
        tasks=with_families(
            {
                name: _task(name, table, gate, file)
                for name, table in _table(raw, "tasks", file).items()
            },
            with_compat="compat" in raw,
        ),
        limit=None if flags.limit is None else min(flags.limit, sys.maxsize),
        train=not flags.no_train,
        accept_changes=flags.accept_changes,
        strict=flags.strict,
        with_compat="compat" in raw,
    )
    settings = replace(
        settings,
        old=_override(settings.old, flags.old, "--muscle-old", settings.root, invocation_dir),
        new=_override(settings.new, flags.new, "--muscle-new", settings.root, invocation_dir),
    )
    check_answers(settings)
    check_locations(settings, flags=_named_by(flags))
    if settings.strict:
        for unpinned in find_unpinned(settings):
            raise unpinned
    return settings


def _compat(adapter: Mapping[str, Any], compat: Mapping[str, Any], file: str) -> CompatSettings:
    """Return `[compat]`, with the training keys of `[adapter]` where it leaves them out."""
    for key in ("alpha", "dropout", "target_modules"):
        if key in compat:
            raise ConfigurationError(
                "the compat adapter starts from the new task adapter's weights and has its shape",
                where=f"{file}: compat.{key}",
                hint=f"set {key} in [adapter]",
            )
    shared = {field.name for field in fields(TrainingSettings)}
    inherited = {key: value for key, value in adapter.items() if key in shared}
    return read_table(CompatSettings, {**inherited, **compat}, file=file, key="compat")


def _given_path(path: str, flag: str, invocation_dir: Path) -> str:
    if not path:
        what = "a file" if flag == "--muscle-history" else "a directory"
        raise ConfigurationError("is empty", where=flag, hint=f"name {what}")
    return str(local_path(path, invocation_dir))


def _named_by(flags: Flags) -> dict[str, str]:
    """Return the flags that replace something of the file, by what they replace."""
    keys = ("old", "new", "cache", "report", "history")
    return {key: f"--muscle-{key}" for key in keys if getattr(flags, key) is not None}


def parse(path: Path) -> Mapping[str, Any]:
    """Return the tables of a configuration file as they stand there.

    Raises:
        ConfigurationError: If it cannot be read or is no TOML, or has no `[tool.muscle]`.
    """
    try:
        text = read_document(path).decode("utf-8-sig")
        raw: Any = tomllib.loads(text.replace("\r\n", "\n"))
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error}", where=str(path)) from error
    except LimitError as error:
        raise ConfigurationError(str(error), where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"is not valid TOML: {error}", where=str(path)) from error
    if path.name != "pyproject.toml":
        return raw  # type: ignore[no-any-return]
    table = raw.get("tool", {})
    table = table.get("muscle") if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping):
        raise ConfigurationError(
            "has no [tool.muscle] table",
            where=str(path),
            hint="write [tool.muscle.old], [tool.muscle.new], … or name a muscle.toml",
        )
    return table


def _table(raw: Mapping[str, Any], key: str, file: str, *, parent: str = "") -> Mapping[str, Any]:
    table = raw.get(key, {})
    if not isinstance(table, Mapping):
        raise ConfigurationError(
            f"expected a table, found {show(table)}", where=f"{file}: {join(parent, key)}"
        )
    return table


def _version(raw: Mapping[str, Any], key: str, flag: str | None, file: str) -> dict[str, Any]:
    """Return what `[old]` or `[new]` names, a model or its answers; a flag replaces either."""
    if key not in raw:
        return {}
    model = read_table(ModelSettings, raw[key], file=file, key=key)
    if model.predictions is None:
        if not model.model:
            hint = ModelSettings.__dataclass_fields__["model"].metadata["help"]
            raise ConfigurationError("missing", where=f"{file}: {key}.model", hint=hint)
        return {key: model}
    for other in raw[key]:
        if other != "predictions":
            raise ConfigurationError(
                "has no effect beside predictions: no model is asked",
                where=f"{file}: {key}.{other}",
                hint="leave one of them out",
            )
    return {} if flag is not None else {f"{key}_predictions": model.predictions}


def _task(name: str, table: Any, gate: Mapping[str, Any], file: str) -> TaskSettings:
    key = join("tasks", name)
    if not isinstance(table, Mapping):
        raise ConfigurationError(
            f"expected a table, found {show(table)}",
            where=f"{file}: {key}",
            hint="a task is a table of its own: [tasks.NAME]",
        )
    if not _usable_as_name(name):
        raise ConfigurationError(
            "a task's name is part of test ids and file names",
            where=f"{file}: {key}",
            hint="give it at most 100 characters, no brackets, slashes or control characters, "
            "and no space or dot at its ends",
        )
    own = _table(table, "gate", file, parent=key)
    rest = {inner: value for inner, value in table.items() if inner != "gate"}
    limits = read_table(GateSettings, {**gate, **own}, file=file, key=f"{key}.gate")
    task = replace(read_table(TaskSettings, rest, file=file, key=key), gate=limits)
    check_kind(task, rest, f"{file}: {key}")
    check_gate(limits, f"{file}: {key}.gate", task)
    return task


def _gate(table: Mapping[str, Any], file: str, *, whole: bool) -> GateSettings:
    gate = read_table(GateSettings, table, file=file, key="gate")
    check_gate(gate, f"{file}: gate", whole=whole)
    return gate


def _usable_as_name(name: str) -> bool:
    return (
        0 < len(name) <= 100
        and name.isprintable()
        and not any(sign in name for sign in "[]/\\")
        and name == name.strip(" .")
    )


def _override(
    settings: ModelSettings | None, value: str | None, flag: str, root: Path, invocation_dir: Path
) -> ModelSettings | None:
    """Return the model that a flag names: it replaces all of the file's table.

    A local path is relative to where pytest was started. One that is there only beside the
    configuration file is refused, so that it is not taken for a hub id.
    """
    if value is None:
        return settings
    if not value:
        raise ConfigurationError("is empty", where=flag, hint="name a directory or a hub id")
    if is_path(value, invocation_dir) or is_path(value.partition("@")[0], root):
        return ModelSettings(model=str(existing(value, invocation_dir, flag)), flag=flag)
    name, _, revision = value.partition("@")
    return ModelSettings(model=name, revision=revision or None, flag=flag)
