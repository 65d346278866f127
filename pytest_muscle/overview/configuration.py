"""The resolved configuration: each key with its value, and where that comes from."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pytest_muscle.settings import Settings, TrainingSettings
from pytest_muscle.settings.flags import Flags
from pytest_muscle.settings.table import join

_TABLES = ("old", "new", "gate", "noise", "adapter", "compat", "run", "report")
_BY_FLAG = {
    "run.device": "device",
    "run.cache": "cache",
    "report.dir": "report",
    "report.history": "history",
}
"""Keys that a flag may set, by the flag's name."""

_OTHERS = ("limit", "no_train", "accept_changes", "strict")
"""Flags that set no key."""

_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]+(?=@)"), "…"),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), "hf_…"),
    (re.compile(r"(?i)((?:token|secret|password|api[_-]?key)=)[^&\s]+"), r"\1…"),
)


class Entry(NamedTuple):
    """One key.

    Attributes:
        key: Dotted, as errors name it; or a flag that sets no key.
        value: As TOML writes it.
        source: A flag, the file, another table that it is taken from, or "default".
        is_default: Whether the value is the default, whoever set it.
    """

    key: str
    value: str
    source: str
    is_default: bool


def describe_settings(settings: Settings, raw: Mapping[str, Any], flags: Flags) -> list[Entry]:
    """Return all keys of a configuration, table by table.

    Args:
        settings: The configuration, resolved.
        raw: The file's tables as they stand there.
        flags: The command line.
    """
    entries: list[Entry] = []
    for name in _TABLES:
        table, own = getattr(settings, name), raw.get(name, {})
        if table is None:
            answers = getattr(settings, f"{name}_predictions")
            if answers is not None:
                entries.append(Entry(f"{name}.predictions", _toml(answers), "file", False))
            continue
        replaced = f"--muscle-{name}" if name in ("old", "new") and table.flag else None
        inherited = raw.get("adapter", {}) if name == "compat" else {}
        shared = {field.name for field in dataclasses.fields(TrainingSettings)}
        entries += _entries(
            name,
            table,
            own,
            flags,
            replaced=replaced,
            inherited={key: "[adapter]" for key in inherited if key in shared},
        )
    for name, task in settings.tasks.items():
        key, own = join("tasks", name), raw["tasks"][name]
        entries += _entries(key, task, own, flags)
        entries += _entries(
            f"{key}.gate",
            task.gate,
            own.get("gate", {}),
            flags,
            inherited=dict.fromkeys(raw.get("gate", {}), "[gate]"),
        )
    for name in _OTHERS:
        value = getattr(flags, name)
        if value not in (None, False):
            flag = f"--muscle-{name.replace('_', '-')}"
            entries.append(Entry(flag, _toml(value), "flag", False))
    return entries


def without_secrets(text: str) -> str:
    """Return a text without what opens doors: passwords in addresses, tokens."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _entries(
    key: str,
    table: Any,
    own: Mapping[str, Any],
    flags: Flags,
    *,
    replaced: str | None = None,
    inherited: Mapping[str, str] = {},
) -> Iterator[Entry]:
    for field in dataclasses.fields(table):
        value = getattr(table, field.name)
        if "help" not in field.metadata or field.name == "gate":
            continue
        place = join(key, field.name)
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        flag = _BY_FLAG.get(place)
        if flag is not None and getattr(flags, flag) is not None:
            source = f"--muscle-{flag}"
        elif replaced is not None:
            source = replaced if value != default else "default"
        elif field.name in own:
            source = "file"
        else:
            source = inherited.get(field.name, "default")
        yield Entry(place, _toml(value), source, value == default)


def _toml(value: Any) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = ", ".join(f"{k} = {_toml(v)}" for k, v in dataclasses.asdict(value).items())
        return f"{{{inner}}}"
    if value is None:
        return "–"
    if isinstance(value, str):
        return without_secrets(json.dumps(value, ensure_ascii=False))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f"{value:g}" if isinstance(value, float) and value != int(value) else str(value)
