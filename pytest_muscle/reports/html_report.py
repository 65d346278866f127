"""report.html: a run as one page for a browser, which loads nothing and runs no text of the data.

What comes from data or models gets into the page in two ways. Jinja2 escapes what stands in it, and
the flipped examples are JSON that its script shows as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_muscle.reports.charts import can_draw, draw
from pytest_muscle.reports.curves import (
    NAMES,
    chart_training,
    describe_unknown,
    tabulate_training,
)
from pytest_muscle.reports.data import TaskDetails, flip_values
from pytest_muscle.reports.figures import (
    draw_changes,
    draw_margins,
    draw_rates,
    find_quadrants,
    say_margins,
    show_rate,
    sort_slices,
)
from pytest_muscle.reports.numbers import percent, score
from pytest_muscle.reports.slices import SURE, show_p
from pytest_muscle.reports.terminal import describe_row, has_compat
from pytest_muscle.reports.texts import printable, shorten
from pytest_muscle.reports.trend import find_trend, short_commit
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.reports.charts import Chart, Table
    from pytest_muscle.reports.data import Counts, RunReport, ScoreChanges, TaskReport
    from pytest_muscle.reports.figures import Axis, Bin, Quadrant, Stack
    from pytest_muscle.reports.margins import Margins
    from pytest_muscle.reports.slices import SliceSummary
    from pytest_muscle.reports.terminal import TaskSummary
    from pytest_muscle.reports.trend import Trend

MOST_SLICES = 12
"""Slices of a task that stand open; the others are folded."""

UNSAFE = "<>&\u2028\u2029"
"""What could end a script or a line of it; JSON has these in strings alone, where \\u says them."""


def render_html(run: RunReport) -> str:
    """Return a run as the text of report.html."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("pytest_muscle.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    tasks = [_view(run, task, f"task-{at}") for at, task in enumerate(run.tasks, start=1)]
    charts, undrawn = _draw_charts(tasks)
    environment.filters["svg"] = lambda chart: Markup(charts.get(chart.name, ""))
    page = environment.get_template("report.html.j2").render(
        run=run,
        judged=_judge(run),
        tasks=tasks,
        drawable=bool(charts),
        undrawn=undrawn,
        with_compat=any(task.summary and has_compat(task.summary) for task in run.tasks),
        flips=sum(len(task.details.flips) for task in run.tasks if task.details),
        most_slices=MOST_SLICES,
        sure=SURE,
        examples=Markup(render_examples(run)),
    )
    return page.encode(errors="backslashreplace").decode()


def _draw_charts(tasks: Sequence[_TaskView]) -> tuple[Mapping[str, str], str]:
    """Return all charts as SVG by name; or none, and why the page has tables alone."""
    charts = [
        *(chart for task in tasks if task.trend for chart in task.trend.charts),
        *(chart for task in tasks for chart, _ in task.training),
    ]
    try:
        if charts and not can_draw():
            return {}, 'pip install "pytest-muscle[report]" brings matplotlib, which draws them.'
        return {chart.name: draw(chart) for chart in charts}, ""
    except Exception as error:  # no mishap of a chart is worth a run's report
        return {}, f"matplotlib does not draw them: {type(error).__name__}: {error}"


def render_examples(run: RunReport) -> str:
    """Return all flipped examples by task, as JSON that can stand in a script element."""
    tasks = [
        {
            "name": task.name,
            "graded": task.summary is not None and task.summary.tolerance is not None,
            "unit": next((of.unit for of in task.details.margins.values()), "nats"),
            "flips": [flip_values(flip) for flip in task.details.flips],
        }
        for task in run.tasks
        if task.details is not None
    ]
    text = json.dumps(tasks, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in UNSAFE:  # str.translate takes seconds for what this does in a moment
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _judge(run: RunReport) -> tuple[str, str]:
    """Return the verdict in words, and what it rests on."""
    failed = sum(len(task.failed) for task in run.tasks)
    passed = sum(task.tests for task in run.tasks) - failed
    tests = counted(passed + failed, "test")
    of_tasks = counted(len(run.tasks), "task")
    if run.verdict == "none":
        if run.interrupted and passed:
            return "The model update was not judged", f"{counted(passed, 'test')} passed by then."
        return "The model update was not judged", "No test of a task was run to its end."
    if run.verdict == "passed":
        return "The model update passed", f"{tests} of {of_tasks} passed."
    return "The model update failed", f"{failed} of {tests} of {of_tasks} failed."


@dataclass(frozen=True, slots=True, kw_only=True)
class _TaskView:
    """What the template shows of a task.

    Attributes:
        report: The task.
        said: How many examples it loses, in a sentence.
        notes: What figures have no room for, a line each.
        models: What answered, by "new" and "compat".
        quadrants: What became of its examples, by the same.
        changes: The distribution of score changes and the bins it is made from, by the same.
        rates: Its negative flip rates on an axis.
        slices: Its slices, the most harmed first.
        side: What they compare with old.
        margins: The distribution of margins, what it says in a sentence, and the numbers, by
            "new" and "compat".
        trend: The runs before and this one.
        training: Of its adapters whose training is known: the chart and its table.
        untold: Why that of others is not known, a sentence each.
        compat_rates: Their rates of old to compat, by column and value, beside those of new.
    """

    report: TaskReport
    said: str = ""
    notes: Sequence[str] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    quadrants: Mapping[str, Sequence[Quadrant]] = field(default_factory=dict)
    changes: Mapping[str, tuple[Sequence[Bin], ScoreChanges]] = field(default_factory=dict)
    rates: Axis | None = None
    slices: Sequence[SliceSummary] = ()
    side: str = "new"
    margins: Mapping[str, tuple[Sequence[Stack], str, Margins]] = field(default_factory=dict)
    trend: Trend | None = None
    training: Sequence[tuple[Chart, Table]] = ()
    untold: Sequence[str] = ()
    compat_rates: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @property
    def summary(self) -> TaskSummary | None:
        """What the terminal's table shows of the task."""
        return self.report.summary


def _view(run: RunReport, task: TaskReport, name: str) -> _TaskView:
    """Return what the template shows of a task, whose name in the page starts those of charts."""
    summary = task.summary
    if summary is None:
        return _TaskView(report=task)
    details = task.details or TaskDetails(task=task.name, models={}, counts={})
    graded = summary.tolerance is not None
    counts_of = dict(sorted(details.counts.items(), reverse=True))  # new before compat
    notes = [*describe_row(summary), *summary.found]
    beside = summary.compat_slices if summary.slices else ()
    trained = {side: details.training[side] for side in NAMES if side in details.training}
    unknown = {side: describe_unknown(side, of) for side, of in trained.items()}
    return _TaskView(
        report=task,
        said=_say(counts_of, summary) if counts_of else "",
        notes=[line.removeprefix(f"{task.name}: ") for line in notes],
        models=details.models,
        quadrants={
            side: find_quadrants(counts, summary.n, graded=graded)
            for side, counts in counts_of.items()
        },
        changes={
            side: (draw_changes(moved, summary.tolerance or 0.0), moved)
            for side, moved in sorted(details.changes.items(), reverse=True)
        },
        rates=draw_rates(summary, task.limit),
        margins={
            side: (draw_margins(of, side), say_margins(of), of)
            for side, of in sorted(details.margins.items(), reverse=True)
            if of.flips
        },
        trend=find_trend(run, task, f"{name}-trend"),
        training=[
            (chart_training(side, of, f"{name}-training"), tabulate_training(of))
            for side, of in trained.items()
            if unknown[side] is None
        ],
        untold=[sentence for sentence in unknown.values() if sentence is not None],
        slices=sort_slices(summary.slices or summary.compat_slices),
        side="new" if summary.slices else "compat",
        compat_rates={(group.column, group.value): group.nfr for group in beside},
    )


def _say(all_counts: Mapping[str, Counts], summary: TaskSummary) -> str:
    """Return in a sentence how many examples each newer model breaks."""
    newer = {"new": "the new model", "compat": "the compat adapter"}
    least = {"new": summary.least_nfr, "compat": summary.compat_least_nfr}
    parts = [
        f"{'' if least[side] is None else 'at least '}{counts.negative:,} of {summary.n:,} "
        f"with {newer[side]}"
        for side, counts in all_counts.items()
    ]
    change = "From right to wrong" if summary.tolerance is None else "Scores that fall"
    return f"{change}: {', '.join(parts)}."


def _known_percent(rate: float | None, decimals: int = 2) -> str:
    return "–" if rate is None else percent(rate, decimals)


def _rate(rate: float | None, interval: tuple[float, float] | None, least: float | None) -> str:
    if least is not None:
        return f"≥ {percent(least)}"
    return "–" if rate is None or interval is None else show_rate(rate, *interval)


FILTERS: Mapping[str, Callable[..., str]] = {
    "percent": _known_percent,
    "rate": _rate,
    "score": score,
    "p": lambda p: show_p(p).removeprefix("= "),
    "line": printable,
    "commit": lambda commit: commit and short_commit(commit),
    "shorten": shorten,
    "counted": counted,
    "number": lambda number: "–" if number is None else f"{number:,}",
}
