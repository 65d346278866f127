"""report.json and the history's lines: a run in JSON, as `schema.json` describes it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_muscle.reports.data import VERSION, flip_values

if TYPE_CHECKING:
    from pytest_muscle.reports.data import RunReport, TaskReport

LISTS = ("slices", "compat_slices", "found")
"""Of a summary: what a line of the history leaves out."""

OF_REPORT = ("tasks", "history", "history_skipped")
"""Of a run: what is written otherwise, or in a report alone."""


def render_json(run: RunReport) -> str:
    """Return a run as the text of report.json."""
    history = [dataclasses.asdict(past) for past in run.history]
    values = {**_head(run), "history": history, "history_skipped": run.history_skipped}
    values = {**_plain(values), "tasks": [_task(task) for task in run.tasks]}
    return json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def render_line(run: RunReport) -> str:
    """Return a run as one line of a history: its figures, no examples."""
    values = {**_head(run), "tasks": [_figures(task) for task in run.tasks]}
    return json.dumps(_plain(values), ensure_ascii=False, allow_nan=False) + "\n"


def _head(run: RunReport) -> dict[str, Any]:
    head = {
        field.name: getattr(run, field.name)
        for field in dataclasses.fields(run)
        if field.name not in OF_REPORT
    }
    return {"version": VERSION, **head, "interrupted": run.interrupted, "verdict": run.verdict}


def _figures(task: TaskReport) -> dict[str, Any]:
    values = _summary(task)
    counts = {} if task.details is None else task.details.counts
    return {
        "name": task.name,
        "passed": task.passed,
        "tests": task.tests,
        "failed": len(task.failed),
        **{name: value for name, value in values.items() if name not in LISTS},
        "limit": task.limit,
        "counts": {side: dataclasses.asdict(of_side) for side, of_side in counts.items()},
    }


def _task(task: TaskReport) -> dict[str, Any]:
    """Return a task in JSON's values; flips are plain already, and there may be many."""
    summary = _summary(task)
    details = task.details
    values = {
        **_figures(task),
        "failed": [dataclasses.asdict(failed) for failed in task.failed],
        **{name: value for name, value in summary.items() if name in LISTS},
        "models": {} if details is None else details.models,
        "margins": {} if details is None else _by_side(details.margins),
        "training": {} if details is None else _by_side(details.training),
    }
    flips = [] if details is None else [flip_values(flip) for flip in details.flips]
    return {**_plain(values), "flips": flips}


def _by_side(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return dataclasses by side as dictionaries; what they hold keeps its names."""
    names = {side: [field.name for field in dataclasses.fields(of)] for side, of in values.items()}
    return {side: {name: getattr(values[side], name) for name in names[side]} for side in values}


def _summary(task: TaskReport) -> dict[str, Any]:
    """Return what the terminal's table shows of a task, by the summary's own names."""
    if task.summary is None:
        return {}
    names = [field.name for field in dataclasses.fields(task.summary)]
    values = {name: getattr(task.summary, name) for name in names}
    values["nfr_change"] = task.summary.nfr_change
    return {name: value for name, value in values.items() if name not in ("task", "verdict")}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: named tuples as objects, what is not finite as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return value
