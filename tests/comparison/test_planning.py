"""Plans of gates against sums over every count, and what they promise against its chance."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import binom_test_reject_interval

from pytest_muscle.comparison.intervals import upper_bound
from pytest_muscle.comparison.planning import plan_gate
from pytest_muscle.errors import ComparisonError

GATES = [(59, 0.05), (58, 0.05), (300, 0.02), (20, 0.3), (1000, 0.001), (7, 0.9), (100, 0.0)]


@pytest.mark.parametrize("method", ["exact", "wilson"])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(("n", "limit"), GATES)
def test_counts_that_pass_are_those_found_by_trying_each(
    n: int, limit: float, confidence: float, method: str
):
    plan = plan_gate(n, limit, confidence=confidence, method=method)
    passing = [k for k in range(n + 1) if upper_bound(k, n, confidence, method) <= limit]
    assert plan.most_flips == (passing[-1] if passing else None)
    assert plan.can_pass == bool(passing)
    fewest = (m for m in range(1, 5000) if upper_bound(0, m, confidence, method) <= limit)
    assert plan.examples_to_pass == next(fewest, None)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("confidence", [0.8, 0.95, None])
@pytest.mark.parametrize(("n", "limit"), GATES)
def test_passing_rate_passes_with_the_power_and_no_larger_one_does(
    n: int, limit: float, confidence: float | None, power: float
):
    plan = plan_gate(n, limit, confidence=confidence, power=power)
    if plan.most_flips is None:
        assert plan.passing_rate is None
        return
    rate = plan.passing_rate
    assert rate is not None
    assert binom.cdf(plan.most_flips, n, rate - 1e-9) >= power
    assert binom.cdf(plan.most_flips, n, rate + 1e-6) < power
    assert plan.passing_probability(rate) == pytest.approx(power)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(("n", "limit"), GATES)
def test_detectable_rate_is_rejected_with_the_power_and_no_smaller_one_is(
    n: int, limit: float, confidence: float, power: float
):
    counts = range(n + 1)
    tests = (binomtest(k, n, limit, alternative="greater").pvalue for k in counts)
    rejecting = [k for k, p in zip(counts, tests, strict=True) if p <= 1 - confidence]
    plan = plan_gate(n, limit, confidence=confidence, power=power)
    if not rejecting:
        assert plan.detectable_rate is plan.smallest_excess is None
        return
    rate = plan.detectable_rate
    assert rate is not None
    assert rate > limit
    assert plan.smallest_excess == pytest.approx(rate - limit)
    assert binom.pmf(rejecting, n, rate + 1e-9).sum() >= power
    assert binom.pmf(rejecting, n, max(0.0, rate - 1e-6)).sum() < power


def test_a_count_that_rejects_is_that_of_statsmodels():
    upper = binom_test_reject_interval(0.02, 300, alpha=0.05, alternative="larger")[1]
    rate = plan_gate(300, 0.02, confidence=0.95).detectable_rate
    # statsmodels names the first count that rejects; 0.8 is the default power.
    assert binom.sf(upper - 1, 300, rate) == pytest.approx(0.8)


def test_a_gate_worked_by_hand():
    # 0.95^59 < 0.05 < 0.95^58: 59 examples without a flip pass a limit of 5 % at 95 %.
    assert plan_gate(59, 0.05, confidence=0.95).most_flips == 0
    assert not plan_gate(58, 0.05, confidence=0.95).can_pass
    assert plan_gate(10, 0.05, confidence=0.95).examples_to_pass == 59
    # With 0 flips allowed of 59, a rate passes 4 times of 5 if (1 - rate)^59 = 0.8.
    assert plan_gate(59, 0.05, confidence=0.95).passing_rate == pytest.approx(1 - 0.8 ** (1 / 59))


def test_a_gate_on_the_rate_seen_allows_the_limit_itself():
    # In floating point 0.29 * 100 is a hair under 29 and 0.07 * 100 a hair over 7.
    assert [plan_gate(100, limit, confidence=None).most_flips for limit in (0.29, 0.07)] == [29, 7]
    plan = plan_gate(50, 0.03, confidence=None)
    assert (plan.most_flips, plan.examples_to_pass) == (1, 1)
    assert binom.sf(1, 50, plan.detectable_rate) == pytest.approx(0.8)


def test_a_limit_of_all_or_nothing():
    everything = plan_gate(10, 1.0, confidence=0.95)
    assert (everything.most_flips, everything.passing_rate) == (10, 1.0)
    assert everything.detectable_rate is None
    nothing = plan_gate(10, 0.0, confidence=0.95)
    assert (nothing.most_flips, nothing.examples_to_pass) == (None, None)
    assert nothing.passing_probability(0.0) == 0.0
    # One flip of ten shows that the rate is not 0: 1 - (1 - rate)^10 = 0.8.
    assert nothing.detectable_rate == pytest.approx(1 - 0.2 ** (1 / 10))


def test_plans_hold_in_simulation():
    plan = plan_gate(400, 0.05, confidence=0.9, power=0.7)
    rng = np.random.default_rng(20250111)
    passed = rng.binomial(400, plan.passing_rate, 20_000) <= plan.most_flips
    assert passed.mean() == pytest.approx(0.7, abs=0.015)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"n": 0}, "n=0 is no number of examples"),
        ({"limit": 5}, "limit=5 is not a fraction"),
        ({"power": 1}, "power=1 is not between 0 and 1"),
        ({"confidence": 95}, "confidence=95 is not between"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, wrong: str):
    good = {"n": 10, "limit": 0.1, "confidence": 0.95}
    with pytest.raises(ValueError, match=wrong):
        plan_gate(**(good | arguments))
    with pytest.raises(ComparisonError, match="no interval named 'walled'"):
        plan_gate(**good, method="walled")
