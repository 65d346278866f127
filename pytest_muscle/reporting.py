"""What a session knows at its end, as the one structure that reports are written from."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_muscle.reports.data import (
    MOST_FLIPS,
    GateLimit,
    RunReport,
    TaskDetails,
    TaskReport,
)
from pytest_muscle.reports.destinations import Destinations, Written
from pytest_muscle.reports.github import in_actions, job_summary, render_annotations
from pytest_muscle.reports.history import History, read_history
from pytest_muscle.version import __version__

if TYPE_CHECKING:
    from pytest_muscle.hook_calls import Listeners
    from pytest_muscle.reports.terminal import TaskSummary
    from pytest_muscle.settings import Settings
    from pytest_muscle.settings.gate_keys import GateSettings
    from pytest_muscle.verdicts import Verdicts

COMMITS = ("GITHUB_SHA", "CI_COMMIT_SHA")
"""Variables in which GitHub and GitLab say what they build."""


class Reporting:
    """Where one session's report goes, and what became of it.

    Args:
        settings: What the user configured, if anything.
        root: pytest's root directory.
        environment: Of this process.
        listeners: The plugins that want to know what the run came to.
    """

    def __init__(
        self,
        settings: Settings | None,
        root: Path,
        environment: Mapping[str, str],
        listeners: Listeners,
    ) -> None:
        self._settings = settings
        self._root = root
        self._environment = environment
        self._listeners = listeners
        self._run: RunReport | None = None
        self._destinations = _find_destinations(settings, environment)
        self.of_workers: list[TaskDetails] = []
        self.written = Written()

    @property
    def wanted(self) -> bool:
        """Whether anybody wants a report."""
        return self._settings is not None and (
            any(self._destinations) or in_actions(self._environment) or bool(self._listeners)
        )

    @property
    def most_flips(self) -> int | None:
        """How many flipped examples of a comparison it takes; none for all."""
        if self._destinations.directory is not None or self._listeners:
            return None
        return MOST_FLIPS if self._destinations.summary is not None else 0

    def write(
        self,
        summaries: Iterable[TaskSummary],
        details: Iterable[TaskDetails],
        verdicts: Verdicts,
        *,
        exit_status: int,
        always: bool,
    ) -> None:
        """Write what a run came to, as `describe_run` takes it, to all destinations.

        Then the plugins are told that listen, if a task was compared or tested.

        Args:
            summaries: One of each task that was compared.
            details: Of tasks that were compared in this process.
            verdicts: What the tests came to.
            exit_status: pytest's exit code.
            always: Whether to write also where no task was compared or tested.
        """
        from pytest_muscle.reports.files import write_reports

        assert self._settings is not None
        shown = self._destinations.directory is not None
        history = read_history(self._destinations.history if shown else None)
        run = describe_run(
            self._settings,
            summaries,
            [*self.of_workers, *details],
            verdicts,
            exit_status=exit_status,
            environment=self._environment,
            history=history,
        )
        if run.tasks or always:
            self._run = run
            self.written = write_reports(run, self._destinations)
        if run.tasks:
            self.written += self._listeners.tell(run, self._destinations.directory)

    def annotations(self) -> list[str]:
        """Return the lines by which GitHub Actions shows failed tests at their place."""
        if self._run is None or not in_actions(self._environment):
            return []
        workspace = self._environment.get("GITHUB_WORKSPACE")
        return render_annotations(self._run, self._root, workspace)


def _find_destinations(settings: Settings | None, environment: Mapping[str, str]) -> Destinations:
    if settings is None:
        return Destinations()
    return Destinations(settings.report_dir, settings.history, job_summary(environment))


def describe_run(
    settings: Settings,
    summaries: Iterable[TaskSummary],
    details: Iterable[TaskDetails],
    verdicts: Verdicts,
    *,
    exit_status: int,
    environment: Mapping[str, str],
    history: History | None = None,
) -> RunReport:
    """Return what a run came to: its tasks that were compared or tested, in the file's order.

    Args:
        settings: What the user configured.
        summaries: One of each task that was compared.
        details: Of tasks that were compared; those of one task are merged.
        verdicts: What the tests came to.
        exit_status: pytest's exit code.
        environment: Of this process.
        history: The runs before this one.
    """
    from pytest_muscle.reports.header import name_model

    summary_of = {summary.task: summary for summary in summaries}
    merged: dict[str, TaskDetails] = {}
    for of_task in details:
        known = merged.get(of_task.task)
        merged[of_task.task] = of_task if known is None else known.merge(of_task)
    names = {*summary_of, *verdicts}
    return RunReport(
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        pytest_muscle=__version__,
        settings=settings.path.name,
        old=None if settings.old is None else name_model(settings.old),
        new=None if settings.new is None else name_model(settings.new),
        commit=next(filter(None, map(environment.get, COMMITS)), None) or _checked_out(settings),
        limit=settings.limit,
        exit_status=exit_status,
        tasks=tuple(
            TaskReport(
                name=name,
                tests=verdicts.tests(name),
                failed=verdicts.failed(name),
                summary=summary_of.get(name),
                details=merged.get(name),
                limit=_limit(settings.tasks[name].gate),
            )
            for name in settings.tasks
            if name in names
        ),
        history=() if history is None else history.runs,
        history_skipped=0 if history is None else history.skipped,
    )


def _checked_out(settings: Settings) -> str | None:
    """Return the commit of the configuration's folder, where git knows one."""
    command = ["git", "-C", str(settings.root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _limit(gate: GateSettings) -> GateLimit | None:
    from pytest_muscle.settings.limits import floor_margin

    if gate.max_nfr is None:
        return None
    margin = floor_margin(gate.max_nfr)
    highest = float(gate.max_nfr) if margin is None else None
    return GateLimit(highest, margin, gate.judged_confidence)
