"""The gates of muscle.toml as test items, for those who want no Python.

`muscle.toml::TASK::GATE[SIDE]`: one item for each limit of each task and each side.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_muscle.errors import MuscleWarning
from pytest_muscle.fixtures import clear_errors
from pytest_muscle.session import session_of
from pytest_muscle.settings.flags import named_configuration

INI = "muscle_collect"

GATES = {
    "max_nfr": "negative_flips",
    "max_accuracy_drop": "accuracy_drop",
    "max_inconsistency": "inconsistency",
    "max_mean_regress": "mean_regress",
    "max_slice_nfr": "slices",
}
"""The limits of a gate, and what the items that hold them are called."""


def collect_configuration(path: Path, parent: pytest.Collector) -> ConfigurationFile | None:
    """Return a collector for a file that is the configuration and is to be collected, else none.

    That is where it was named on the command line, or the ini key says so.

    Args:
        path: The file.
        parent: Its folder.
    """
    settings = session_of(parent.config).settings
    if settings is None or path != settings.path:
        return None
    config = parent.config
    # pytest takes a file out of the paths to begin with where its folder is among them.
    named = named_configuration(config.args, config.invocation_params.dir) is not None
    if not (named or parent.session.isinitpath(path) or config.getini(INI)):
        return None
    return ConfigurationFile.from_parent(parent, path=path)


def add_configuration(config: pytest.Config) -> None:
    """Have the configuration collected where pytest goes by `testpaths`, which leave it out."""
    settings = session_of(config).settings
    by_testpaths = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if settings is not None and by_testpaths and config.getini(INI):
        path = str(settings.path)
        if path not in config.args:
            config.args.append(path)


class ConfigurationFile(pytest.File):
    """muscle.toml: a collector of its tasks."""

    def collect(self) -> Iterator[TaskGates]:
        """Yield the tasks that have limits.

        Raises:
            pytest.Collector.CollectError: If none has.
        """
        settings = session_of(self.config).settings
        assert settings is not None
        limited = [
            name
            for name, task in settings.tasks.items()
            if any(getattr(task.gate, key) is not None for key in GATES)
        ]
        if not settings.tasks:
            raise self.CollectError(
                f"{self.path.name}: there is no task, so there is nothing to check\n"
                "  write a table [tasks.NAME]"
            )
        if not limited:
            raise self.CollectError(
                f"{self.path.name}: no task has a limit, so there is nothing to check\n"
                "  set max_nfr in [gate], or [tasks.NAME.gate]"
            )
        if idle := [name for name in settings.tasks if name not in limited]:
            warnings.warn(
                f"{self.path.name}: no limit, so no test: {', '.join(idle)}\n"
                "  set one in [gate], or in [tasks.NAME.gate]",
                MuscleWarning,
                stacklevel=1,
            )
        for name in limited:
            yield TaskGates.from_parent(self, name=name)


class TaskGates(pytest.Collector):
    """One task: a collector of its gates, once for each side."""

    def collect(self) -> Iterator[GateItem]:
        """Yield an item for each limit and side."""
        settings = session_of(self.config).settings
        assert settings is not None
        gate = settings.tasks[self.name].gate
        sides: list[Literal["new", "compat"]] = ["new"]
        if settings.has_compat(self.name):
            sides.append("compat")
        for side in sides:
            for limit, gate_name in GATES.items():
                if getattr(gate, limit) is not None:
                    name = f"{gate_name}[{side}]"
                    yield GateItem.from_parent(
                        self, name=name, muscle_task=self.name, limit=limit, side=side
                    )


class GateItem(pytest.Item):
    """One limit of one task, held against one side.

    Args:
        muscle_task: Name of the task.
        limit: The limit's key in muscle.toml.
        side: Which model is held against the old one.
        options: What pytest gives an item.
    """

    def __init__(
        self, *, muscle_task: str, limit: str, side: Literal["new", "compat"], **options: Any
    ) -> None:
        super().__init__(**options)
        self.muscle_task = muscle_task
        self._limit = limit
        self._side = side
        self.add_marker(pytest.mark.muscle(tasks=[muscle_task]))

    def runtest(self) -> None:
        """Judge.

        Raises:
            FlipAssertionError: If the limit is exceeded.
        """
        from pytest_muscle.assertions import judge
        from pytest_muscle.gates import check_limits, read_gate

        with clear_errors():
            update = session_of(self.config).update
            limits = read_gate(update.task(self.muscle_task).gate).only(self._limit)
            floor = (
                update.noise_floor(self.muscle_task) if limits.floor_margin is not None else None
            )
            report = update.flip_report(self.muscle_task, self._side)
            checks = check_limits(report, limits, floor)
        judge(report, checks, side=self._side)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what was judged where a limit is passed, without the lines of code."""
        from pytest_muscle.assertions import FlipAssertionError

        if isinstance(excinfo.value, FlipAssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the item stands: its file, no line, its name."""
        return self.path, None, f"{self.muscle_task}::{self.name}"
