"""Intervals and tests against SciPy, statsmodels, statpsych and a simulation."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_confint

from pytest_muscle.comparison.intervals import (
    INTERVALS,
    bonett_price_upper,
    clopper_pearson,
    clopper_pearson_upper,
    examples_to_decide,
    find_bounds,
    mcnemar,
    rate_interval,
    upper_bound,
    wilson,
)
from pytest_muscle.errors import ComparisonError


def lower_bound(events: float, n: int, confidence: float, method: str) -> float:
    """The end of a one-sided interval that `examples_to_decide` holds above a limit."""
    return find_bounds(method)(events, n, confidence)[0]


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
        lambda: wilson(1, 10, confidence),
        lambda: rate_interval(1, 10, confidence),
        lambda: upper_bound(1, 10, confidence),
        lambda: examples_to_decide(1, 10, 0.2, confidence),
    ):
        with pytest.raises(ValueError, match="not between 0 and 1, both excluded"):
            ask()


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("events", "n"), [(0, 20), (1, 29), (97, 2691), (20, 20), (1, 1)])
def test_wilson_is_that_of_statsmodels(events: int, n: int, confidence: float):
    expected = proportion_confint(events, n, alpha=1 - confidence, method="wilson")
    assert wilson(events, n, confidence) == pytest.approx(expected, abs=1e-9)
    assert rate_interval(events, n, confidence, "wilson") == wilson(events, n, confidence)


@pytest.mark.parametrize("method", ["exact", "wilson"])
@pytest.mark.parametrize(("events", "n"), [(0, 20), (1, 29), (97, 2691), (20, 20)])
def test_one_sided_bounds_are_ends_of_a_wider_interval_of_scipy(method: str, events: int, n: int):
    ends = binomtest(events, n).proportion_ci(confidence_level=0.9, method=method)
    assert lower_bound(events, n, 0.95, method) == pytest.approx(ends.low, abs=1e-9)
    assert upper_bound(events, n, 0.95, method) == pytest.approx(ends.high, abs=1e-9)


def test_no_examples_say_nothing_and_an_unknown_method_is_refused():
    assert [rate_interval(0, 0, 0.95, method) for method in INTERVALS] == [(0.0, 1.0)] * 2
    with pytest.raises(ComparisonError, match=r"no interval named 'willson'\n  did you mean"):
        rate_interval(1, 10, method="willson")


@pytest.mark.parametrize("n", [30, 400])
def test_exact_bounds_err_at_most_as_often_as_they_say_at_every_rate(n: int):
    missed = {
        (method, bound): max(
            binom.pmf([k for k in range(n + 1) if missed(k, rate)], n, rate).sum()
            for rate in np.geomspace(0.05 / n, 0.5, 200)
        )
        for method in INTERVALS
        for bound, missed in (
            ("upper", lambda k, rate, m=method: UPPER[m, n][k] < rate),
            ("lower", lambda k, rate, m=method: LOWER[m, n][k] > rate),
        )
    }
    assert 0.03 < missed["exact", "upper"] <= 0.05
    assert 0.03 < missed["exact", "lower"] <= 0.05
    assert 0.06 < missed["wilson", "upper"] < 0.08  # more, as its docstring says
    assert 0.15 < missed["wilson", "lower"] < 0.2


UPPER, LOWER = (
    {(m, n): [bound(k, n, 0.95, m) for k in range(n + 1)] for m in INTERVALS for n in (30, 400)}
    for bound in (upper_bound, lower_bound)
)


@pytest.mark.parametrize("method", ["exact", "wilson"])
@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.95])
@pytest.mark.parametrize(
    ("events", "n", "limit"),
    [
        (0, 10, 0.02),
        (1, 40, 0.05),
        (3, 100, 0.05),
        (3, 100, 0.02),
        (7, 90, 0.06),
        (30, 40, 0.8),
        (30, 40, 0.7),
        (39, 40, 0.9),
        (1, 1, 0.7),
        (1, 300, 0.004),
    ],
)
def test_examples_to_decide_are_those_found_by_trying_every_number(
    events: int, n: int, limit: float, confidence: float, method: str
):
    def decided(N: int) -> bool:
        count = events / n * N  # of the rate seen, which need not be a whole number
        if events / n < limit:
            return upper_bound(count, N, confidence, method) <= limit
        return lower_bound(count, N, confidence, method) > limit

    expected = next(N for N in range(n, 100_000) if decided(N))
    assert examples_to_decide(events, n, limit, confidence, method) == expected


def test_no_number_decides_at_the_limit_or_a_hair_from_it():
    assert examples_to_decide(3, 100, 0.03) is None
    assert examples_to_decide(0, 100, 0.0) is None
    assert examples_to_decide(300_000, 10_000_000, 0.030000001) is None
    assert examples_to_decide(300_000, 10_000_000, 0.029999999) is None


def test_what_is_decided_needs_no_more_examples():
    assert examples_to_decide(0, 59, 0.05) == 59  # 0.95^59 < 0.05 < 0.95^58
    assert examples_to_decide(0, 30, 0.05) == 59
    assert examples_to_decide(1, 10, 0.0) == 10
    assert examples_to_decide(9, 10, 1.0) == 10


def test_a_rate_near_the_limit_is_decided_by_as_many_as_the_normal_distribution_says():
    needed = examples_to_decide(299, 10_000, 0.03)
    assert needed == pytest.approx(1.645**2 * 0.0299 * 0.9701 / 0.0001**2, rel=0.02)
