"""Bounds of mean scores against SciPy, cases worked by hand, and how often they hold."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import ttest_1samp

from pytest_muscle import Predictions, compare
from pytest_muscle.comparison import bootstrap
from pytest_muscle.comparison.bootstrap import (
    mean_interval,
    mean_regress_interval,
    mean_regress_upper_bound,
    mean_upper_bound,
    student_bound,
)


def test_many_values_have_the_interval_of_scipy():
    values = np.random.default_rng(3).beta(0.5, 3, size=400)
    expected = scipy_bootstrap((values,), np.mean, method="BCa", rng=1).confidence_interval
    assert mean_interval(values) == pytest.approx(tuple(expected), abs=0.001)
    expected = scipy_bootstrap(
        (values,), np.mean, method="BCa", rng=1, confidence_level=0.9, alternative="less"
    ).confidence_interval
    assert mean_upper_bound(values, 0.9) == pytest.approx(expected.high, abs=0.001)


def test_students_bound_is_that_of_scipy():
    values = np.array([0.1, 0.4, 0.2, 0.2, 0.9])
    expected = ttest_1samp(values, 0, alternative="less").confidence_interval(0.95).high
    assert student_bound(values, 0.95) == pytest.approx(expected)
    assert mean_upper_bound(values) >= min(1.0, expected)


def test_equal_values_leave_room_for_those_not_seen():
    # None of 100 differs: with 95 % confidence at most 1 - 0.05^(1/100) would, by up to 1.
    unseen = 1 - 0.05 ** (1 / 100)
    assert mean_upper_bound([0.0] * 100) == pytest.approx(unseen)
    assert mean_upper_bound([0.2] * 100) == pytest.approx(0.2 + 0.8 * unseen)
    # Two-sided each end has half the error, and one value says next to nothing.
    assert mean_interval([0.0] * 100) == pytest.approx(
        (-(1 - 0.025 ** (1 / 100)), 1 - 0.025 ** (1 / 100))
    )
    assert mean_interval([0.5]) == pytest.approx((0.5 - 1.5 * 0.975, 0.5 + 0.5 * 0.975))


def test_marks_on_a_wider_scale_leave_as_much_room_as_it_has():
    # A judge's marks from 1 to 5: four that fall by 1 each do not show that no other falls by 4.
    old, new = np.array([5.0, 4, 3, 2, 1, 5]), np.array([4.0, 3, 2, 1, 1, 5])
    unseen = 1 - 0.05 ** (1 / 4)
    assert mean_regress_upper_bound(old, new) == pytest.approx(1 + 3 * unseen)
    falls = np.array([10.0, 20.0])
    expected = ttest_1samp(falls, 0, alternative="less").confidence_interval(0.95).high
    assert mean_regress_upper_bound([100, 100, 0], [90, 80, 0]) >= expected > 20
    ids = range(6)
    report = compare(Predictions.from_scores(ids, old), Predictions.from_scores(ids, old))
    none = 1 - 0.05 ** (1 / 6)
    assert report.accuracy_drop_upper_bound(0.95) == pytest.approx(4 * none)
    both = 1 - 0.025 ** (1 / 6)
    assert report.accuracy_drop_interval(0.95) == pytest.approx((-4 * both, 4 * both))


def test_mean_regress_is_bounded_over_the_falls():
    old = np.array([0.9, 0.5, 0.8, 0.3, 0.7, 0.2])
    new = np.array([0.5, 0.6, 0.79, 0.3, 0.4, 0.9])
    falls = np.array([0.4, 0.01, 0.3])
    assert mean_regress_upper_bound(old, new) == pytest.approx(mean_upper_bound(falls))
    assert mean_regress_interval(old, new, 0.9) == pytest.approx(
        mean_interval(falls, 0.9, bounds=(0.0, 1.0))
    )
    assert mean_regress_upper_bound(old, new, tolerance=0.05) == pytest.approx(
        mean_upper_bound(falls[[0, 2]])
    )


def test_where_nothing_falls_there_is_no_regress():
    assert mean_regress_interval([0.5, 0.5], [0.5, 0.6]) == (0.0, 0.0)
    assert mean_regress_upper_bound([0.5, 0.5], [0.5, 0.6]) == 0.0
    assert mean_regress_upper_bound([], []) == 0.0


def test_one_fall_says_little():
    # One fall by 0.2: others may be 95 % of all falls, and up to 1.
    assert mean_regress_upper_bound([0.5, 0.4], [0.3, 0.4]) == pytest.approx(0.2 + 0.95 * 0.8)


def test_intervals_hold_the_mean_and_stay_within_what_can_be():
    rng = np.random.default_rng(11)
    for n in (2, 3, 7, 60):
        values = rng.random(n)
        low, high = mean_interval(values, bounds=(0.0, 1.0))
        assert 0 <= low <= values.mean() <= high <= 1
        assert values.mean() <= mean_upper_bound(values) <= high + 0.02
        assert mean_interval(-values) == pytest.approx(
            tuple(-end for end in reversed(mean_interval(values))), abs=0.02
        )


def test_marks_beyond_one_are_not_cut_off():
    values = np.random.default_rng(2).exponential(size=80)
    assert values.mean() < mean_upper_bound(values) < values.max()


def test_the_same_data_have_the_same_bound():
    values = np.random.default_rng(4).random(30)
    assert mean_upper_bound(values) == mean_upper_bound(values)


def test_a_hundred_thousand_examples_have_the_bound_of_the_normal_distribution():
    rng = np.random.default_rng(8)
    values = np.where(rng.random(100_000) < 0.2, rng.random(100_000), 0.0)
    expected = values.mean() + 1.645 * values.std() / np.sqrt(100_000)
    started = time.perf_counter()
    bound = mean_upper_bound(values)
    assert time.perf_counter() - started < 20  # about a second
    assert bound - values.mean() == pytest.approx(expected - values.mean(), rel=0.08)


def test_blocks_of_a_large_sample_keep_its_skewness(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(9)
    values = np.where(rng.random(4_000) < 0.02, rng.exponential(size=4_000) * 0.1, 0.0)
    in_blocks = mean_upper_bound(values) - values.mean()
    monkeypatch.setattr(bootstrap, "LARGEST_SAMPLE", 4_000)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1_999)
    assert in_blocks == pytest.approx(mean_upper_bound(values) - values.mean(), rel=0.08)


def exponential(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.exponential(size=n)


def lognormal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.lognormal(size=n)


def falls_of_scores(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.beta(0.5, 3, size=n)


@pytest.mark.parametrize(
    ("draw", "mean", "n", "most"),
    [
        (exponential, 1.0, 5, 0.14),
        (exponential, 1.0, 20, 0.1),
        (lognormal, np.exp(0.5), 10, 0.16),
        (falls_of_scores, 0.5 / 3.5, 10, 0.1),
    ],
)
def test_bounds_miss_skewed_means_little_more_often_than_they_say(
    draw: Callable, mean: float, n: int, most: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 299)
    monkeypatch.setattr(bootstrap, "T_RESAMPLES", 299)
    rng = np.random.default_rng(20_250_607)
    samples = [draw(rng, n) for _ in range(150)]
    missed = np.mean([mean_upper_bound(sample, largest=np.inf) < mean for sample in samples])
    assert missed <= most


def test_bounds_of_rare_falls_err_little_more_often_than_they_say(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 299)
    monkeypatch.setattr(bootstrap, "T_RESAMPLES", 299)
    # Five of 150 examples fall on average, so that a sample may have two falls or none.
    rng = np.random.default_rng(20_250_608)
    samples = np.where(rng.random((150, 150)) < 5 / 150, rng.beta(0.5, 3, size=(150, 150)), 0.0)
    missed = np.mean([mean_upper_bound(sample) < 5 / 150 * 0.5 / 3.5 for sample in samples])
    assert missed <= 0.14


def test_no_values_and_a_confidence_out_of_range_are_refused():
    with pytest.raises(ValueError, match="no mean of no values"):
        mean_upper_bound([])
    for bound in (mean_interval, mean_upper_bound):
        with pytest.raises(ValueError, match="not between 0 and 1, both excluded"):
            bound([0.1, 0.2], 95)
    for bound in (mean_regress_interval, mean_regress_upper_bound):
        with pytest.raises(ValueError, match="not between 0 and 1, both excluded"):
            bound([0.1], [0.2], 95)
