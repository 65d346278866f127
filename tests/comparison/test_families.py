"""Adjusted p-values by hand, and the errors that a family makes, simulated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pytest_muscle.comparison.families import adjust, family_confidence
from pytest_muscle.comparison.intervals import clopper_pearson_upper
from pytest_muscle.errors import ComparisonError


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    # Sorted .01 .02 .03 .04, times 4 3 2 1, never falling: .04 .06 .06 .06
    assert adjust([0.03, 0.01, 0.04, 0.02], "holm") == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_benjamini_hochberg_is_that_of_scipy():
    p_values = np.random.default_rng(1).random(50) ** 2
    expected = stats.false_discovery_control(p_values, method="bh")
    assert adjust(p_values, "benjamini-hochberg") == pytest.approx(expected)


@pytest.mark.parametrize(("method", "theirs"), [("holm", "holm"), ("benjamini-hochberg", "fdr_bh")])
def test_adjusted_p_values_are_those_of_statsmodels(method: str, theirs: str):
    random = np.random.default_rng(3)
    for tests in (2, 7, 300):
        p_values = np.round(random.random(tests) ** 3, 2)  # some are equal
        expected = multipletests(p_values, method=theirs)[1]
        assert adjust(p_values, method) == pytest.approx(expected)


def test_none_leaves_p_values_as_they_are():
    assert adjust([0.2, 0.1], "none").tolist() == [0.2, 0.1]
    for method in ("holm", "benjamini-hochberg", "none"):
        assert adjust([], method).shape == (0,)
        assert adjust([0.3], method) == pytest.approx([0.3])


def test_holm_keeps_false_findings_at_the_level_where_some_are_true():
    random = np.random.default_rng(2)
    false = 0
    for _ in range(2_000):
        p_values = random.random(10)
        p_values[:3] *= 1e-4
        false += (adjust(p_values, "holm")[3:] <= 0.05).any()
    assert false / 2_000 <= 0.06


def test_unknown_methods_and_numbers_are_refused():
    with pytest.raises(ComparisonError, match="no adjustment named 'homl'\n  did you mean 'holm'"):
        adjust([0.1], "homl")
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="not between 0 and 1"):
            adjust([0.5, wrong])
    with pytest.raises(ValueError, match="gates=0"):
        family_confidence(0.95, 0)
    with pytest.raises(ValueError, match="confidence=95"):
        family_confidence(95, 2)


def test_a_family_passes_no_gate_wrongly_with_its_confidence():
    assert family_confidence(0.95, 1) == pytest.approx(0.95)
    assert family_confidence(0.95, 5) == pytest.approx(0.99)
    # All five true rates are just above the limit of 4 %: any pass is wrong. Exactly, not
    # simulated: each gate passes with the probability of its few flips.
    n, limit = 500, 0.04
    any_wrong = {}
    for confidence in (0.95, family_confidence(0.95, 5)):
        passing = [
            flips for flips in range(60) if clopper_pearson_upper(flips, n, confidence) <= limit
        ]
        any_wrong[confidence] = 1 - (1 - stats.binom.cdf(max(passing), n, limit)) ** 5
    assert any_wrong[0.95] > 0.1
    assert any_wrong[family_confidence(0.95, 5)] <= 0.05
