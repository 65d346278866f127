"""Measures counted by hand and checked by what must hold of them."""

import math
import sys
import types
from random import Random
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle.comparison import MEASURES, compare, find_measure
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Prediction, Predictions

ANSWERS = st.sampled_from(["a", "b", "c"])
Rows: TypeAlias = list[tuple[str, str, str]]
TABLES = st.lists(st.tuples(ANSWERS, ANSWERS, ANSWERS), min_size=1, max_size=40)


def with_scores(scores: list[float]) -> Predictions:
    return Predictions(
        tuple(
            Prediction(id=i, answer=f"text {s}", gold="gold", correct=s >= 0.5, score=s)
            for i, s in enumerate(scores)
        )
    )


def test_every_measure_of_ten_examples_counted_by_hand():
    gold = ["a", "a", "a", "a", "a", "a", "a", "a", "a", "a"]
    old_ = ["a", "a", "a", "a", "b", "b", "b", "b", "b", "a"]
    new_ = ["a", "a", "b", "c", "a", "a", "a", "b", "c", "a"]
    # right twice: 0, 1, 9; negative flips: 2, 3; positive flips: 4, 5, 6;
    # wrong twice: 7 the same way, 8 in another way.
    report = compare(old_, new_, gold=gold)
    assert report.n == 10
    assert report.old_accuracy == 0.5
    assert report.new_accuracy == 0.6
    assert report.accuracy_drop == -0.1
    assert report.negative_flips == (2, 3)
    assert report.positive_flips == (4, 5, 6)
    assert report.negative_flip_rate == 0.2
    assert report.positive_flip_rate == 0.3
    assert report.inconsistency_rate == 0.3
    assert report.relative_negative_flip_rate == pytest.approx(0.2 / (0.4 * 0.5))
    assert report.trust_compatibility == pytest.approx(1 - 0.2 / 0.5)
    assert report.mean_gain == 1.0
    assert report.mean_regress == 1.0
    # Two against three: P(at most 2 of 5 coins), doubled, is 2 * 16 / 32.
    assert report.mcnemar_p == pytest.approx(1.0)


def test_mean_gain_and_regress_take_only_examples_that_moved():
    report = compare(with_scores([0.5, 0.5, 0.5, 0.5]), with_scores([0.75, 0.25, 0.5, 0.375]))
    assert report.mean_gain == 0.25
    assert report.mean_regress == (0.25 + 0.125) / 2


def test_nothing_moved_is_a_mean_of_zero():
    report = compare(with_scores([0.3, 0.7]), with_scores([0.3, 0.7]))
    assert (report.mean_gain, report.mean_regress) == (0.0, 0.0)


def test_ratios_without_a_denominator_are_nan():
    nothing_right = compare(["b"], ["a"], gold=["a"])
    assert math.isnan(nothing_right.relative_negative_flip_rate)
    assert math.isnan(nothing_right.trust_compatibility)
    nothing_wrong = compare(["a"], ["a"], gold=["a"])
    assert math.isnan(nothing_wrong.relative_negative_flip_rate)
    assert nothing_wrong.trust_compatibility == 1.0


def test_two_answers_that_are_not_a_number_agree():
    nan = float("nan")
    assert compare([nan, 1.0], [float("nan"), nan], gold=[3.0, 3.0]).inconsistency_rate == 0.5


@given(TABLES)
def test_flips_balance_accuracies(rows: Rows):
    old, new, gold = (list(column) for column in zip(*rows, strict=True))
    report = compare(old, new, gold=gold)
    difference = report.new_accuracy - report.old_accuracy
    assert report.positive_flip_rate - report.negative_flip_rate == pytest.approx(difference)
    assert report.accuracy_drop == pytest.approx(-difference)


@given(TABLES)
def test_measures_are_those_of_a_plain_loop(rows: Rows):
    old, new, gold = (list(column) for column in zip(*rows, strict=True))
    report = compare(old, new, gold=gold)
    negative = tuple(i for i, (o, w, g) in enumerate(rows) if o == g != w)
    inconsistent = sum(w not in (g, o) for o, w, g in rows)
    assert report.negative_flips == negative
    assert report.inconsistency_rate == inconsistent / len(rows)


@given(TABLES)
def test_swapping_old_and_new_swaps_flips(rows: Rows):
    old, new, gold = (list(column) for column in zip(*rows, strict=True))
    there, back = compare(old, new, gold=gold), compare(new, old, gold=gold)
    assert there.negative_flips == back.positive_flips
    assert there.positive_flips == back.negative_flips
    assert there.mean_gain == back.mean_regress
    assert there.mcnemar_p == pytest.approx(back.mcnemar_p)


@given(TABLES)
def test_rates_keep_their_bounds(rows: Rows):
    old, new, gold = (list(column) for column in zip(*rows, strict=True))
    report = compare(old, new, gold=gold)
    right, wrong = report.old_accuracy, 1 - report.new_accuracy
    assert 0 <= report.negative_flip_rate <= min(right, wrong) + 1e-12
    assert report.negative_flip_rate <= report.inconsistency_rate <= wrong + 1e-12
    assert 0 <= report.mcnemar_p <= 1
    if right:
        expected = 1 - report.negative_flip_rate / right
        assert report.trust_compatibility == pytest.approx(expected)


@given(TABLES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: Rows, random: Random):
    def table(order: list[int], column: int) -> Predictions:
        return Predictions.from_lists(
            order, [rows[i][column] for i in order], [rows[i][2] for i in order]
        )

    order = list(range(len(rows)))
    shuffled = random.sample(order, len(order))
    straight = compare(table(order, 0), table(order, 1))
    mixed = compare(table(shuffled, 0), table(order, 1))
    assert set(mixed.negative_flips) == set(straight.negative_flips)
    for name in MEASURES:
        assert mixed.measure(name) == pytest.approx(straight.measure(name), nan_ok=True)


def test_every_measure_is_found_by_its_name():
    report = compare(["a", "a", "b"], ["a", "b", "a"], gold=["a", "a", "a"])
    for name in MEASURES:
        assert report.measure(name) == getattr(report, name)


def test_a_measure_of_your_own(monkeypatch: pytest.MonkeyPatch):
    module = types.ModuleType("my_measures")
    module.both_right = lambda pairs: float((pairs.old_correct & pairs.new_correct).mean())
    module.text = "not a function"
    monkeypatch.setitem(sys.modules, "my_measures", module)
    report = compare(["a", "a"], ["a", "b"], gold=["a", "a"])
    assert report.measure("my_measures:both_right") == 0.5
    for name in ("my_measures:text", "my_measures:absent", "no_such_module:f"):
        with pytest.raises(ComparisonError, match=name.partition(":")[2]):
            find_measure(name)


def test_a_misspelt_measure_names_the_nearest():
    with pytest.raises(ComparisonError, match="did you mean 'negative_flip_rate'"):
        find_measure("negative_flips_rate")
