"""What the figures of report.html show."""

from __future__ import annotations

import dataclasses
import math

import pytest

from pytest_muscle.reports.data import Counts, GateLimit, ScoreChanges
from pytest_muscle.reports.figures import (
    Level,
    Stack,
    draw_changes,
    draw_margins,
    draw_rates,
    find_quadrants,
    say_margins,
    sort_slices,
)
from pytest_muscle.reports.margins import Margins
from pytest_muscle.reports.noise import NoiseSummary
from pytest_muscle.reports.slices import SliceSummary
from pytest_muscle.reports.terminal import TaskSummary


def test_quadrants_are_shares_of_all_examples():
    counts = Counts(negative=10, positive=20, both_right=150, both_wrong=20)
    said = [
        (cell.kind, cell.examples, cell.share) for cell in find_quadrants(counts, 200, graded=False)
    ]
    assert said == [
        ("same-right", 150, 75),
        ("negative", 10, 5),
        ("positive", 20, 10),
        ("same-wrong", 20, 10),
    ]


def test_what_was_not_asked_is_not_known():
    cells = find_quadrants(Counts(negative=2, unasked=3), 5, graded=False)
    assert {cell.kind: cell.examples for cell in cells} == {"negative": 2, "unknown": 3}
    assert [cell.share for cell in cells] == [40, 60]


def test_graded_scores_fall_stay_and_rise():
    cells = find_quadrants(Counts(negative=1, positive=3), 10, graded=True)
    assert [cell.examples for cell in cells] == [1, 6, 3]
    assert [cell.share for cell in find_quadrants(Counts(negative=0), 0, graded=False)] == [0, 0]


@pytest.mark.parametrize(
    ("high", "ends"),
    [
        (0.049, ("0 %", "3 %", "6 %")),
        (0.02, ("0 %", "1 %", "2 %")),
        (0.0007, ("0 %", "0.05 %", "0.1 %")),
        (0.61, ("0 %", "50 %", "100 %")),
        (1.0, ("0 %", "50 %", "100 %")),
    ],
)
def test_an_axis_ends_at_a_round_number(high, ends):
    axis = draw_rates(
        TaskSummary(task="t", n=9, old_accuracy=1, nfr=high / 2, nfr_interval=(0, high))
    )
    assert axis is not None
    assert axis.marks == ends
    (bar,) = axis.bars
    top = float(ends[-1].removesuffix(" %")) / 100
    assert bar.at == pytest.approx(50 * high / top)
    assert (bar.start, bar.width) == pytest.approx((0, 100 * high / top))


def test_rates_share_an_axis_with_the_noise_floor():
    summary = TaskSummary(
        task="t",
        n=9,
        old_accuracy=1,
        least_nfr=0.04,
        compat_nfr=0.02,
        compat_nfr_interval=(0.01, 0.03),
        noise=NoiseSummary(0.01, 0.005, 0.02, 4, "old", "seed"),
    )
    axis = draw_rates(summary)
    assert axis is not None
    assert [(bar.kind, round(bar.at), round(bar.width)) for bar in axis.bars] == [
        ("new", 100, 0),
        ("compat", 50, 50),
        ("noise", 25, 38),
    ]
    assert axis.bars[0].text == "at least 4.00 %, seen until the gate was decided"


def test_the_limit_of_the_gate_stands_on_the_axis():
    summary = TaskSummary(task="t", n=9, old_accuracy=1, nfr=0.03, nfr_interval=(0.01, 0.05))
    plain = draw_rates(summary, GateLimit(max_nfr=0.02))
    assert plain is not None
    assert plain.level == Level(pytest.approx(100 / 3), "limit 2.00 %, which the rate must keep")
    far = draw_rates(summary, GateLimit(max_nfr=0.2, confidence=0.99))
    assert far is not None  # the axis goes as far as the limit
    assert far.marks[-1] == "20 %"
    assert far.level == (100, "limit 20.00 %, which the upper 99 % bound must keep")
    assert draw_rates(summary).level is None
    assert draw_rates(summary, GateLimit(max_nfr=0.0)).level.at == 0


def test_a_limit_above_the_noise_floor_is_where_that_is():
    summary = TaskSummary(task="t", n=9, old_accuracy=1, nfr=0.03, nfr_interval=(0.01, 0.05))
    limit = GateLimit(floor_margin=0.01)
    assert draw_rates(summary, limit).level is None  # no floor was measured
    noise = NoiseSummary(0.02, 0.01, 0.03, 4, "old", "seed")
    level = draw_rates(dataclasses.replace(summary, noise=noise), limit).level
    said = "limit 3.00 %, 1.00 points above the noise floor, which the rate must keep"
    assert level == (pytest.approx(50), said)


def test_margins_stand_in_columns_of_both_models():
    margins = Margins(
        unit="nats",
        flips=4,
        edges=(-1.0, 0.0, 1.0),
        before=(0, 4),
        after=(3, 1),
        median_fall=0.8,
        close=1,
    )
    assert draw_margins(margins, "compat") == (
        Stack(0, 60, "−1.00 to 0.00: 3 compat"),
        Stack(80, 20, "0.00 to 1.00: 4 old, 1 compat"),
    )
    assert say_margins(margins).startswith(
        "The margin falls by 0.80 nats in the median; 1 of 4 flips is a close call, "
    )
    normed = dataclasses.replace(margins, unit="nats per byte", close=None)
    assert say_margins(normed) == (
        "The margin falls by 0.80 nats per byte in the median of 4 flips."
    )


def test_no_rate_no_axis():
    assert draw_rates(TaskSummary(task="t", n=9, old_accuracy=1)) is None
    assert draw_rates(TaskSummary(task="t", n=9, old_accuracy=1, nfr=math.nan)) is None


def test_columns_of_a_distribution_are_of_the_kind_of_their_middle():
    moved = ScoreChanges(edges=(-0.3, -0.1, 0.1, 0.3), counts=(1, 4, 2))
    bins = draw_changes(moved, 0.1)
    assert [(column.height, column.kind) for column in bins] == [
        (25, "negative"),
        (100, "same-right"),
        (50, "positive"),
    ]
    assert [column.kind for column in draw_changes(moved, 0.2)] == ["same-right"] * 3
    assert bins[0].text == "−0.30 to −0.10: 1 example"


def test_slices_that_flip_by_no_chance_go_first():
    groups = [
        SliceSummary("c", "a", 5, 0.9, 0.1, 1, 0.4),
        SliceSummary("c", "b", 50, 0.2, 0.1, 0.3, 0.01),
        SliceSummary("c", "d", 50, 0.3, 0.1, 0.3, 0.02),
    ]
    assert [group.value for group in sort_slices(groups)] == ["d", "b", "a"]
