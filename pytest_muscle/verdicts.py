"""Whether the tests of each task passed."""

from __future__ import annotations

import pytest


class Verdicts:
    """What the tests of each task came to."""

    def __init__(self) -> None:
        self._passed: dict[str, dict[str, bool]] = {}

    def count(self, task: str, report: pytest.TestReport) -> None:
        """Count a phase of a test; one that was skipped or is run again does not count."""
        if report.outcome in ("passed", "failed"):
            outcomes = self._passed.setdefault(task, {})
            outcomes[report.nodeid] = outcomes.get(report.nodeid, True) and report.passed

    def count_failed(self, task: str, nodeid: str) -> None:
        """Count a test as failed that has no report."""
        self._passed.setdefault(task, {})[nodeid] = False

    def of(self, task: str) -> str:
        """Return "passed", or how many of a task's tests failed; nothing where none was run."""
        outcomes = self._passed.get(task, {})
        if not outcomes:
            return ""
        failed = sum(not passed for passed in outcomes.values())
        return f"FAILED\n{failed} of {len(outcomes)}" if failed else "passed"
