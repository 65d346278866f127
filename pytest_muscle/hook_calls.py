"""Calls of the hooks that other plugins implement: what they add, and what they are told."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_muscle import extensions
from pytest_muscle.errors import ConfigurationError, MuscleWarning
from pytest_muscle.extensions import Added, Extensions
from pytest_muscle.reports.destinations import Written

if TYPE_CHECKING:
    from pytest_muscle.reports.data import RunReport

KINDS = tuple(field.name for field in fields(Extensions))
REPORT = "pytest_muscle_report"
FAILURES = (Exception, SystemExit, pytest.fail.Exception, pytest.skip.Exception)
"""What a hook may end in that is its own mistake; Ctrl-C and `pytest.exit` are meant."""

_NAME = re.compile("[A-Za-z][A-Za-z0-9_-]+")


def add_names(config: pytest.Config) -> None:
    """Ask all plugins what they add; it is known until the run ends.

    Raises:
        pytest.UsageError: If a hook fails, or a name or what it stands for is not usable.
    """
    try:
        added = Extensions(**{kind: _ask(config, kind) for kind in KINDS})
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    config.add_cleanup(extensions.use(added))
    config.pluginmanager.register(_LatePlugins(config), "muscle_late_plugins")


def describe_names() -> list[str]:
    """Return what plugins have added, as a line for the report header."""
    added = extensions.current()
    shown = [
        f"{kind.removesuffix('s')} {name} ({each.plugin})"
        for kind in KINDS
        for name, each in getattr(added, kind).items()
    ]
    return [f"muscle: plugins add {', '.join(shown)}"] if shown else []


class Listeners:
    """The plugins that want to know what a run came to; as a truth value, whether there are any.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def __bool__(self) -> bool:
        return bool(getattr(self._config.hook, REPORT).get_hookimpls())

    def tell(self, run: RunReport, directory: Path | None) -> Written:
        """Tell each of them, and return what they say; one that fails stops no other."""
        from pytest_muscle.reports.json_report import render_json

        text = render_json(run)
        lines: list[str] = []
        errors: list[str] = []
        for plugin, call in _callers(self._config, REPORT):
            said = f"{REPORT} of plugin {plugin!r}"
            try:
                results = call(report=json.loads(text), directory=directory, config=self._config)
            except FAILURES as error:
                errors.append(f"{said} fails: {_describe(error)}")
                continue
            for result in results:
                shown = [result] if isinstance(result, str) else result
                if isinstance(shown, list | tuple) and all(isinstance(one, str) for one in shown):
                    lines += [line for one in shown for line in one.splitlines()]
                else:
                    kind = type(result).__name__
                    errors.append(f"{said} returns {kind}, not a line or a list of lines")
        return Written(lines=tuple(lines), errors=tuple(errors))


class _LatePlugins:
    """Warns of hooks in plugins that are registered after all were asked.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._asked = {id(plugin) for plugin in config.pluginmanager.get_plugins()}

    def pytest_plugin_registered(self, plugin: object, plugin_name: str) -> None:
        """Warn, as it would wonder why its names are unknown."""
        if plugin is self or id(plugin) in self._asked:
            return
        for hook in map(_hook_of, KINDS):
            implementations = getattr(self._config.hook, hook).get_hookimpls()
            if any(each.plugin is plugin for each in implementations):
                problem = (
                    f"{hook} of plugin {_shown(self._config, plugin, plugin_name)!r} is not called:"
                    " it is loaded after the configuration was read. Put it in the conftest.py of "
                    "the root directory, or in a plugin that is installed or named with -p"
                )
                self._config.issue_config_time_warning(MuscleWarning(problem), stacklevel=2)


def _hook_of(kind: str) -> str:
    return f"pytest_muscle_add_{kind}"


def _ask(config: pytest.Config, kind: str) -> dict[str, Added]:
    """Return what all plugins add of a kind."""
    added: dict[str, Added] = {}
    for plugin, call in _callers(config, _hook_of(kind)):
        where = f"{_hook_of(kind)} of plugin {plugin!r}"
        try:
            results = call(config=config)
        except FAILURES as error:
            raise ConfigurationError(
                f"fails: {_describe(error)}", where=where, hint=_turn_off(plugin)
            ) from error
        for result in results:
            if not isinstance(result, Mapping):
                raise ConfigurationError(
                    f"returns {type(result).__name__}, not a mapping",
                    where=where,
                    hint='return {"name": "package.module:function"}',
                )
            for name, reference in result.items():
                _check(name, reference, kind, added, plugin, where)
                added[name] = Added(reference, plugin)
    return added


def _check(
    name: Any, reference: Any, kind: str, added: Mapping[str, Added], plugin: str, where: str
) -> None:
    """Raise if a name, or what it stands for, is not usable."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name for {_one(kind)}",
            where=where,
            hint="take two or more letters, digits, - and _, a letter first",
        )
    if not isinstance(reference, str) or not _is_function(reference):
        raise ConfigurationError(
            f"{name!r} stands for {reference!r}, which names no function",
            where=where,
            hint="name it as a text, package.module:function; it is imported when it is used",
        )
    if name in added or name in _ours(kind):
        owner = f"plugin {added[name].plugin!r}" if name in added else "pytest-muscle"
        raise ConfigurationError(
            f"the name {name!r} is taken by {_one(kind)} of {owner}",
            where=where,
            hint=f"give it another name; or {_turn_off(plugin)}",
        )


def _one(kind: str) -> str:
    one = kind.removesuffix("s")
    return f"an {one}" if one[0] in "aeiou" else f"a {one}"


def _is_function(reference: str) -> bool:
    module, colon, function = reference.partition(":")
    return bool(colon) and all(map(str.isidentifier, [*module.split("."), function]))


def _ours(kind: str) -> set[str]:
    if kind == "metrics":
        from pytest_muscle.tasks.metrics import CHOICE_METRICS
        from pytest_muscle.tasks.text_metrics import TEXT_METRICS

        return {*CHOICE_METRICS, *TEXT_METRICS}
    if kind == "objectives":
        from pytest_muscle.training.objectives import OBJECTIVES

        return {*OBJECTIVES}
    from pytest_muscle.importers import IMPORTERS

    return {*IMPORTERS}


def _callers(config: pytest.Config, hook: str) -> Iterator[tuple[str, Callable[..., list[Any]]]]:
    """Yield each plugin that implements a hook, as it is shown, and what calls it alone."""
    manager = config.pluginmanager
    implementations = getattr(config.hook, hook).get_hookimpls()
    plugins = {id(each.plugin): each for each in implementations}
    for each in plugins.values():
        others = [other.plugin for other in plugins.values() if other is not each]
        shown = _shown(config, each.plugin, each.plugin_name)
        yield shown, manager.subset_hook_caller(hook, others)


def _shown(config: pytest.Config, plugin: object, name: str) -> str:
    """Return a plugin's name as a user knows it: of a conftest.py its path in the project."""
    if name.isdigit():  # registered without a name
        return str(getattr(plugin, "__name__", type(plugin).__name__))
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(config.rootpath):
        return path.relative_to(config.rootpath).as_posix()
    return name


def _turn_off(plugin: str) -> str:
    if plugin.endswith("conftest.py"):
        return "leave it out there"
    return f"turn the plugin off with -p no:{plugin}"


def _describe(error: BaseException) -> str:
    """Return an error in one line, with the line of code that it comes from."""
    message = next(iter(str(error).splitlines()), "")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message}{place}" if message else type(error).__name__ + place
