"""Whether the tests of each task passed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_muscle.reports.data import FailedTest

_OUR_CLASS = re.compile(r"^[\w.]*\bFlipAssertionError: ")


class Verdicts:
    """What the tests of each task came to."""

    def __init__(self) -> None:
        self._outcomes: dict[str, dict[str, FailedTest | None]] = {}

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the tasks that have a test."""
        return iter(self._outcomes)

    def count(self, task: str, report: pytest.TestReport) -> None:
        """Count a phase of a test: where one fails, and where the test itself passes.

        A test that was skipped, is expected to fail, is run again or was stopped does not count.
        """
        if report.failed or (report.passed and report.when == "call"):
            outcomes = self._outcomes.setdefault(task, {})
            failed = outcomes.get(report.nodeid)
            if failed is None and report.failed:
                failed = _failed_test(report)
            outcomes[report.nodeid] = failed

    def count_failed(self, task: str, nodeid: str) -> None:
        """Count a test as failed that has no report, because its process crashed."""
        from pytest_muscle.reports.data import FailedTest

        failed = FailedTest(
            nodeid=nodeid, message="its worker crashed", file=nodeid.partition("::")[0]
        )
        self._outcomes.setdefault(task, {})[nodeid] = failed

    def tests(self, task: str) -> int:
        """Return how many tests of a task were run."""
        return len(self._outcomes.get(task, {}))

    def failed(self, task: str) -> tuple[FailedTest, ...]:
        """Return a task's tests that failed, in the order in which they were run."""
        return tuple(test for test in self._outcomes.get(task, {}).values() if test is not None)

    def of(self, task: str) -> str:
        """Return "passed", or how many of a task's tests failed; nothing where none was run."""
        tests, failed = self.tests(task), len(self.failed(task))
        if not tests:
            return ""
        return f"FAILED\n{failed} of {tests}" if failed else "passed"


def _failed_test(report: pytest.TestReport) -> FailedTest:
    from pytest_muscle.reports.data import FailedTest

    file, line, _ = report.location
    return FailedTest(
        nodeid=report.nodeid,
        message=_first_line(report),
        file=file,
        line=None if line is None else line + 1,
    )


def _first_line(report: pytest.TestReport) -> str:
    """Return the first line of what was raised; of our own failures without their class's name."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = report.longreprtext if crash is None else str(crash.message)
    line = next(filter(None, map(str.strip, text.splitlines())), "failed")
    return _OUR_CLASS.sub("", line)
