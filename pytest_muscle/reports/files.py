"""Writes a run's report: files in a folder, a line of a history, a job's summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pytest_muscle.atomic import write_texts
from pytest_muscle.reports.destinations import Destinations, Written
from pytest_muscle.reports.github import append_summary
from pytest_muscle.reports.gitlab import render_metrics
from pytest_muscle.reports.history import append_line
from pytest_muscle.reports.html_report import render_html
from pytest_muscle.reports.json_report import render_json, render_line
from pytest_muscle.reports.markdown import render_markdown
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.reports.data import RunReport

FILES: Mapping[str, Callable[[RunReport], str]] = {
    "report.json": render_json,
    "report.md": render_markdown,
    "report.html": render_html,
    "metrics.txt": render_metrics,
}
"""The files of a report's folder, and what writes the text of each from the one structure."""


def write_reports(run: RunReport, destinations: Destinations) -> Written:
    """Write a run's report wherever it goes; one that cannot be written stops no other."""
    lines, warnings, errors = [], [], []
    if (directory := destinations.directory) is not None:
        try:
            write_texts({directory / name: render(run) for name, render in FILES.items()})
            lines.append(f"report: {directory} ({', '.join(FILES)})")
        except OSError as error:
            errors.append(f"the report cannot be written: {error}")
    if run.history_skipped:
        left_out = counted(run.history_skipped, "line")
        warnings.append(
            f"{destinations.history}: {left_out} left out of the trend: damaged, or not of "
            "pytest-muscle"
        )
    if destinations.history is not None and run.tasks:
        try:
            append_line(destinations.history, render_line(run))
            lines.append(f"history: {destinations.history}")
        except OSError as error:
            errors.append(f"the history cannot be written: {error}")
    if destinations.summary is not None and run.tasks:
        try:
            append_summary(destinations.summary, render_markdown(run))
        except OSError as error:
            warnings.append(f"the job's summary cannot be written: {error}")
    return Written(lines=tuple(lines), warnings=tuple(warnings), errors=tuple(errors))
