"""Whether the tests of each task passed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

TASK = "muscle_task"
"""Attribute of a report: the task that its test was run for; it travels between processes."""


class Verdicts:
    """What the tests of each task came to, as a plugin that hears all reports.

    Under pytest-xdist the controller hears those of its workers, so that what a worker did before
    it crashed counts too.
    """

    def __init__(self) -> None:
        self._passed: dict[str, dict[str, bool]] = {}
        self._any_crashed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember whether a test of a task passed; skipped and repeated phases do not count."""
        task = getattr(report, TASK, None)
        if task is not None and report.outcome in ("passed", "failed"):
            self._count(task, report.nodeid, report.passed)

    def crashed(self, nodeid: str, task: str | None) -> None:
        """Count a test as failed in which a worker crashed."""
        self._any_crashed = True
        if task is not None:
            self._count(task, nodeid, False)

    def of(self, task: str) -> str:
        """Return "passed", or how many of a task's tests failed; nothing where none was run."""
        outcomes = self._passed.get(task, {})
        if not outcomes:
            return ""
        failed = sum(not passed for passed in outcomes.values())
        return f"FAILED\n{failed} of {len(outcomes)}" if failed else "passed"

    def lost(self, tasks: Iterable[str], shown: Iterable[str]) -> list[str]:
        """Return tasks that have a verdict and no row in the table, if a worker crashed."""
        if not self._any_crashed:
            return []
        rows = set(shown)
        return [task for task in tasks if task not in rows and self.of(task)]

    def _count(self, task: str, nodeid: str, passed: bool) -> None:
        outcomes = self._passed.setdefault(task, {})
        outcomes[nodeid] = outcomes.get(nodeid, True) and passed
