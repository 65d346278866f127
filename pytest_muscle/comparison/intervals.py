"""How far counts of flips can be trusted: exact intervals and tests, one-sided bounds."""

from __future__ import annotations

import math
from numbers import Real
from statistics import NormalDist
from typing import Any

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
    tail = (1 - confidence) / 2
    low = _beta_quantile(tail, events, n - events + 1)
    return low, _beta_quantile(1 - tail, events + 1, n - events)


def clopper_pearson_upper(events: int, n: int, confidence: float) -> float:
    """Return the exact one-sided upper confidence bound of a rate, a fraction 0-1.

    Raises:
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    return _beta_quantile(confidence, events + 1, n - events)


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


def mcnemar(lost: int, gained: int) -> float:
    """Return the p-value of the exact two-sided McNemar test, 1.0 where nothing changed."""
    if lost == gained:
        return 1.0
    from scipy.special import bdtr

    # The binomial distribution at 1/2 is symmetric: both tails are alike.
    return min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))


def _beta_quantile(probability: float, a: int, b: int) -> float:
    """Return the quantile of a beta distribution; of Beta(0, b) it is 0, of Beta(a, 0) it is 1."""
    if a == 0:
        return 0.0
    if b == 0:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(a, b, probability))
