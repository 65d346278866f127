"""Intervals and tests against SciPy, statsmodels, statpsych and a simulation."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_confint

from pytest_muscle.comparison.intervals import (
    bonett_price_upper,
    clopper_pearson,
    clopper_pearson_upper,
    mcnemar,
)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("events", "n"), [(0, 20), (1, 29), (97, 2691), (20, 20), (1, 1)])
def test_two_sided_interval_is_that_of_statsmodels(events: int, n: int, confidence: float):
    expected = proportion_confint(events, n, alpha=1 - confidence, method="beta")
    assert clopper_pearson(events, n, confidence) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("events", "n"), [(0, 20), (1, 29), (97, 2691), (200, 1_000_000)])
def test_upper_bound_is_the_beta_quantile(events: int, n: int):
    expected = beta.ppf(0.95, events + 1, n - events)
    assert clopper_pearson_upper(events, n, 0.95) == pytest.approx(expected, abs=1e-9)


def test_no_event_in_n_has_the_rule_of_three():
    # With none seen in n, (1 - p)^n = 0.05 at the bound: p = 1 - 0.05^(1/n), about 3/n.
    assert clopper_pearson_upper(0, 100, 0.95) == pytest.approx(1 - 0.05 ** (1 / 100))


def test_all_events_leave_no_room_above():
    assert clopper_pearson_upper(7, 7, 0.95) == 1.0


@pytest.mark.parametrize(
    ("lost", "gained"), [(3, 9), (0, 6), (10, 10), (120, 90), (1, 0), (50_000, 50_500)]
)
def test_mcnemar_is_that_of_statsmodels(lost: int, gained: int):
    expected = statsmodels_mcnemar([[50, lost], [gained, 40]], exact=True).pvalue
    assert mcnemar(lost, gained) == pytest.approx(expected)


def test_mcnemar_worked_by_hand():
    # Six flips, all in one direction: two-sided p = 2 / 2^6.
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(0, 0) == 1.0


def test_bonett_price_gives_the_example_of_statpsych():
    # statpsych's manual: ci.prop.ps(.05, f00=12, f01=4, f10=26, f11=6) has limits
    # 0.2548067 and 0.6251933; the upper limit of a 95 % interval is a one-sided 97.5 % bound.
    assert bonett_price_upper(26, 4, 48, 0.975) == pytest.approx(0.6251933, abs=1e-7)
    assert -bonett_price_upper(4, 26, 48, 0.975) == pytest.approx(0.2548067, abs=1e-7)


@pytest.mark.parametrize(
    ("lost", "gained", "n"), [(0.04, 0.14, 400), (0.1, 0.1, 200), (0.05, 0.02, 100)]
)
def test_bonett_price_covers_as_often_as_it_says(lost: float, gained: float, n: int):
    rng = np.random.default_rng(20240907)
    draws = rng.multinomial(n, [lost, gained, 1 - lost - gained], size=4000)
    covered = [bonett_price_upper(int(a), int(b), n, 0.95) >= lost - gained for a, b, _ in draws]
    # 4,000 draws have a standard error of 0.0034; the method itself is off by about 0.01.
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


@given(st.data())
def test_bounds_lie_where_rates_can(data: st.DataObject):
    n = data.draw(st.integers(1, 5000))
    lost = data.draw(st.integers(0, n))
    gained = data.draw(st.integers(0, n - lost))
    confidence = data.draw(st.floats(0.5, 0.999))
    low, high = clopper_pearson(lost, n, confidence)
    upper = clopper_pearson_upper(lost, n, confidence)
    assert 0 <= low <= lost / n <= high <= 1
    assert lost / n <= upper <= high + 1e-12
    assert -1 <= bonett_price_upper(lost, gained, n, confidence) <= 1


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95, float("nan"), "0.95", None])
def test_confidence_out_of_range_is_refused(confidence: Any):
    for ask in (
        lambda: clopper_pearson(1, 10, confidence),
        lambda: clopper_pearson_upper(1, 10, confidence),
        lambda: bonett_price_upper(1, 2, 10, confidence),
    ):
        with pytest.raises(ValueError, match="not between 0 and 1, both excluded"):
            ask()
