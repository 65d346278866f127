"""Hooks by which other plugins, or a project's `conftest.py`, extend pytest-muscle.

`EXTENDING.md` beside this file has a whole plugin. The hooks that add names are called once, before
the configuration is read, in each process of a run; what they return are texts, so that a function
is imported when a configuration names it and not before. Names have letters, digits, `_` and `-`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest


@pytest.hookspec
def pytest_muscle_add_metrics(config: pytest.Config) -> Mapping[str, str] | None:
    """Return metrics for `[tasks.NAME] metric`: the function of each name.

    Of generation tasks it takes (answer, gold, fields) and returns a bool or a float, of multiple
    choice and classification (log-likelihoods, options) and returns the chosen option's index::

        def pytest_muscle_add_metrics():
            return {"polite": "acme_muscle.metrics:polite"}

    Args:
        config: pytest's configuration.
    """


@pytest.hookspec
def pytest_muscle_add_objectives(config: pytest.Config) -> Mapping[str, str] | None:
    """Return training objectives for `[compat] strategy`: the function of each name.

    It takes (student logits, gold tokens, teachers, temperature) and returns a `TokenLoss`; see
    `training/objectives.py`::

        def pytest_muscle_add_objectives():
            return {"new_everywhere": "acme_muscle.objectives:new_everywhere"}

    Args:
        config: pytest's configuration.
    """


@pytest.hookspec
def pytest_muscle_add_importers(config: pytest.Config) -> Mapping[str, str] | None:
    """Return importers for `predictions = "NAME:PATH"`: the function of each name.

    It takes a path and, for what stands after a question mark, keyword arguments, and returns
    `Predictions`::

        def pytest_muscle_add_importers():
            return {"acme": "acme_muscle.logs:read_log"}

    Args:
        config: pytest's configuration.
    """


@pytest.hookspec
def pytest_muscle_report(
    report: dict[str, Any], directory: Path | None, config: pytest.Config
) -> str | Sequence[str] | None:
    """Do something with what a run came to, and return lines for the terminal's summary, if any.

    It is called once, after the tests and not in workers of pytest-xdist, where a task was compared
    or tested. What it raises is shown as an error and fails the run::

        def pytest_muscle_report(report, directory):
            post(f"model update: {report['verdict']}")
            return "posted to #releases"

    Args:
        report: What report.json holds, as `reports/schema.json` describes it, with all flips; a
            copy, the plugin's own.
        directory: The folder of `--muscle-report` or `[report] dir`, whose files are written by
            then; none where none is asked for.
        config: pytest's configuration.
    """
