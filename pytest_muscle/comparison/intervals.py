"""How far counts of flips can be trusted: exact intervals and tests, one-sided bounds."""

from __future__ import annotations

import math
from numbers import Real
from statistics import NormalDist
from typing import Any

# scipy.stats takes most of a second to import, so each function that needs it imports it.


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
    from scipy import stats

    check_confidence(confidence)
    interval = stats.binomtest(events, n).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def clopper_pearson_upper(events: int, n: int, confidence: float) -> float:
    """Return the exact one-sided upper confidence bound of a rate, a fraction 0-1.

    Raises:
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    from scipy import stats

    check_confidence(confidence)
    test = stats.binomtest(events, n, alternative="less")
    return float(test.proportion_ci(confidence, method="exact").high)


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
    if lost + gained == 0:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(lost, lost + gained).pvalue)
