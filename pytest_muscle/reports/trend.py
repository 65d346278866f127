"""The trend over releases: this run after the last ones of a history, as charts and a table."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_muscle.reports.charts import Chart, Line, Panel, Table
from pytest_muscle.reports.figures import show_rate
from pytest_muscle.reports.history import PastFigures
from pytest_muscle.reports.numbers import known_percent, percent, score
from pytest_muscle.reports.texts import shorten

if TYPE_CHECKING:
    from pytest_muscle.reports.data import RunReport, TaskReport
    from pytest_muscle.reports.terminal import TaskSummary

MOST_LABELS = 4
"""Runs that the x axis names."""

SHORT_COMMIT = 7
COMMIT_WIDTH = 12
"""Characters of a commit on the axis and in the table."""

MODEL_WIDTH = 40
"""Characters of a model's name in the table."""

BESIDE = 0.01
"""Part of the axis by which intervals of the same run stand beside its middle."""

_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One run on the x axis.

    Attributes:
        label: Its commit or its day; nothing of these but hexadecimal digits or a date.
        written: When, as a person reads it.
        commit: As the history has it.
        new: The new model as it was configured.
        figures: What it came to for the task; none where the task was not compared.
    """

    label: str
    written: str
    commit: str
    new: str
    figures: PastFigures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The trend of one task.

    Attributes:
        runs: How many runs.
        charts: Of rates and of accuracy.
        table: Their numbers, the newest run first.
    """

    runs: int
    charts: Sequence[Chart]
    table: Table


def find_trend(run: RunReport, task: TaskReport, name: str) -> Trend | None:
    """Return the trend of a task, or none where it was not compared in an earlier run.

    Runs of another `--muscle-limit` asked other examples, and are left out.

    Args:
        run: This run and those before it.
        task: One of its tasks.
        name: Of its charts, in their page.
    """
    history = [past for past in run.history if past.limit == run.limit]
    if task.summary is None or not any(task.name in past.tasks for past in history):
        return None
    moments = [
        Moment(
            label=_label(past.commit, past.written),
            written=_minute(past.written),
            commit=past.commit or "",
            new=past.new or "",
            figures=past.tasks.get(task.name),
        )
        for past in history
    ]
    now = Moment(
        label="this run",
        written=_minute(run.written),
        commit=run.commit or "",
        new=run.new or "",
        figures=figures_of(task.summary, task.passed),
    )
    first = next(at for at, moment in enumerate(moments) if moment.figures is not None)
    moments = [*moments[first:], now]
    graded = task.summary.tolerance is not None
    level = None if task.limit is None else task.limit.place(task.summary)
    charts = (
        _chart_rates(moments, name, level),
        _chart_accuracy(moments, name, graded=graded),
    )
    return Trend(runs=len(moments), charts=charts, table=_table(moments, graded=graded))


def figures_of(summary: TaskSummary, passed: bool | None) -> PastFigures:
    """Return a run's figures of a task as a history has them."""

    def known(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    return PastFigures(
        n=summary.n,
        passed=passed,
        nfr=known(summary.nfr),
        nfr_interval=summary.nfr_interval,
        compat_nfr=known(summary.compat_nfr),
        compat_nfr_interval=summary.compat_nfr_interval,
        old_accuracy=known(summary.old_accuracy),
        new_accuracy=known(summary.new_accuracy),
        compat_accuracy=known(summary.compat_accuracy),
    )


def _label(commit: str | None, written: str) -> str:
    return commit[:SHORT_COMMIT] if commit and _COMMIT.fullmatch(commit) else written[:10]


def short_commit(commit: str) -> str:
    """Return a commit as a person reads it: its first digits, or a name cut short."""
    return commit[:COMMIT_WIDTH] if _COMMIT.fullmatch(commit) else shorten(commit, COMMIT_WIDTH)


def _minute(written: str) -> str:
    return written[:16].replace("T", " ")


def _chart_rates(moments: Sequence[Moment], name: str, level: float | None) -> Chart:
    aside = BESIDE * (len(moments) - 1)
    lines = [
        Line(
            colour=colour,
            xs=[place + shift for place in range(len(moments))],
            ys=_values(moments, field, 100),
            spread=[
                None if ends is None else (100 * ends[0], 100 * ends[1])
                for ends in (_value(moment, f"{field}_interval") for moment in moments)
            ],
            marker=marker,
        )
        for field, colour, marker, shift in (
            ("nfr", "negative", "o", -aside),
            ("compat_nfr", "compat", "D", aside),
        )
    ]
    keys = [("negative", "old → new"), ("compat", "old → compat"), ("level", "limit")]
    known = [*(_is_known(line) for line in lines), level is not None]
    panel = Panel(
        title="NFR, % of all examples",
        lines=[line for line in lines if _is_known(line)],
        from_zero=True,
        level=None if level is None else 100 * level,
    )
    return Chart(
        name=f"{name}-rates",
        title="Negative flip rate by run",
        note="with 95 % intervals" + ("; the limit is this run’s" if level is not None else ""),
        panels=[panel],
        keys=[key for key, there in zip(keys, known, strict=True) if there],
        ticks=list(_ticks(moments)),
        marked=len(moments) - 1,
    )


def _chart_accuracy(moments: Sequence[Moment], name: str, *, graded: bool) -> Chart:
    sides = (("old", "quiet", ""), ("new", "negative", "o"), ("compat", "compat", "D"))
    lines = {
        side: Line(
            colour=colour,
            xs=range(len(moments)),
            ys=_values(moments, f"{side}_accuracy", 1 if graded else 100),
            dashed=side == "old",
            marker=marker,
        )
        for side, colour, marker in sides
    }
    lines = {side: line for side, line in lines.items() if _is_known(line)}
    title = "Mean score" if graded else "Accuracy"
    return Chart(
        name=f"{name}-accuracy",
        title=f"{title} by run",
        note="mean of all examples" if graded else "share of examples answered correctly",
        panels=[Panel(title=title if graded else f"{title}, %", lines=list(lines.values()))],
        keys=[(line.colour, side) for side, line in lines.items()],
        ticks=list(_ticks(moments)),
        marked=len(moments) - 1,
    )


def _value(moment: Moment, field: str) -> tuple[float, float] | None:
    ends: tuple[float, float] | None = getattr(moment.figures, field, None)
    return ends


def _values(moments: Sequence[Moment], field: str, unit: float) -> list[float | None]:
    values = [getattr(moment.figures, field, None) for moment in moments]
    return [None if value is None else unit * value for value in values]


def _is_known(line: Line) -> bool:
    return any(value is not None for value in line.ys)


def _ticks(moments: Sequence[Moment]) -> Iterator[tuple[float, str]]:
    """Yield this run's label and those of others, as far apart as they are few."""
    last = len(moments) - 1
    step = max(1, math.ceil(last / (MOST_LABELS - 1)))
    for place in range(last, -1, -step):
        yield place, moments[place].label


def _table(moments: Sequence[Moment], *, graded: bool) -> Table:
    every = [moment.figures for moment in moments if moment.figures is not None]
    with_compat = any(
        figures.compat_nfr is not None or figures.compat_accuracy is not None for figures in every
    )
    of = "score" if graded else "accuracy"
    columns = ["run", "new model", "commit", "verdict", "examples", "NFR old → new"]
    columns += ["NFR old → compat"] if with_compat else []
    columns += [f"{of} old", f"{of} new"]
    columns += [f"{of} compat"] if with_compat else []
    rows = [
        list(_row(moment, moment.figures, with_compat=with_compat, graded=graded))
        for moment in reversed(moments)
        if moment.figures is not None
    ]
    return Table(columns=columns, rows=rows)


def _row(moment: Moment, figures: PastFigures, *, with_compat: bool, graded: bool) -> Iterator[str]:
    yield f"{moment.written} (this run)" if moment.label == "this run" else moment.written
    yield shorten(moment.new, MODEL_WIDTH)
    yield short_commit(moment.commit)
    yield {None: "–", True: "passed", False: "failed"}[figures.passed]
    yield f"{figures.n:,}"
    yield _rate(figures.nfr, figures.nfr_interval)
    if with_compat:
        yield _rate(figures.compat_nfr, figures.compat_nfr_interval)
    values = [figures.old_accuracy, figures.new_accuracy]
    values += [figures.compat_accuracy] if with_compat else []
    for value in values:
        if graded:
            yield "–" if value is None else score(value)
        else:
            yield known_percent(value, 1) + ("" if value is None else " %")


def _rate(rate: float | None, interval: tuple[float, float] | None) -> str:
    if rate is None:
        return "–"
    return percent(rate) if interval is None else show_rate(rate, *interval)
