"""How far counts of flips can be trusted: exact intervals and tests, one-sided bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from statistics import NormalDist
from typing import Any, TypeAlias

from pytest_muscle.errors import ComparisonError, nearest

Bounds: TypeAlias = Callable[[float, float, float], tuple[float, float]]
"""(events, n, one-sided confidence) -> (lower bound, upper bound), both at that confidence."""

MOST_EXAMPLES = 10**9
"""A gate that needs more examples than this is never decided."""

# scipy.stats takes most of a second to import. What it computes here are quantiles and sums of
# the binomial distribution, which scipy.special has; each function that needs it imports it.


def check_confidence(confidence: Any) -> None:
    """Refuse a confidence that is not strictly between 0 and 1.

    Raises:
        ValueError: With a sentence that says so.
    """
    number = float(confidence) if isinstance(confidence, Real) else math.nan
    if not 0 < number < 1:
        raise ValueError(
            f"confidence={confidence!r} is not between 0 and 1, both excluded; for 95 % write 0.95"
        )


def clopper_pearson(events: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a rate, fractions 0-1 (Clopper & Pearson 1934).

    Raises:
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    return exact_bounds(events, n, (1 + confidence) / 2)


def clopper_pearson_upper(events: int, n: int, confidence: float) -> float:
    """Return the exact one-sided upper confidence bound of a rate, a fraction 0-1.

    Raises:
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    return exact_bounds(events, n, confidence)[1]


def wilson(events: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided score interval of a rate, fractions 0-1 (Wilson 1927).

    It covers as often as it says on average over rates, where the exact interval does so at every
    rate and is wider. Of rare events an upper bound at 95 % misses up to 8 % of the time, a lower
    bound up to 20 %.

    Raises:
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    return wilson_bounds(events, n, (1 + confidence) / 2)


def exact_bounds(events: float, n: float, confidence: float) -> tuple[float, float]:
    """Return both exact one-sided bounds of a rate (Clopper & Pearson 1934).

    The counts may be fractions, as effective counts of a survey are (Korn & Graubard 1998).
    """
    low = _beta_quantile(1 - confidence, events, n - events + 1)
    return low, _beta_quantile(confidence, events + 1, n - events)


def wilson_bounds(events: float, n: float, confidence: float) -> tuple[float, float]:
    """Return both one-sided score bounds of a rate (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(confidence)
    rate, weight = events / n, n / (n + z**2)
    centre = weight * (rate + z**2 / (2 * n))
    reach = weight * z * math.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2)
    low = 0.0 if events == 0 and z >= 0 else max(0.0, centre - reach)
    high = 1.0 if events == n and z >= 0 else min(1.0, centre + reach)
    return low, high


INTERVALS: dict[str, Bounds] = {"exact": exact_bounds, "wilson": wilson_bounds}
"""How the interval of a rate is computed, by name."""


def rate_interval(
    events: int, n: int, confidence: float = 0.95, method: str = "exact"
) -> tuple[float, float]:
    """Return the two-sided interval of a rate, fractions 0-1; (0, 1) of no examples.

    Args:
        events: Examples that count.
        n: All examples.
        confidence: Of the interval, two-sided.
        method: A name in `INTERVALS`.

    Raises:
        ComparisonError: If there is no such method.
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    return find_bounds(method)(events, n, (1 + confidence) / 2)


def upper_bound(events: float, n: int, confidence: float = 0.95, method: str = "exact") -> float:
    """Return the one-sided upper confidence bound of a rate; arguments of `rate_interval`."""
    check_confidence(confidence)
    return find_bounds(method)(events, n, confidence)[1]


def find_bounds(method: str) -> Bounds:
    """Return a method of `INTERVALS` by its name.

    Raises:
        ComparisonError: If there is none of that name.
    """
    if method not in INTERVALS:
        raise ComparisonError(
            f"there is no interval named {method!r}", hint=nearest(method, INTERVALS)
        )
    return INTERVALS[method]


def examples_to_decide(
    events: int, n: int, limit: float, confidence: float = 0.95, method: str = "exact"
) -> int | None:
    """Return how many examples in all would decide a gate, were the rate to stay as it is.

    The smallest N >= n at which the upper bound of the rate seen is at most the limit, or its
    lower bound above it. The count at N is N times the rate, which need not be a whole number: one
    flip more or less than that rate gives moves N a little.

    Args:
        events: Examples that count among those seen.
        n: Examples seen, at least 1.
        limit: The largest rate allowed, a fraction 0-1.
        confidence: Of the one-sided bound.
        method: The bound's name in `INTERVALS`.

    Returns:
        The number, or none where the rate seen is the limit or too near for a billion examples.

    Raises:
        ComparisonError: If there is no such method.
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    bounds, rate = find_bounds(method), events / n
    if rate == limit:
        return None

    def decides(examples: int) -> bool:
        low, high = bounds(rate * examples, examples, confidence)
        return high <= limit if rate < limit else low > limit

    return first(decides, n, MOST_EXAMPLES)


def bonett_price_upper(lost: int, gained: int, n: int, confidence: float) -> float:
    """Return the one-sided upper confidence bound of (lost - gained) / n, in [-1, 1].

    The adjusted Wald interval for a difference of paired proportions of Bonett & Price (2012),
    Journal of Educational and Behavioral Statistics 37(4), 479-488: one pseudo-observation joins
    each of the two discordant cells before the plain Wald limits are taken.

    Args:
        lost: Examples right before and wrong after.
        gained: Examples wrong before and right after.
        n: All examples.
        confidence: Of the bound, one-sided.

    Raises:
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    share_lost, share_gained = (lost + 1) / (n + 2), (gained + 1) / (n + 2)
    difference = share_lost - share_gained
    error = math.sqrt((share_lost + share_gained - difference**2) / (n + 2))
    bound = difference + NormalDist().inv_cdf(confidence) * error
    return max(-1.0, min(1.0, bound))


def bonett_price(lost: int, gained: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided interval of (lost - gained) / n, in [-1, 1] (Bonett & Price 2012).

    Raises:
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    one_sided = (1 + confidence) / 2
    high = bonett_price_upper(lost, gained, n, one_sided)
    return -bonett_price_upper(gained, lost, n, one_sided), high


def mcnemar(lost: int, gained: int) -> float:
    """Return the p-value of the exact two-sided McNemar test, 1.0 where nothing changed."""
    if lost == gained:
        return 1.0
    from scipy.special import bdtr

    # The binomial distribution at 1/2 is symmetric: both tails are alike.
    return min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))


def first(holds: Callable[[int], bool], low: int, stop: int) -> int | None:
    """Return the first of low … stop - 1 from which on something holds; none if it never does."""
    reach = 1
    while low + reach < stop and not holds(low + reach - 1):
        low, reach = low + reach, 2 * reach
    high = min(low + reach, stop)
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return None if low == stop else low


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """Return the quantile of a beta distribution; of Beta(0, b) it is 0, of Beta(a, 0) it is 1."""
    if a == 0:
        return 0.0
    if b == 0:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(a, b, probability))
