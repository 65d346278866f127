"""One number against its limit."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from scipy.stats import beta

from pytest_muscle import Predictions, compare
from pytest_muscle.checks import (
    check_drop,
    check_excess,
    check_flips,
    check_regress,
    check_slices,
    require,
)
from pytest_muscle.comparison import FlipReport
from pytest_muscle.errors import ComparisonError
from pytest_muscle.gates import check_limits, read_gate
from pytest_muscle.tasks.example import Example


def flipping(flips: int, n: int) -> FlipReport:
    gold = [1] * n
    return compare([1] * n, [0] * flips + [1] * (n - flips), gold=gold)


def test_an_undecided_rate_says_how_many_examples_would_decide():
    check = check_flips(flipping(3, 200), 0.02, 0.95)
    assert check.exceeded
    assert check.value == 0.015
    assert check.bound == pytest.approx(beta.ppf(0.95, 4, 197))
    needed = check.examples_to_decide()
    assert beta.ppf(0.95, 0.015 * needed + 1, 0.985 * needed) <= 0.02
    assert beta.ppf(0.95, 0.015 * (needed - 1) + 1, 0.985 * (needed - 1)) > 0.02


def test_a_rate_that_is_surely_above_its_limit_needs_no_more_examples():
    assert check_flips(flipping(60, 200), 0.02, 0.95).examples_to_decide() is None


def test_the_interval_may_be_wilsons():
    exact, wilson = (check_flips(flipping(3, 200), 0.02, 0.95, m) for m in ("exact", "wilson"))
    assert wilson.bound < exact.bound
    assert wilson.interval() != exact.interval()


def test_an_interval_of_no_such_name_is_refused_also_where_none_is_judged():
    with pytest.raises(ComparisonError, match="no interval named 'willson'"):
        check_flips(flipping(1, 10), 0.5, None, "willson")


def test_a_number_is_no_noise_floor():
    with pytest.raises(ComparisonError, match=r"floor=0\.1 is no noise floor"):
        check_excess(flipping(1, 10), 0.1, 0.0, None)


def test_graded_scores_are_checked_in_their_own_unit():
    ids = range(40)
    old = Predictions.from_scores(ids, [0.5] * 40)
    new = Predictions.from_scores(ids, [0.25] * 8 + [0.75] * 32)
    report = compare(old, new)
    drop = check_drop(report, 0.0, 0.95)
    assert (drop.measure, drop.unit) == ("drop of the mean score", "score")
    assert drop.value == pytest.approx(-0.15)
    assert drop.value < drop.bound < 0
    regress = check_regress(report, 0.2, None)
    assert regress.value == 0.25
    assert regress.exceeded
    assert report.negative_flip_rate == 8 / 40


def sliced() -> FlipReport:
    """Four of ten flip in the north, none in the south."""
    ids = list(range(20))
    examples = {
        i: Example(str(i), "", ("a", "b"), 1, {"place": "north" if i < 10 else "south"})
        for i in ids
    }
    old = Predictions.from_lists(ids, [1] * 20, [1] * 20)
    new = Predictions.from_lists(ids, [0] * 4 + [1] * 16, [1] * 20)
    object.__setattr__(new, "examples", examples)
    object.__setattr__(new, "slices", ("place",))
    return compare(old, new)


def test_each_slice_that_passes_a_limit_is_named():
    (check,) = check_slices(sliced(), 0.3, None)
    assert check.measure == "negative flip rate of place = north"
    assert (check.value, check.note) == (0.4, "4 of 10")
    assert check.exceeded


def test_of_slices_that_keep_a_limit_the_nearest_is_shown():
    (check,) = check_slices(sliced(), 0.5, None)
    assert check.measure.endswith("north")
    assert not check.exceeded


def test_small_slices_are_judged_by_their_bound():
    checks = check_slices(sliced(), 0.2, 0.95)
    assert [check.measure.split()[-1] for check in checks] == ["north", "south"]
    assert checks[1].bound == pytest.approx(1 - 0.05 ** (1 / 10))


def test_slices_share_the_confidence_of_a_family():
    # Two slices of ten at 95 % for both: 97.5 % each, (1 - rate)^10 = 0.025 without a flip.
    given = gate(max_slice_nfr=0.2, confidence=0.95, family_wise=True)
    south = check_limits(sliced(), read_gate(given))[1]
    assert south.confidence == pytest.approx(0.975)
    assert south.bound == pytest.approx(1 - 0.025 ** (1 / 10))
    alone = check_limits(sliced(), read_gate(gate(max_slice_nfr=0.2, confidence=0.95)))[1]
    assert alone.bound == pytest.approx(1 - 0.05 ** (1 / 10))


def test_without_slices_there_is_nothing_to_check():
    with pytest.raises(ComparisonError, match="nothing to slice by"):
        check_slices(flipping(1, 10), 0.1, None)


def gate(**limits: object) -> SimpleNamespace:
    names = ("max_nfr", "confidence", "max_accuracy_drop", "max_inconsistency")
    return SimpleNamespace(**dict.fromkeys(names) | limits)


def test_a_gate_of_the_four_first_limits_is_enough():
    limits = read_gate(gate(max_nfr=0.02))
    assert (limits.max_nfr, limits.max_mean_regress, limits.interval) == (0.02, None, "exact")


def test_all_limits_of_a_gate_are_checked():
    limits = read_gate(
        gate(max_nfr=0.5, max_accuracy_drop=0.1, max_inconsistency=1, max_slice_nfr=0.5)
    )
    measures = [check.measure for check in check_limits(sliced(), limits)]
    assert measures == [
        "negative flip rate",
        "accuracy drop",
        "inconsistency rate",
        "negative flip rate of place = north",
    ]


def test_a_limit_above_the_floor_needs_the_floor():
    with pytest.raises(ComparisonError, match="give floor=noise_floor"):
        check_limits(flipping(1, 10), read_gate(gate(max_nfr="floor + 0.01")))


@pytest.mark.parametrize("limits", [{}, {"confidence": 0.95}])
def test_a_gate_without_limits_is_refused(limits: dict[str, object]):
    with pytest.raises(ValueError, match="would pass everything"):
        read_gate(gate(**limits))


def test_a_mean_regress_may_be_above_one():
    require("max_regress", 7.5, highest=math.inf)
    assert read_gate(gate(max_mean_regress=7.5)).max_mean_regress == 7.5
    with pytest.raises(ValueError, match="not a number of at least 0"):
        require("max_regress", -1, highest=math.inf)
