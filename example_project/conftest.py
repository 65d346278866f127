"""Makes the two models before the first run, so that ``pytest`` works from a bare checkout.

A project that has its models already needs no conftest.py at all.
"""

from __future__ import annotations

import prepare
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Download and build what is missing; pytest does not capture output yet."""
    try:
        prepare.prepare()
    except prepare.PrepareError as problem:
        raise pytest.UsageError(str(problem)) from problem
