"""What the tests of a task came to, and what those that failed said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_muscle.reports.data import FailedTest
from pytest_muscle.verdicts import Verdicts


def phase(outcome: str, longrepr: Any = None, *, when: str = "call", name: str = "a") -> Any:
    return pytest.TestReport(
        nodeid=f"test_a.py::test_{name}",
        location=("test_a.py", 6, f"test_{name}"),
        keywords={},
        outcome=outcome,
        longrepr=longrepr,
        when=when,
    )


def crash(message: str) -> Any:
    return SimpleNamespace(reprcrash=SimpleNamespace(message=message))


def test_one_phase_that_failed_is_a_test_that_failed():
    verdicts = Verdicts()
    assert verdicts.of("t") == ""
    for outcome in ("passed", "passed", "passed"):
        verdicts.count("t", phase(outcome, name="b"))
    assert verdicts.of("t") == "passed"
    verdicts.count("t", phase("passed"))
    verdicts.count("t", phase("failed", crash("first\nmore")))
    verdicts.count("t", phase("failed", crash("second"), when="teardown"))
    verdicts.count("t", phase("skipped", name="c"))
    assert (verdicts.tests("t"), verdicts.of("t")) == (2, "FAILED\n1 of 2")
    assert verdicts.failed("t") == (
        FailedTest(nodeid="test_a.py::test_a", message="first", file="test_a.py", line=7),
    )
    assert list(verdicts) == ["t"]


def test_a_test_that_was_only_set_up_has_not_passed():
    verdicts = Verdicts()
    verdicts.count("t", phase("passed", when="setup"))
    verdicts.count("t", phase("skipped"))  # in its body, or as it was expected to fail
    verdicts.count("t", phase("passed", when="teardown"))
    assert (verdicts.tests("t"), verdicts.of("t")) == (0, "")
    verdicts.count("t", phase("failed", crash("no fixture"), when="setup"))
    assert verdicts.of("t") == "FAILED\n1 of 1"


@pytest.mark.parametrize(
    ("longrepr", "message"),
    [
        (crash("pytest_muscle.assertions.FlipAssertionError: task 'a': NFR"), "task 'a': NFR"),
        (crash("AssertionError: no"), "AssertionError: no"),
        (crash(""), "failed"),
        ("\n  TrainingError: is missing\n  train it", "TrainingError: is missing"),
        (("test_a.py", 1, "skipped"), "('test_a.py', 1, 'skipped')"),
    ],
)
def test_the_first_line_of_what_a_test_said(longrepr, message):
    verdicts = Verdicts()
    verdicts.count("t", phase("failed", longrepr))
    assert verdicts.failed("t")[0].message == message


def test_a_test_whose_worker_crashed():
    verdicts = Verdicts()
    verdicts.count_failed("t", "a/test_a.py::test_a[t]")
    assert verdicts.failed("t") == (
        FailedTest(
            nodeid="a/test_a.py::test_a[t]", message="its worker crashed", file="a/test_a.py"
        ),
    )
