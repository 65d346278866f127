"""The trend: this run after earlier ones, of the same task."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_muscle.reports.charts import Chart
from pytest_muscle.reports.data import GateLimit
from pytest_muscle.reports.history import PastFigures, PastRun
from pytest_muscle.reports.trend import find_trend

EVIL = "</script><svg onload=alert(1)>\u202e" + "x" * 300


def past(day: int, nfr: float | None = 0.01, commit: str | None = None, **figures: Any) -> PastRun:
    tasks = {"support": PastFigures(n=6, passed=True, nfr=nfr, **figures)}
    return PastRun(written=f"2026-10-{day:02d}T08:30:00+00:00", commit=commit, tasks=tasks)


def texts(charts: Sequence[Chart]) -> str:
    """Whatever gets into the charts beside numbers."""
    return repr([dataclasses.replace(chart) for chart in charts])


def test_this_run_is_the_last_of_them(make_run):
    run = make_run(commit="f" * 40, history=(past(1, 0.02, "c0ffee1" * 5), past(2, None), past(3)))
    trend = find_trend(run, run.tasks[0], "t")
    assert trend is not None
    rates, accuracy = trend.charts
    # of six examples new breaks one and compat two
    new, compat = rates.panels[0].lines
    assert new.ys == [2, None, 1, pytest.approx(100 / 6)]
    assert compat.ys == [None, None, None, pytest.approx(200 / 6)]
    assert new.spread[0] is None
    assert new.spread[-1] == pytest.approx((0.42, 64.12), abs=0.01)  # SciPy's, as in the page
    assert rates.marked == 3
    assert list(rates.ticks) == [
        (3, "this run"),
        (2, "2026-10-03"),
        (1, "2026-10-02"),
        (0, "c0ffee1"),
    ]
    assert accuracy.panels[0].lines[0].ys[-1] == 50
    assert trend.table.columns[5:7] == ["NFR old → new", "NFR old → compat"]
    assert trend.table.rows[0][:3] == ["2026-11-25 12:00 (this run)", run.new, "ffffffffffff"]
    assert trend.table.rows[-1] == [
        *("2026-10-01 08:30", "", "c0ffee1c0ffe", "passed", "6", "2.00 %", "–", "–", "–", "–")
    ]
    assert rates.name != accuracy.name


def test_labels_are_few(make_run):
    run = make_run(history=tuple(past(day) for day in range(1, 31)))
    (chart, _) = find_trend(run, run.tasks[0], "t").charts
    places = [place for place, _ in chart.ticks]
    assert places == [30, 20, 10, 0]


def test_the_limit_is_drawn_where_it_is_known(make_run):
    run = make_run(history=(past(1),))
    (task,) = run.tasks
    for limit, level in ((GateLimit(0.02), 2), (GateLimit(None, 0.01), None), (None, None)):
        chart, _ = find_trend(run, dataclasses.replace(task, limit=limit), "t").charts
        assert chart.panels[0].level == level
        assert (("level", "limit") in chart.keys) == (level is not None)


def test_no_trend_without_an_earlier_run_of_the_task(make_run):
    other = PastRun(written="2026-10-01T00:00:00", tasks={"other": PastFigures(n=1)})
    for history in ((), (other,)):
        run = make_run(history=history)
        assert find_trend(run, run.tasks[0], "t") is None
    run = make_run(history=(past(1),))
    assert find_trend(run, dataclasses.replace(run.tasks[0], summary=None), "t") is None
    run = make_run(history=(other, past(2), other))  # the axis starts where the task does
    assert find_trend(run, run.tasks[0], "t").runs == 3


def test_nothing_of_a_history_but_numbers_and_dates_gets_into_a_chart(make_run):
    evil = PastRun(
        written="2026-10-01T08:30:00", commit=EVIL, new=EVIL, tasks={EVIL: PastFigures(n=1)}
    )
    run = make_run(name=EVIL, commit=EVIL, history=(evil,))
    trend = find_trend(run, run.tasks[0], "t")
    assert "</" not in texts(trend.charts)
    assert [label for _, label in trend.charts[0].ticks] == ["this run", "2026-10-01"]
    assert max(len(cell) for row in trend.table.rows for cell in row) <= 40


def test_scores_keep_their_unit(make_run):
    run = make_run(history=(past(1, old_accuracy=31.5, new_accuracy=30.0),))
    (task,) = run.tasks
    summary = dataclasses.replace(task.summary, tolerance=0.1, old_accuracy=31.0)
    trend = find_trend(run, dataclasses.replace(task, summary=summary), "t")
    assert trend.charts[1].panels[0].lines[0].ys == [31.5, 31]
    assert trend.table.columns[-1] == "score compat"
    assert trend.table.rows[-1][7:9] == ["31.5000", "30.0000"]
