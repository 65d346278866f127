"""metrics.txt: the figures of a run in OpenMetrics' text format, as GitLab's metrics report.

https://docs.gitlab.com/ci/testing/metrics_reports/ — a merge request shows how they change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_muscle.reports.data import RunReport, TaskReport
    from pytest_muscle.reports.terminal import TaskSummary

Samples = dict[str, list[tuple[Mapping[str, str], float]]]

METRICS = {
    "muscle_examples": "Number of examples.",
    "muscle_accuracy": "Share of examples answered correctly, or the mean score.",
    "muscle_nfr": "Negative flip rate, a fraction of all examples.",
    "muscle_nfr_low": "Lower end of its exact 95 % interval.",
    "muscle_nfr_high": "Upper end of its exact 95 % interval.",
    "muscle_negative_flips": "Number of negative flips.",
    "muscle_pfr": "Positive flip rate.",
    "muscle_inconsistency": "Inconsistency rate.",
    "muscle_tests": "Number of tests of the task.",
    "muscle_failed_tests": "How many of them failed.",
}


def render_metrics(run: RunReport) -> str:
    """Return a run's figures; what is not known is left out."""
    samples: Samples = {name: [] for name in METRICS}
    for task in run.tasks:
        for name, labels, value in _samples(task):
            if value is not None and math.isfinite(value):
                samples[name].append(({"task": task.name, **labels}, value))
    lines = []
    for name, meaning in METRICS.items():
        if samples[name]:
            lines += [f"# TYPE {name} gauge", f"# HELP {name} {meaning}"]
            lines += [f"{name}{_labels(labels)} {value!r}" for labels, value in samples[name]]
    return "\n".join([*lines, "# EOF", ""])


def _samples(task: TaskReport) -> Iterator[tuple[str, Mapping[str, str], float | None]]:
    yield "muscle_tests", {}, task.tests
    yield "muscle_failed_tests", {}, len(task.failed)
    if task.summary is None or task.details is None:
        return
    yield from _figures(task.summary)
    rates = {"new": task.summary.nfr, "compat": task.summary.compat_nfr}
    for side, counts in task.details.counts.items():
        if rates[side] is not None:  # else the model was stopped before all of them were seen
            yield "muscle_negative_flips", {"to": side}, counts.negative


def _figures(summary: TaskSummary) -> Iterator[tuple[str, Mapping[str, str], float | None]]:
    yield "muscle_examples", {}, summary.n
    yield "muscle_accuracy", {"model": "old"}, summary.old_accuracy
    yield "muscle_accuracy", {"model": "new"}, summary.new_accuracy
    yield "muscle_accuracy", {"model": "compat"}, summary.compat_accuracy
    for side, rate, interval in (
        ("new", summary.nfr, summary.nfr_interval),
        ("compat", summary.compat_nfr, summary.compat_nfr_interval),
    ):
        low, high = interval or (None, None)
        yield "muscle_nfr", {"to": side}, rate
        yield "muscle_nfr_low", {"to": side}, low
        yield "muscle_nfr_high", {"to": side}, high
    yield "muscle_pfr", {"to": "new"}, summary.pfr
    yield "muscle_inconsistency", {"to": "new"}, summary.inconsistency


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    r"""Return a label's value: \ and " escaped; # as _, since GitLab takes it for a comment."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("#", "_")
