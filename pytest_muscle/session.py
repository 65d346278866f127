"""One pytest session's state: settings, the update under test, verdicts; kept in the stash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import pytest

from pytest_muscle.errors import (
    ComparisonError,
    ConfigurationError,
    MuscleError,
    MuscleWarning,
    nearest,
)
from pytest_muscle.settings.flags import Flags, find_file, named_configuration
from pytest_muscle.verdicts import Verdicts
from pytest_muscle.workers import worker_name

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.progress import Progress
    from pytest_muscle.reporting import Reporting
    from pytest_muscle.reports.data import TaskDetails
    from pytest_muscle.reports.terminal import TaskSummary
    from pytest_muscle.settings import Settings
    from pytest_muscle.update import ModelUpdate

TASK = "muscle_task"
SUMMARIES = "muscle_summaries"
DETAILS = "muscle_details"
"""Attributes of a test's report, which go with it from a worker of pytest-xdist to its controller:
the task that the test was run for, and summaries and details that are new since the test before."""

SIDES: tuple[Literal["new", "compat"], ...] = ("new", "compat")


class Compared(NamedTuple):
    """What is known of a task: with which sides the old model was compared, and a noise floor."""

    sides: tuple[Literal["new", "compat"], ...]
    with_noise: bool


class MuscleSession:
    """What one pytest session knows of the update under test.

    Args:
        config: pytest's configuration.

    Raises:
        pytest.UsageError: If the configuration is not usable.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._update: ModelUpdate | None = None
        self._verdicts = Verdicts()
        self._sent: dict[str, Compared] = {}
        self._of_workers: list[TaskSummary] = []
        self._made: dict[tuple[str, Compared], TaskSummary] = {}
        self._cleared: list[str] = []
        try:
            self.settings = _read_settings(config)
            if any(config.getoption(f"muscle_{name}") for name in ("report", "history")):
                self._settings()
            self._warn()
        except (MuscleError, MuscleWarning) as error:
            raise pytest.UsageError(str(error)) from error

    @cached_property
    def reporting(self) -> Reporting:
        """Where the session's report goes."""
        from pytest_muscle.hook_calls import Listeners
        from pytest_muscle.reporting import Reporting

        return Reporting(self.settings, self._config.rootpath, os.environ, Listeners(self._config))

    def _warn(self) -> None:
        """Warn, in one process, of what `--muscle-strict` would refuse.

        Raises:
            MuscleWarning: If pytest's filters make errors of warnings.
        """
        if self.settings is None or worker_name(self._config) is not None:
            return
        from pytest_muscle.settings.pins import find_unpinned

        for unpinned in find_unpinned(self.settings):
            self._config.issue_config_time_warning(MuscleWarning(str(unpinned)), stacklevel=2)

    @property
    def update(self) -> ModelUpdate:
        """The update under test.

        Raises:
            ConfigurationError: If nothing is configured.
        """
        if self._update is None:
            from pytest_muscle.update import ModelUpdate

            update = ModelUpdate(self._settings(), _progress(self._config))
            update.check()
            self._update = update
        return self._update

    def task_names(self, wanted: Iterable[str] | None) -> list[str]:
        """Return the names of the tasks that a test is run for.

        Args:
            wanted: Names from `@pytest.mark.muscle(tasks=[...])`, or none for all.

        Raises:
            ConfigurationError: If nothing is configured or a name is unknown.
        """
        settings = self._settings()
        if wanted is None:
            if not settings.tasks:
                raise ConfigurationError(
                    "there are no tasks", where=settings.path.name, hint="add [tasks.NAME]"
                )
            return list(settings.tasks)
        names = list(wanted)
        for name in names:
            if name not in settings.tasks:
                raise ConfigurationError(
                    f"there is no task {name!r}",
                    where="@pytest.mark.muscle(tasks=…)",
                    hint=nearest(name, settings.tasks),
                )
        return names

    def describe(self) -> list[str]:
        """Return lines for the report header; loads nothing."""
        if self.settings is None:
            return []
        from pytest_muscle.reports.header import describe_update

        verbose = self._config.get_verbosity() > 0
        return [*describe_update(self.settings, verbose=verbose), *self._cleared]

    def clear_cache(self) -> None:
        """Remove what is ours from the cache; the report header says how much that was.

        Raises:
            pytest.UsageError: If nothing is configured or the cache cannot be removed.
        """
        from pytest_muscle.housekeeping import clear_cache

        try:
            removed = clear_cache(self._settings().cache)
        except (MuscleError, OSError) as error:
            raise pytest.UsageError(f"--muscle-cache-clear: {error}") from error
        self._cleared = [f"muscle: cache cleared: {removed.describe()}"]

    def summaries(self) -> list[TaskSummary]:
        """Return a summary with its verdict for each task that was compared, in file order."""
        summaries: dict[str, TaskSummary] = {}
        for summary in [*self._of_workers, *self._own_summaries()]:
            known = summaries.get(summary.task)
            summaries[summary.task] = known.merge(summary) if known else summary
        order = list(self.settings.tasks) if self.settings else []
        return [
            replace(summaries[name], verdict=self._verdicts.of(name))
            for name in sorted(summaries, key=order.index)
        ]

    def annotate(self, report: pytest.TestReport, task: str | None) -> None:
        """Write in a test's report what this process or its controller is to know.

        A worker sends its summaries with the tests that lead to them, not when it ends, so that
        they are known where it crashes later.
        """
        if task is not None:
            setattr(report, TASK, task)
        if report.when == "teardown" and worker_name(self._config) is not None:
            changed = {
                name: compared
                for name, compared in self._compared().items()
                if compared != self._sent.get(name)
            }
            self._sent |= changed
            if changed:
                summaries = [self._summarise(name, each) for name, each in changed.items()]
                setattr(report, SUMMARIES, [summary.to_json() for summary in summaries])
                if self.reporting.wanted:
                    details = [self._describe(name, each) for name, each in changed.items()]
                    texts = [json.dumps(of_task.to_json()) for of_task in details]
                    setattr(report, DETAILS, texts)  # quicker to send than what is in them

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what a test's report says, whichever process ran the test."""
        if (task := getattr(report, TASK, None)) is not None:
            self._verdicts.count(task, report)
        if sent := getattr(report, SUMMARIES, None):
            from pytest_muscle.reports.terminal import TaskSummary

            self._of_workers.extend(map(TaskSummary.from_json, sent))
        if worker_name(self._config) is None and (sent := getattr(report, DETAILS, None)):
            from pytest_muscle.reports.data import TaskDetails

            details = map(TaskDetails.from_json, map(json.loads, sent))
            self.reporting.of_workers.extend(details)
            delattr(report, DETAILS)  # pytest keeps the reports, and these may be large

    def record_properties(self, item: pytest.Item, task: str) -> None:
        """Write in a test's properties, which JUnit files have, what is known of its task."""
        from pytest_muscle.reports.junit import PREFIX, describe_properties
        from pytest_muscle.reports.terminal import summarise

        properties: list[tuple[str, object]] = [(f"{PREFIX}task", task)]
        if compared := self._compared().get(task):
            reports = self._reports(task, compared)
            flips = {side: int(of.pairs.seen_negative.sum()) for side, of in reports.items()}
            summary = summarise(task, reports.get("new"), reports.get("compat"))
            properties += describe_properties(summary, flips)
        others = [pair for pair in item.user_properties if not pair[0].startswith(PREFIX)]
        item.user_properties[:] = [*others, *properties]

    def write_reports(self, exit_status: int) -> None:
        """Write what the run came to wherever it is wanted, also where it was stopped early.

        A configured folder is left as it is by a run without a test of a task; one that a flag
        names gets its files in any case.
        """
        if self.settings is None or not self.reporting.wanted:
            return
        self.reporting.write(
            self.summaries(),
            [self._describe(name, each) for name, each in self._compared().items()],
            self._verdicts,
            exit_status=exit_status,
            always=self._config.getoption("muscle_report") is not None,
        )

    def count_crash(self, nodeid: str, task: str | None) -> None:
        """Count a test as failed in which a worker of pytest-xdist crashed."""
        if task is not None:
            self._verdicts.count_failed(task, nodeid)

    def _own_summaries(self) -> list[TaskSummary]:
        return [self._summarise(name, each) for name, each in self._compared().items()]

    def _compared(self) -> dict[str, Compared]:
        """Return what the old model was compared with in this process, by task."""
        if (update := self._update) is None:
            return {}
        compared = {
            name: tuple(side for side in SIDES if _is_compared(update, side, name))
            for name in update.tasks
            if update.made_predictions("old", name) is not None
        }
        return {
            name: Compared(sides, update.made_noise_floor(name) is not None)
            for name, sides in compared.items()
            if sides
        }

    def _reports(self, name: str, compared: Compared) -> dict[Literal["new", "compat"], FlipReport]:
        return {side: self.update.flip_report(name, side) for side in compared.sides}

    def _describe(self, name: str, compared: Compared) -> TaskDetails:
        from pytest_muscle.reports.details import describe_details

        reports, most = self._reports(name, compared), self.reporting.most_flips
        metric, adapters = self.update.task(name).metric, self.update.made_adapters(name)
        return describe_details(name, reports, most, metric=metric, adapters=adapters)

    def _summarise(self, name: str, compared: Compared) -> TaskSummary:
        """Return a task's summary; made once, since it may have searched all columns."""
        key = name, compared
        if key not in self._made:
            self._made[key] = self._make_summary(name, compared)
        return self._made[key]

    def _make_summary(self, name: str, compared: Compared) -> TaskSummary:
        from pytest_muscle.reports.noise import summarise_noise
        from pytest_muscle.reports.slices import describe_found, summarise_slices
        from pytest_muscle.reports.terminal import summarise

        update = self.update
        reports = self._reports(name, compared)
        keys = update.tasks[name].settings
        slices = {
            side: summarise_slices(report, keys.slice_adjustment)
            for side, report in reports.items()
        }
        found = describe_found(next(iter(reports.values())), keys.seed) if keys.find_slices else ()
        floor = update.made_noise_floor(name)
        if floor is not None:
            floor = floor.align(next(iter(reports.values())).pairs.ids)
        return replace(
            summarise(name, reports.get("new"), reports.get("compat")),
            slices=slices.get("new", ()),
            compat_slices=slices.get("compat", ()),
            found=found,
            noise=None if floor is None else summarise_noise(floor),
        )

    def _settings(self) -> Settings:
        if self.settings is None:
            raise ConfigurationError(
                "no model update is configured",
                where=str(self._config.rootpath),
                hint="write a muscle.toml there, or name one with --muscle-config",
            )
        return self.settings


def _is_compared(update: ModelUpdate, side: Literal["new", "compat"], task: str) -> bool:
    if update.made_predictions(side, task) is None:
        return False
    try:
        update.flip_report(task, side)
    except ComparisonError:  # the test that asked for it has failed and says why
        return False
    return True


KEY = pytest.StashKey[MuscleSession]()


def session_of(config: pytest.Config) -> MuscleSession:
    """Return the session's state."""
    return config.stash[KEY]


def flags_of(config: pytest.Config) -> Flags:
    """Return what of the configuration stands on the command line."""
    return Flags(**{name: config.getoption(f"muscle_{name}") for name in Flags._fields})


def _read_settings(config: pytest.Config) -> Settings | None:
    flags = flags_of(config)
    invocation_dir = config.invocation_params.dir
    if flags.config is None:
        flags = flags._replace(config=named_configuration(config.args, invocation_dir))
    path = find_file(config.rootpath, flags, invocation_dir)
    if path is None:
        return None
    from pytest_muscle.settings import read_settings

    return read_settings(path, flags, invocation_dir=invocation_dir)


def _progress(config: pytest.Config) -> Progress:
    """Return progress on the terminal: nothing with -q, lines alone in workers of pytest-xdist."""
    from pytest_muscle.progress import Progress

    worker = worker_name(config)
    speaker = "muscle" if worker is None else f"muscle [{worker}]"
    progress = Progress(enabled=config.get_verbosity() >= 0, bars=worker is None, speaker=speaker)
    manager = config.pluginmanager.getplugin("capturemanager")
    if manager is None:
        return progress
    return replace(progress, uncaptured=manager.global_and_fixture_disabled)
