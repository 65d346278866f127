"""Margins: how far the right option leads, as the metric compares options."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pytest_muscle.comparison import compare
from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.reports.margins import HALF, TWOFOLD, Margins, count_margins, margin, margins_at
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.metrics import CHOICE_METRICS

OPTIONS = ("ab", "añbc")  # two characters and bytes; four characters, five bytes


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("acc", -3.0 + 4.0),
        ("acc_norm", -3.0 / 2 + 4.0 / 4),
        ("acc_bytes", -3.0 / 2 + 4.0 / 5),
        ("mine:metric", -3.0 + 4.0),
    ],
)
def test_a_margin_is_in_the_unit_of_the_metric(metric, expected):
    assert margin((-3.0, -4.0), 0, OPTIONS, metric) == pytest.approx(expected)
    assert margin((-3.0, -4.0), 1, OPTIONS, metric) == pytest.approx(-expected)


@pytest.mark.parametrize("metric", CHOICE_METRICS)
def test_a_margin_is_above_zero_where_the_metric_chooses_the_right_option(metric):
    rng = np.random.default_rng(1)
    options = ("a", "two words", "été", "a much longer option")
    for _ in range(200):
        row, gold = tuple(rng.normal(-9, 5, 4).tolist()), int(rng.integers(4))
        right = CHOICE_METRICS[metric](row, options) == gold
        assert (margin(row, gold, options, metric) > 0) == right


@pytest.mark.parametrize(
    ("row", "gold", "options", "metric"),
    [
        ((-1.0, -2.0), "a text", OPTIONS, "acc"),
        ((-1.0, -2.0), 2, OPTIONS, "acc"),
        ((-1.0, -2.0), True, OPTIONS, "acc"),
        ((-1.0,), 0, OPTIONS[:1], "acc"),
        ((-1.0, -2.0), 0, None, "acc_norm"),
        ((-1.0, -2.0), 0, OPTIONS[:1], "acc_bytes"),
        ((-1.0, -math.inf), 0, OPTIONS, "acc"),
        ((-math.inf, -math.inf), 0, OPTIONS, "acc"),
    ],
)
def test_what_is_not_known_has_no_margin(row, gold, options, metric):
    assert margin(row, gold, options, metric) is None


def chosen(rows: dict[str, tuple[float, float]], **options: Any) -> Predictions:
    """A table of answers to questions whose right answer is option 0."""
    made = [
        Prediction(id_, int(b > a), 0, a >= b, float(a >= b), (a, b))
        for id_, (a, b) in rows.items()
    ]
    examples = {id_: Example(id=id_, prompt="", options=OPTIONS, gold=0) for id_ in "wxyz"}
    return Predictions(rows=made, examples=examples, **options)


OLD = {"w": (-1.0, -1.25), "x": (-1.0, -4.0), "y": (-1.0, -2.0), "z": (-3.0, -1.0)}
NEW = {"z": (-1.0, -3.0), "y": (-1.0, -2.0), "x": (-5.0, -4.0), "w": (-1.0, -0.75)}


def test_margins_of_flips_are_counted():
    report = compare(chosen(OLD), chosen(NEW))  # w falls from 0.25 to -0.25, x from 3 to -1
    counted = count_margins(report, "acc")
    assert counted is not None
    assert (counted.unit, counted.flips, counted.median_fall) == ("nats", 2, 0.5 * (0.5 + 4))
    assert math.exp(TWOFOLD) == pytest.approx(2)
    assert counted.close == 1
    assert counted.edges[0] == -3
    assert counted.edges[HALF] == pytest.approx(0)
    width = 3 / HALF
    assert {at for at, n in enumerate(counted.before) if n} == {HALF, 2 * HALF - 1}
    assert {at for at, n in enumerate(counted.after) if n} == {
        math.floor((3 - 1) / width),
        math.floor((3 - 0.25) / width),
    }
    assert count_margins(compare(chosen(OLD), chosen(NEW)), "acc_norm").close is None


def test_margins_stand_at_their_examples_where_not_all_were_asked():
    asked = {id_: NEW[id_] for id_ in "yxw"}
    old_table = chosen({"z": OLD["z"], **OLD})  # the one that is not asked comes first
    report = compare(old_table, chosen(asked, unasked=("z",)))
    old, new = margins_at(report, np.array([1, 2, 3]), "acc")
    assert (old, new) == ([0.25, 3, 1], [-0.25, -1, 1])


def test_without_a_flip_there_is_a_unit_and_without_log_likelihoods_nothing():
    counted = count_margins(compare(chosen(OLD), chosen(OLD)), "acc_norm")
    assert (counted.unit, counted.flips) == ("nats per character", 0)
    assert (counted.edges, counted.median_fall, counted.close) == ((), None, None)
    plain = [Predictions.from_lists("ab", answers, [0, 0]) for answers in ([0, 0], [1, 0])]
    assert count_margins(compare(*plain), "acc") is None


def test_what_is_far_out_is_in_the_outermost_bin():
    ids = [f"e{at}" for at in range(100)]

    def table(leads: list[float]) -> Predictions:
        rows = [
            Prediction(id_, int(lead < 0), 0, lead >= 0, float(lead >= 0), (lead, 0.0))
            for id_, lead in zip(ids, leads, strict=True)
        ]
        return Predictions(rows=rows)

    report = compare(table([1.0] * 99 + [1e6]), table([-1.0] * 99 + [-1e6]))
    counted = count_margins(report, "acc")
    assert counted.edges[-1] == 1
    assert (counted.before[-1], counted.after[0]) == (100, 100)
    assert sum(counted.before) == sum(counted.after) == counted.flips


def test_margins_of_zero_have_a_bin():
    counted = count_margins(compare(chosen({"w": (0.0, 0.0)}), chosen({"w": (-1e-9, 0.0)})), "acc")
    assert isinstance(counted, Margins)
    assert sum(counted.before) == sum(counted.after) == 1
